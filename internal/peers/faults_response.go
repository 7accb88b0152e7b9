package peers

import "bytes"

// responseEnd follows a server's words as far as to know where a response ends.
type responseEnd struct {
	opaque  bool // under TLS: anywhere will do
	line    []byte
	literal int64
	begun   bool
}

// follow takes in what has passed.
func (e *responseEnd) follow(b []byte) {
	for len(b) > 0 && !e.opaque {
		if e.literal > 0 {
			n := min(e.literal, int64(len(b)))
			e.literal, b = e.literal-n, b[n:]
			continue
		}
		if !e.begun && b[0] == 0x16 { // a handshake after STARTTLS
			e.opaque = true
			return
		}
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			e.line, e.begun = append(e.line, b...), true
			e.line = e.line[max(len(e.line)-32, 0):]
			return
		}
		e.line = append(e.line, b[:i+1]...)
		b = b[i+1:]
		size, ok := literalSize(string(bytes.TrimRight(e.line, "\r\n")))
		e.line, e.begun = e.line[:0], ok // after a literal the response goes on
		if ok {
			e.literal = size
		}
	}
}

// boundary is the first end of a response in b that does not come before from;
// false when there is none.
func (e *responseEnd) boundary(b []byte, from int) (at int, ok bool) {
	if e.opaque {
		return from, true
	}
	probe := responseEnd{line: bytes.Clone(e.line), literal: e.literal, begun: e.begun}
	for i := range len(b) + 1 {
		if i >= from && !probe.begun && probe.literal == 0 && len(probe.line) == 0 {
			return i, true
		}
		if i < len(b) {
			probe.follow(b[i : i+1])
		}
	}
	return len(b), false
}
