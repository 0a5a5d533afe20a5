package decide

import (
	"context"

	"github.com/weir-rls/weir/buckets"
)

// countIfAllPass counts hits only if no limit is over with them. Else it counts those of
// the limits that would be over, so that they are, and nothing of the others.
//
// Where one call holds all limits, its first step is atomic: of two requests for which
// there is room once, one passes, and the other charges nothing but what refuses it.
// Limits of several calls are looked at first and counted then, as the reference service
// does with all.
func countIfAllPass(ctx context.Context, all []met, made []call) error {
	over := false
	for i := range all {
		over = over || all[i].known
	}
	atomic := len(made) == 1 && !over
	if !over {
		for i := range all {
			all[i].try(atomic)
		}
		if err := count(ctx, made); err != nil {
			return err
		}
		pass := atomic
		for i := range all {
			m := &all[i]
			m.exceeds = m.wouldExceed()
			pass, over = pass && m.passes(), over || m.exceeds
		}
		if pass {
			return nil
		}
	}
	for i := range all {
		all[i].conclude(over, atomic)
	}
	return count(ctx, made)
}

// try asks whether there is room: all or nothing is taken, or, where that needs several
// calls, nothing, and nothing is given back either.
func (m *met) try(atomic bool) {
	switch {
	case m.gives():
		if !atomic {
			m.charge.Cost = 0
		}
		return
	case !m.Limit.Reference && m.charge.Mode != buckets.Take:
		return
	}
	if m.charge.Mode = buckets.Take; !atomic {
		m.charge.Mode = buckets.Look
	}
	if !m.shadow() {
		m.charge.Role = buckets.Enforce
	}
}

// passes tells that a limit that was tried stops nothing.
func (m *met) passes() bool { return m.outcome.Admitted || m.charge.Role == buckets.Shadow }

// wouldExceed tells that a limit that was tried would be over with its hits, also if
// nothing else were counted.
func (m *met) wouldExceed() bool {
	if m.Limit.Reference && !m.gives() {
		return plus(m.outcome.Used, m.cost) > m.Limit.Requests
	}
	return !m.passes()
}

// conclude makes the charge one that counts, if no limit is over or this one is, and else
// one that tells where it stands. What was not given back yet is given back.
func (m *met) conclude(over, given bool) {
	switch m.charge = chargeOf(m.Match); {
	case m.gives():
		if given {
			m.charge.Cost = 0
		}
	case !over || m.exceeds && m.Limit.Reference:
	case m.Limit.Reference:
		m.charge.Cost = 0
	case m.charge.Mode == buckets.Take:
		m.charge.Mode = buckets.Look
	}
}
