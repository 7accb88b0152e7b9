package imapwire

import (
	"bytes"
	"io"
	"time"
)

// reader is the incoming half of a connection: one buffer, no lookahead beyond
// it, and a deadline set anew for each read from the network.
type reader struct {
	c    *Client
	buf  []byte
	r, w int

	base  int64 // bytes of the stream before buf[0]
	start int64 // where the response in hand began
	lits  int64 // bytes of it that were literals
	began bool  // whether a response is in hand at all

	tok []byte // scratch of the last token or line
}

// resize swaps the buffer for one of another size, unless what is buffered
// does not fit.
func (rd *reader) resize(size int) {
	if len(rd.buf) == size || rd.w-rd.r > size {
		return
	}
	var next []byte
	if size == bulkBuffer {
		next = rd.c.opt.Buffers.get()
	} else {
		next = make([]byte, size)
	}
	n := copy(next, rd.buf[rd.r:rd.w])
	rd.base += int64(rd.r)
	rd.c.opt.Buffers.put(rd.buf)
	rd.buf, rd.r, rd.w = next, 0, n
	if size == idleBuffer && cap(rd.tok) > idleBuffer {
		rd.tok = nil
	}
}

// release gives the buffer back after the connection's end.
func (rd *reader) release() {
	rd.c.opt.Buffers.put(rd.buf)
	rd.buf, rd.tok, rd.r, rd.w = nil, nil, 0, 0
}

func (rd *reader) buffered() int { return rd.w - rd.r }

// size of the response in hand so far, without its literals.
func (rd *reader) size() int64 { return rd.base + int64(rd.r) - rd.start - rd.lits }

func (rd *reader) checkSize() error {
	if lim := rd.c.lim.Response; rd.size() > lim {
		return &LimitError{"Response", lim}
	}
	return nil
}

// first waits for the first byte of a response until the deadline; nothing is
// consumed, so a wait that timed out can be taken up again.
func (rd *reader) first(until time.Time, idle bool) (byte, error) {
	rd.began = false
	if rd.r == rd.w {
		rd.flip()
		if err := rd.fill(until, idle); err != nil {
			return 0, err
		}
	}
	rd.start, rd.lits, rd.began = rd.base+int64(rd.r), 0, true
	return rd.buf[rd.r], nil
}

func (rd *reader) flip() {
	rd.base += int64(rd.w)
	rd.r, rd.w = 0, 0
}

func (rd *reader) fill(until time.Time, idle bool) error {
	n, err := rd.read(rd.buf, until, idle)
	rd.w = n
	return err
}

// read reads at least one byte into p.
func (rd *reader) read(p []byte, until time.Time, idle bool) (int, error) {
	rd.c.armRead(until, idle)
	for range 16 {
		n, err := rd.c.conn.Read(p)
		if n > 0 {
			rd.c.count.read.Add(uint64(n))
			return n, nil
		}
		if err != nil {
			return 0, err
		}
	}
	return 0, io.ErrNoProgress
}

// more fills an empty buffer in the middle of a response.
func (rd *reader) more() error {
	if err := rd.checkSize(); err != nil {
		return err
	}
	rd.flip()
	err := rd.fill(time.Now().Add(rd.c.tm.Progress), false)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

func (rd *reader) peek() (byte, error) {
	if rd.r == rd.w {
		if err := rd.more(); err != nil {
			return 0, err
		}
	}
	return rd.buf[rd.r], nil
}

func (rd *reader) next() (byte, error) {
	b, err := rd.peek()
	if err == nil {
		rd.r++
	}
	return b, err
}

// line reads to the end of the line as text, in which nothing has a meaning,
// and keeps at most Limits.Text of it. Valid until the next token.
func (rd *reader) line() ([]byte, error) {
	rd.tok = rd.tok[:0]
	for {
		if _, err := rd.peek(); err != nil {
			return nil, err
		}
		chunk := rd.buf[rd.r:rd.w]
		end := bytes.IndexByte(chunk, '\n')
		if end >= 0 {
			chunk = chunk[:end]
		}
		if room := rd.c.lim.Text - len(rd.tok); room > 0 {
			rd.tok = append(rd.tok, chunk[:min(room, len(chunk))]...)
		}
		rd.r += len(chunk)
		if end >= 0 {
			rd.r++
			return bytes.TrimRight(rd.tok, "\r"), rd.checkSize()
		}
	}
}

// skipLine drops the rest of a structured response, including the literals in
// it, wherever the reading of it stopped.
func (rd *reader) skipLine() error {
	const (
		outside = iota
		opened  // after "{"
		digits  // after "{12"
		plus    // after "{12+"
		closed  // after "{12}"
	)
	state, size := outside, int64(0)
	for {
		b, err := rd.next()
		if err != nil {
			return err
		}
		switch {
		case b == '\n' && state == closed:
			if err := rd.discard(size); err != nil {
				return err
			}
			state = outside
		case b == '\n':
			return rd.checkSize()
		case b == '\r' && state == closed:
		case b == '{':
			state, size = opened, 0
		case b >= '0' && b <= '9' && (state == opened || state == digits) && size < 1<<50:
			state, size = digits, size*10+int64(b-'0')
		case b == '+' && state == digits:
			state = plus
		case b == '}' && (state == digits || state == plus):
			state = closed
		default:
			state = outside
		}
	}
}

// discard drops the bytes of a literal.
func (rd *reader) discard(n int64) error {
	if lim := rd.c.lim.Literal; n > lim {
		return &LimitError{"Literal", lim}
	}
	for n > 0 {
		if rd.r == rd.w {
			if err := rd.more(); err != nil {
				return err
			}
		}
		k := min(int64(rd.w-rd.r), n)
		rd.r += int(k)
		rd.lits += k
		n -= k
	}
	return nil
}

// readLiteral reads at most len(p) bytes of a literal, straight into p when
// nothing is buffered and p is worth it.
func (rd *reader) readLiteral(p []byte) (int, error) {
	if rd.r == rd.w {
		if len(p) < len(rd.buf) {
			if err := rd.more(); err != nil {
				return 0, err
			}
		} else {
			rd.flip()
			n, err := rd.read(p, time.Now().Add(rd.c.tm.Progress), false)
			rd.base += int64(n)
			rd.lits += int64(n)
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return n, err
		}
	}
	n := copy(p, rd.buf[rd.r:rd.w])
	rd.r += n
	rd.lits += int64(n)
	return n, nil
}
