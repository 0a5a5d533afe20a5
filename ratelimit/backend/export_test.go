package backend

// Healthy tells what [Options.Health] was told last.
func (b *Backend) Healthy() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.healthy
}
