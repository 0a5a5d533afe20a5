package simulate

import (
	"container/heap"
	"io"
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
	rows   rowHeap
	newest int64
	given  int64
	ended  bool
	arrive int64 // rows that came so far

	late   int64         // rows that came too late
	latest time.Duration // the most that one was
}

type waitingRow struct {
	*Row
	number int64
}

// rowHeap has the row on top that is next: of one time the one that came first.
type rowHeap []waitingRow

func (h rowHeap) Len() int { return len(h) }
func (h rowHeap) Less(i, j int) bool {
	return h[i].At < h[j].At || h[i].At == h[j].At && h[i].number < h[j].number
}
func (h rowHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *rowHeap) Push(x any)   { *h = append(*h, x.(waitingRow)) }
func (h *rowHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = waitingRow{}
	*h = old[:len(old)-1]
	return last
}

// Next implements [Source].
func (o *ordered) Next() (*Row, error) {
	for !o.ended && (len(o.rows) == 0 || o.rows[0].At > o.newest-o.window && len(o.rows) < mostReordered) {
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
		if o.window == 0 && len(o.rows) == 0 {
			o.given = row.At
			return row, nil
		}
		o.arrive++
		heap.Push(&o.rows, waitingRow{row, o.arrive})
	}
	if len(o.rows) == 0 {
		return nil, io.EOF
	}
	row := heap.Pop(&o.rows).(waitingRow).Row
	o.given = row.At
	return row, nil
}
