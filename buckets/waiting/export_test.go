package waiting

// Kept is how much a room remembers: of callers, of buckets that they wait for,
// and of reservations to be given back.
func (r *Room) Kept() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.places) + len(r.schedules) + len(r.spares) + len(r.lines) + len(r.errands) + r.Waiting()
}
