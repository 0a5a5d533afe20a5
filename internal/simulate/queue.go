package simulate

import "container/heap"

// queue gives what is put into it in the order of its times, and of one time in the order
// in which it was put there.
type queue[T any] struct {
	heap queueHeap[T]
	put  uint64
}

func (q *queue[T]) push(at int64, value T) {
	q.put++
	heap.Push(&q.heap, queued[T]{at, q.put, value})
}

func (q *queue[T]) len() int { return len(q.heap) }

// soonest is the time of what is next. There must be something.
func (q *queue[T]) soonest() int64 { return q.heap[0].at }

// next takes what is soonest, if its time is not after until.
func (q *queue[T]) next(until int64) (at int64, value T, ok bool) {
	if q.len() == 0 || q.soonest() > until {
		return 0, value, false
	}
	first := heap.Pop(&q.heap).(queued[T])
	return first.at, first.value, true
}

type queued[T any] struct {
	at     int64 // microseconds since the epoch
	number uint64
	value  T
}

type queueHeap[T any] []queued[T]

func (h queueHeap[T]) Len() int { return len(h) }
func (h queueHeap[T]) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].number < h[j].number
}
func (h queueHeap[T]) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *queueHeap[T]) Push(x any)   { *h = append(*h, x.(queued[T])) }
func (h *queueHeap[T]) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = queued[T]{}
	*h = old[:len(old)-1]
	return last
}
