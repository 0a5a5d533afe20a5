package traffic

// ring has what was counted in the last steps of time, which follow one another.
type ring[T any] struct {
	steps []T
	next  int // where the next one goes
	n     int // how many there are
}

func newRing[T any](size int) ring[T] { return ring[T]{steps: make([]T, size)} }

func (r *ring[T]) push(step T) {
	r.steps[r.next] = step
	r.next = (r.next + 1) % len(r.steps)
	r.n = min(r.n+1, len(r.steps))
}

// last are the last n steps, or as many as there are, oldest first.
func (r *ring[T]) last(n int) []T {
	n = min(n, r.n)
	all := make([]T, n)
	for i := range all {
		all[i] = r.steps[(r.next-n+i+len(r.steps))%len(r.steps)]
	}
	return all
}

// newest is the last step, a zero one if there is none.
func (r *ring[T]) newest() (step T) {
	if r.n > 0 {
		step = r.steps[(r.next-1+len(r.steps))%len(r.steps)]
	}
	return step
}
