package simulate

import (
	"bufio"
	"errors"
	"io"
	"strings"
)

// longestLine bounds a line of a trace, in bytes.
const longestLine = 1 << 20

// lines are those of a trace that are not empty.
type lines struct {
	file   string
	from   *bufio.Reader
	number int64 // of the line that was read last
	ended  bool
}

// next reads a line without its end. Its text is its own.
func (l *lines) next() (string, error) {
	for {
		text, err := l.read()
		if err != nil {
			return "", err
		}
		if text = strings.TrimRight(text, "\r\n"); strings.TrimSpace(text) != "" {
			return text, nil
		}
	}
}

func (l *lines) read() (string, error) {
	if l.ended {
		return "", io.EOF
	}
	l.number++
	var whole []byte
	for long := false; ; {
		piece, err := l.from.ReadSlice('\n')
		if err == nil && whole == nil && !long {
			return string(piece), nil
		}
		if long = long || len(whole)+len(piece) > longestLine; long {
			whole = nil
		} else {
			whole = append(whole, piece...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == io.EOF:
			l.ended = true
		case err != nil:
			return "", err
		}
		if long {
			return "", &BadLine{l.file, l.number, "the line has more than 1 MiB", "is the trace text, one request a line?"}
		}
		return string(whole), nil
	}
}
