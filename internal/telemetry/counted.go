package telemetry

import "github.com/weir-rls/weir/descriptors"

// Counted is how often so far something became of a limit, by the outcome that
// [Metrics.Decision] was told.
func (m *Metrics) Counted(t *descriptors.Tally, outcome string) uint64 {
	place := m.decisions.place(outcome)
	if place < 0 {
		return 0
	}
	return t.Outcomes[place].Load()
}
