package descriptors

import "time"

// PoolID names a pool.
type PoolID struct{ Domain, Name string }

// Pool is what the rules say of a pool whose size follows something.
type Pool struct {
	PoolID
	Size      int64 // its capacity as stated, in tokens or slots
	Slots     bool
	Instances *Instances // nil: its size does not follow its backends
	Feedback  *Feedback  // nil: its size does not follow failures
}

// Instances say how a pool's size follows the backends that live. Size is then the
// sum of their units, within Min and Max.
type Instances struct {
	UnitsEach  int64         // units of an instance that states none of its own
	Min, Max   int64         // of the pool's size
	Step       int64         // largest rise of the size in a second, percent of the size as stated
	StaleAfter time.Duration // a source that is lost this long counts for Min; 0: its last value is kept
	EnvoyAdmin string        // URL of an Envoy's admin interface that is asked for healthy hosts, empty: none
	Cluster    string        // of that Envoy
}

// Feedback says how a pool shrinks when what it admits fails: additive increase,
// multiplicative decrease (D.-M. Chiu and R. Jain, 1989).
type Feedback struct {
	BadPercent int64 // more failures than this shrink the pool
	MinPercent int64 // never below this part of its size
	Freeze     bool  // leave it as it is
}

// Pools are the pools of all domains, in order of domain and file.
func (r *Rules) Pools() []Pool { panic("not built") }

// Resize gives pools another size than the rules state, in tokens or slots; their
// rates, and the guarantees and reserves of their classes, change in proportion.
// Tokens used stay used. A pool that is not named has the size that is stated. It
// holds for rules read later too.
func (s *Source) Resize(sizes map[PoolID]int64) { panic("not built") }
