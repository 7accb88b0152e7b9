package imapwire

import (
	"bytes"
	"errors"
	"io"
	"time"
)

// Has tells what a [Message] was told about.
type Has uint

const (
	HasFlags Has = 1 << iota
	HasInternalDate
	HasSize
	HasModSeq
	HasEmailID
	HasThreadID
	HasGmailID
	HasGmailThread
	HasGmailLabels
	HasBody // any literal was handed to Body, or would have been
	// HasNIL: a body was asked for and the server said NIL: it cannot give it
	// now (RFC 3501 section 7.4.2).
	HasNIL
)

// Message is one FETCH response. Fields not in Has are zero. It is the
// handler's to keep.
type Message struct {
	Seq          uint32 // sequence number, of this moment
	UID          uint32 // 0 if the server did not say
	Has          Has
	Flags        []string // as sent, but the system flags in their usual spelling: `\Seen`
	InternalDate time.Time
	Size         int64 // RFC822.SIZE
	ModSeq       uint64
	EmailID      string
	ThreadID     string
	GmailID      uint64
	GmailThread  uint64
	GmailLabels  []string // raw: modified UTF-7
	// Damaged means that a part of the response was not understood and
	// skipped. What the other fields say was understood.
	Damaged bool
}

// Literal is a body on its way, to be read during [FetchHandler].Body only.
type Literal struct {
	Section string // what stood in the brackets: "" the message, "HEADER", `HEADER.FIELDS (FROM)`
	Size    int64  // bytes
	left    int64
	rd      *reader
	mem     *bytes.Reader // instead of rd, for what came as a quoted string
	err     error
}

// Read implements [io.Reader]; after Size bytes it returns io.EOF. Another
// error is the end of the connection.
func (l *Literal) Read(p []byte) (int, error) {
	if l.err != nil {
		return 0, l.err
	}
	if l.left == 0 {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	p = p[:min(int64(len(p)), l.left)]
	var n int
	if l.mem != nil {
		n, _ = l.mem.Read(p)
	} else {
		n, l.err = l.rd.readLiteral(p)
	}
	l.left -= int64(n)
	return n, l.err
}

// WriteTo implements [io.WriterTo], without a buffer in between.
func (l *Literal) WriteTo(w io.Writer) (int64, error) {
	if l.mem != nil {
		n, err := l.mem.WriteTo(w)
		l.left -= n
		return n, err
	}
	var total int64
	for l.left > 0 && l.err == nil {
		if _, l.err = l.rd.peek(); l.err != nil {
			break
		}
		k := int(min(int64(l.rd.w-l.rd.r), l.left))
		n, err := w.Write(l.rd.buf[l.rd.r : l.rd.r+k])
		l.rd.r += n
		l.rd.lits += int64(n)
		l.left -= int64(n)
		total += int64(n)
		if err == nil && n < k {
			err = io.ErrShortWrite
		}
		if err != nil {
			return total, err
		}
	}
	return total, l.err
}

var errLiteralOver = errors.New("imapwire: literal read after its handler returned")
