package simulate

import "container/heap"

// event is something that happens at a time: a request ends, or a caller who is held
// asks again.
type event struct {
	at     int64 // microseconds since the epoch
	caller *caller

	domain, receipt string
	status          int

	number uint64
}

// events are what is still to happen, the soonest first, and of one time in the order in
// which it was arranged.
type events struct {
	heap     eventHeap
	arranged uint64
}

func (e *events) push(one event) {
	e.arranged++
	one.number = e.arranged
	heap.Push(&e.heap, one)
}

// next takes the soonest, if it happens until a time.
func (e *events) next(until int64) (one event, ok bool) {
	if len(e.heap) == 0 || e.heap[0].at > until {
		return one, false
	}
	return heap.Pop(&e.heap).(event), true
}

type eventHeap []event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].number < h[j].number
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(event)) }
func (h *eventHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = event{}
	*h = old[:len(old)-1]
	return last
}
