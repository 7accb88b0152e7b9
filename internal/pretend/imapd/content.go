package imapd

import "io"

// Content is the raw bytes of a message in pieces, so that many messages can share the piece that
// holds a CV, and one piece repeated makes an enormous message that costs no memory.
type Content [][]byte

// Len is the size in bytes.
func (c Content) Len() int {
	n := 0
	for _, p := range c {
		n += len(p)
	}
	return n
}

// Bytes joins the pieces into a fresh slice.
func (c Content) Bytes() []byte {
	out := make([]byte, 0, c.Len())
	for _, p := range c {
		out = append(out, p...)
	}
	return out
}

// WriteTo writes the pieces in order.
func (c Content) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for _, p := range c {
		n, err := w.Write(p)
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// Slice is at most n bytes from an offset, without copying; n below zero means to the end.
func (c Content) Slice(from, n int) Content {
	var out Content
	for _, p := range c {
		if from >= len(p) {
			from -= len(p)
			continue
		}
		p = p[from:]
		from = 0
		if n >= 0 && len(p) > n {
			p = p[:n]
		}
		if len(p) > 0 {
			out = append(out, p)
		}
		if n >= 0 {
			if n -= len(p); n == 0 {
				break
			}
		}
	}
	return out
}

// header is the header section with the empty line that ends it, or everything if there is none.
func (c Content) header() []byte {
	var head []byte
	for _, p := range c {
		seen := max(0, len(head)-3)
		head = append(head, p...)
		if end := endOfHeader(head, seen); end >= 0 {
			return head[:end]
		}
	}
	return head
}
