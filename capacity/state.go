package capacity

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/weir-rls/weir/descriptors"
)

// Source is what a pool's size comes from.
type Source string

const (
	Stated     Source = "stated"     // the rules
	Hand       Source = "hand"       // what an operator has set
	Heartbeats Source = "heartbeats" // what its instances say
	Envoy      Source = "envoy"      // the healthy hosts of an Envoy's cluster
	Kept       Source = "kept"       // what it was when the last of these was lost
	Fallback   Source = "fallback"   // the least that the rules allow, as they have been lost for stale_after
)

// PoolState is a pool's size and what it comes from.
type PoolState struct {
	descriptors.PoolID
	Slots     bool   `json:"slots,omitempty"` // of slots, not of tokens
	Stated    int64  `json:"stated"`          // size, by the rules
	Size      int64  `json:"size"`            // by now
	Target    int64  `json:"target"`          // to which it rises, before failures
	Units     int64  `json:"units"`           // sum of all instances'
	Instances int64  `json:"instances"`
	Factor    int64  `json:"factor_ppm"` // millionths that failures leave of it
	Frozen    bool   `json:"frozen"`     // failures change nothing
	Source    Source `json:"source"`
	// ByHand is what an operator has set, nil for nothing.
	ByHand *ByHand `json:"by_hand,omitempty"`
}

// state is what is published of a pool. With it another replica can go on leading.
type state struct {
	Level     int64  `json:"level"` // thousandths
	Size      int64  `json:"size"`
	Target    int64  `json:"target"`
	Units     int64  `json:"units"`
	Instances int64  `json:"instances"`
	Counted   int64  `json:"counted"` // units when instances were counted last, -1: never
	Factor    int64  `json:"factor"`
	Frozen    bool   `json:"frozen,omitempty"`
	Source    Source `json:"source"`
}

// decode reads a pool's state; without one it has the size that is stated.
func decode(raw []byte, p descriptors.Pool) (s state, found bool) {
	if json.Unmarshal(raw, &s) == nil && s.Level > 0 && s.Factor > 0 && s.Factor <= whole {
		return s, true
	}
	return state{Level: p.Size * thousandths, Size: p.Size, Target: p.Size, Counted: -1, Factor: whole, Source: Stated}, false
}

// follows tells whether a pool's size is to be published: it can change, or is not
// back yet where it was stated.
func (s state) follows(p descriptors.Pool, h *ByHand) bool {
	return p.Instances != nil || p.Feedback != nil || h != nil || s.Size != p.Size
}

func (s state) of(p descriptors.Pool) PoolState {
	return PoolState{
		PoolID: p.PoolID, Slots: p.Slots, Stated: p.Size, Size: s.Size, Target: s.Target, Units: s.Units, Instances: s.Instances,
		Factor: s.Factor, Frozen: s.Frozen, Source: s.Source,
	}
}

// sizesOf reads the sizes that are published.
func sizesOf(all map[string][]byte) map[descriptors.PoolID]int64 {
	sizes := map[descriptors.PoolID]int64{}
	for name, raw := range all {
		var s state
		id, ours := idOf(name)
		if ours && json.Unmarshal(raw, &s) == nil && s.Size > 0 {
			sizes[id] = s.Size
		}
	}
	return sizes
}

// State is that of all pools of the rules, in their order, as it is published.
func (c *Controller) State(ctx context.Context) ([]PoolState, error) {
	_, published, err := c.o.Sizes.Read(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the sizes: %w", err)
	}
	_, live, err := c.o.Live.Read(ctx)
	if err != nil {
		return nil, fmt.Errorf("read what is set by hand: %w", err)
	}
	var states []PoolState
	for _, p := range c.o.Pools() {
		s, _ := decode(published[sizePrefix+nameOf(p.PoolID)], p)
		shown := s.of(p)
		var f *frozen
		shown.ByHand, f = hand(live, p.PoolID, time.Now())
		if p.Feedback != nil {
			shown.Frozen = feedback(p, f).Freeze
		}
		states = append(states, shown)
	}
	return states, nil
}
