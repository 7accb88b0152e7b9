package templates

import (
	"net/url"
	"regexp"
	"strings"

	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
)

// MessageView is the page of one message and what the viewer asked of it.
type MessageView struct {
	portal.MailPage
	Plain  bool   // show the text although there is HTML
	Images bool   // show images of other hosts
	From   string // the list that one came from, a path of ours
	Search string // person looked for, to link by hand
	Found  []mailroom.Person
}

// here is this page with another way to look at the message.
func (v MessageView) here(set ...string) string {
	q := url.Values{}
	if v.From != "" {
		q.Set("from", v.From)
	}
	for i := 0; i+1 < len(set); i += 2 {
		q.Set(set[i], set[i+1])
	}
	if len(q) == 0 {
		return "/mail/" + v.Message.ID
	}
	return "/mail/" + v.Message.ID + "?" + q.Encode()
}

// Back is the list that one came from, at this message's row.
func (v MessageView) Back() string {
	from := v.From
	if from == "" {
		from = "/mail"
		if v.Folder.ID != "" && v.Folder.Role != mailroom.RoleInbox {
			from += "?folder=" + url.QueryEscape(v.Folder.ID)
		}
	}
	return from + "#" + v.Message.ID
}

func (v MessageView) backText(p Page) string {
	switch {
	case strings.HasPrefix(v.From, "/people/"):
		return p.Text("message.back.person")
	case strings.HasPrefix(v.From, "/mail/choices"):
		return p.Text("choice.title")
	case v.Folder.ID != "" && !strings.Contains(v.From, "q="):
		return otysName(p, v.Folder)
	}
	return p.Text("message.back")
}

// frame is the address of the message's HTML.
func (v MessageView) frame() string {
	if v.Images {
		return "/mail/" + v.Message.ID + "/html?images=1"
	}
	return "/mail/" + v.Message.ID + "/html"
}

// frameSize is a guess, since a sandboxed frame tells nobody how tall it is.
func (v MessageView) frameSize() string {
	lines := 0
	for line := range strings.Lines(v.Text) {
		lines += 1 + len(line)/90
	}
	switch {
	case lines <= 7 && !v.HasRemote:
		return "short"
	case lines <= 14:
		return "middle"
	}
	return "tall"
}

func (v MessageView) showsHTML() bool { return v.HasHTML && !v.Plain }

// linked reports whether a person is linked already.
func (v MessageView) linked(id string) bool {
	for _, c := range v.People {
		if c.ID == id {
			return true
		}
	}
	return false
}

// textPart is a stretch of plain text, or a link in it.
type textPart struct{ text, url string }

var webAddress = regexp.MustCompile(`https?://[^\s<>"']+`)

// textParts finds the web addresses in a text, so that they can be followed.
func textParts(text string) (out []textPart) {
	for {
		at := webAddress.FindStringIndex(text)
		if at == nil {
			return append(out, textPart{text: text})
		}
		end := at[0] + len(strings.TrimRight(text[at[0]:at[1]], ".,;:!?)]}"))
		out = append(out, textPart{text: text[:at[0]]}, textPart{text: text[at[0]:end], url: text[at[0]:end]})
		text = text[end:]
	}
}

// addressText is an address in full: "Carla Candidate <carla@home.example>".
func addressText(a mailroom.Address) string {
	if strings.TrimSpace(a.Name) == "" {
		return a.Addr
	}
	return a.Name + " <" + a.Addr + ">"
}

func addressTexts(list []mailroom.Address) string {
	out := make([]string, len(list))
	for i, a := range list {
		out[i] = addressText(a)
	}
	return strings.Join(out, ", ")
}

// header is one line of the expandable details.
type header struct{ key, value string }

func (v MessageView) headers(p Page) (out []header) {
	add := func(key, value string) {
		if value != "" {
			out = append(out, header{key, value})
		}
	}
	m := v.Message
	add("message.from", addressTexts(m.From))
	add("message.reply_to", addressTexts(m.ReplyTo))
	add("message.to", addressTexts(m.To))
	add("message.cc", addressTexts(m.Cc))
	add("message.bcc", addressTexts(m.Bcc))
	if !m.Date.IsZero() {
		add("message.date", p.DateTime(m.Date))
	}
	add("message.received", p.DateTime(m.ReceivedAt))
	add("message.size", p.Size(m.Size))
	add("message.message_id", m.MessageID)
	return out
}

func attachmentHref(message, part string) string {
	return "/mail/" + message + "/attachment/" + url.PathEscape(part)
}

// attachmentName is never empty.
func attachmentName(p Page, a mailroom.Attachment) string {
	if a.Name == "" {
		return p.Text("message.attachment.unnamed")
	}
	return a.Name
}
