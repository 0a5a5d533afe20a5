package parts

import (
	"bytes"
	"sync"
)

const tailBytes = 256 << 10

// tail keeps the end of what is written to it. The zero tail is empty.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

// Write keeps b and never fails. It drops the older half only when the buffer
// is twice as long as promised, so that a byte is moved once on average.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if len(t.buf) > 2*tailBytes {
		t.buf = append([]byte(nil), t.buf[len(t.buf)-tailBytes:]...)
	}
	return len(b), nil
}

// Lines is what is kept, cut into lines; a line without an end is left out.
func (t *tail) Lines() [][]byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := bytes.Split(bytes.Clone(t.buf), []byte("\n"))
	return lines[:len(lines)-1]
}

// LastLines is the end of what is kept, at most n lines.
func (t *tail) LastLines(n int) string {
	lines := bytes.Split([]byte(t.String()), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-n):], []byte("\n")))
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf[max(0, len(t.buf)-tailBytes):])
}
