package simulate

import (
	"io"
	"math"
	"time"
)

// mostReordered bounds the rows that are held back to put them in order.
const mostReordered = 100_000

// ordered gives the rows of a source in the order of their times, as far as none comes
// later than window behind the newest before it: a log is written when requests end. What
// comes later still is counted, and judged when it comes.
type ordered struct {
	source Source
	window int64 // microseconds
	rows   queue[*Row]
	newest int64
	given  int64
	ended  bool

	late   int64         // rows that came too late
	latest time.Duration // the most that one was
}

// Next implements [Source].
func (o *ordered) Next() (*Row, error) {
	for !o.ended && (o.rows.len() == 0 || o.rows.soonest() > o.newest-o.window && o.rows.len() < mostReordered) {
		row, err := o.source.Next()
		if err == io.EOF {
			o.ended = true
			break
		}
		if err != nil {
			return nil, err
		}
		if row.At < o.given {
			o.late++
			o.latest = max(o.latest, time.Duration(o.given-row.At)*time.Microsecond)
			row.At = o.given
		}
		o.newest = max(o.newest, row.At)
		if o.window == 0 && o.rows.len() == 0 {
			o.given = row.At
			return row, nil
		}
		o.rows.push(row.At, row)
	}
	at, row, ok := o.rows.next(math.MaxInt64)
	if !ok {
		return nil, io.EOF
	}
	o.given = at
	return row, nil
}
