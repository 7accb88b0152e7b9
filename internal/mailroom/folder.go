package mailroom

import (
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

// FolderRole is what a folder is for: its RFC 6154 attribute without the
// backslash in lower case, or "" for none.
type FolderRole string

const (
	RoleNone    FolderRole = ""
	RoleInbox   FolderRole = "inbox"
	RoleSent    FolderRole = "sent"
	RoleDrafts  FolderRole = "drafts"
	RoleTrash   FolderRole = "trash"
	RoleJunk    FolderRole = "junk"
	RoleArchive FolderRole = "archive"
	RoleAll     FolderRole = "all"
	RoleFlagged FolderRole = "flagged"
	RoleNonMail FolderRole = "nonmail" // Calendar, Contacts, Tasks, Outbox…: not offered
)

// Folder is an IMAP folder as last listed. RawName is the key: the bytes that
// the server sent, modified UTF-7 or UTF-8, never re-encoded; see FolderKey for
// those that are not text.
type Folder struct {
	MailboxID   string
	RawName     string
	Name        string   // decoded, whole path with its delimiter
	Path        []string // decoded, split at the delimiter
	Delimiter   string   // "" for a flat name space
	Role        FolderRole
	Selectable  bool
	Messages    int64 // -1 when unknown
	Unseen      int64 // -1 when unknown
	Size        int64 // octets, -1 when unknown (RFC 8438)
	UIDValidity uint32
	UIDNext     uint32
	ObjectID    string // RFC 8474 MAILBOXID, "" without
	ListedAt    time.Time
	GoneAt      time.Time // no longer listed since; zero while there
}

// bytesMark begins the keys of folders whose names are not text.
const bytesMark = "%%"

// FolderKey is a folder's name, as the server sent it, in a form that databases
// and forms keep: the name itself, or where that is no UTF-8 (some servers list
// Latin-1), holds a NUL or begins like such a key, its octets written out.
// FolderBytes is the inverse.
func FolderKey(raw string) string {
	if utf8.ValidString(raw) && strings.IndexByte(raw, 0) < 0 && !strings.HasPrefix(raw, bytesMark) {
		return raw
	}
	var b strings.Builder
	b.WriteString(bytesMark)
	for i := range len(raw) {
		if c := raw[i]; c > ' ' && c < 0x7f && c != '%' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// FolderBytes is the name by which the server knows the folder of a key.
func FolderBytes(key string) string {
	text, marked := strings.CutPrefix(key, bytesMark)
	if !marked {
		return key
	}
	raw, err := url.PathUnescape(text)
	if err != nil {
		return key
	}
	return raw
}

// Mappable reports whether the folder may be chosen on the mapping page.
func (f Folder) Mappable() bool {
	return f.Selectable && f.Role != RoleNonMail && f.GoneAt.IsZero()
}

// Leaf is the last part of the folder's path.
func (f Folder) Leaf() string {
	if len(f.Path) == 0 {
		return f.Name
	}
	return f.Path[len(f.Path)-1]
}

// FolderStatus is what EXAMINE or STATUS says of a folder.
type FolderStatus struct {
	Messages      uint32
	UIDValidity   uint32
	UIDNext       uint32 // 0 when the server does not say
	HighestModSeq uint64 // 0 without CONDSTORE, or NOMODSEQ (RFC 7162 §3.1.2.2)
	Unseen        int64  // -1 when unknown
	ObjectID      string // RFC 8474 MAILBOXID, "" without
}
