package ads

import (
	"fmt"
	"math"
	"sync"
)

// row says what stands in a line of a written file.
type row struct {
	name  string // of the field, empty for a message without any
	spot         // of the message that has it
	first int    // row of that message
	key   string // of that message, if it is a descriptor
}

func (w *writer) trace(r row) {
	if w.traced {
		w.rows = append(w.rows, r)
	}
}

// pathsOf answers what stands at a place of the file of a message, as in
// descriptors[2](user).rate_limit.unit. As most files have no faults, rows are kept of
// none: the message is written once more when somebody asks.
func pathsOf(b []byte) func(line, column int) string {
	rows := sync.OnceValue(func() []row {
		w := writer{most: math.MaxInt, traced: true}
		_ = w.config(b) // which it could before
		return w.rows
	})
	return func(line, column int) string {
		all := rows()
		if line < 1 || line > len(all) {
			return "the message"
		}
		r := all[line-1]
		whole := line-1 == r.first && column <= r.indent+1 // and not what happens to be its first field
		switch {
		case whole && r.nth >= 0:
			return itemPath(all, r)
		case whole && r.row >= 0:
			return fieldPath(all, all[r.row])
		case whole:
			return "the message"
		}
		return fieldPath(all, r)
	}
}

func itemPath(all []row, r row) string {
	path := fmt.Sprintf("%s[%d]", fieldPath(all, all[r.row]), r.nth)
	if r.key != "" {
		path += fmt.Sprintf("(%.60q)", r.key)
	}
	return path
}

func fieldPath(all []row, r row) string {
	switch {
	case r.nth >= 0:
		return itemPath(all, r) + "." + r.name
	case r.row >= 0:
		return fieldPath(all, all[r.row]) + "." + r.name
	}
	return r.name
}
