package telemetry

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-rls/weir/descriptors"
)

// decisions counts what became of the limits that requests met. A counter of the
// library for each limit and outcome takes 1 kB, and three cache misses to find: of
// 100,000 limits that were a third of what a decision costs. Here a limit has 80 bytes of
// counts, which are found at the limit itself, and counters are made of them when
// metrics are read.
type decisions struct {
	counted, tokens *prometheus.Desc
	exemplars       exemplars

	outcomes atomic.Pointer[[]string] // the words, in order of their first use; a few

	// What was counted outlives the limits that the rules have now, so it is also found
	// by name: by the hash of it, the rest by next. Places count from 1. Of all this the
	// garbage collector looks at the names alone.
	mu      sync.RWMutex
	hash    func(limit) uint64
	first   map[uint64]uint32
	next    []uint32 // by place: that of the next name with the same hash, 0: none
	names   []limit
	tallies []*[atOnce]descriptors.Tally
}

type limit struct{ domain, name string }

// atOnce is how many tallies are made at once. They do not move.
const atOnce = 256

func newDecisions() *decisions {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName("weir", "", name), help, labels, nil)
	}
	d := &decisions{
		counted: desc("decisions_total", "Limits that requests met, by what became of each.", "domain", "limit", "outcome"),
		tokens:  desc("charged_tokens_total", "Tokens that requests were charged; of slots, how many they held.", "domain", "limit"),
		first:   map[uint64]uint32{},
	}
	seed := maphash.MakeSeed()
	d.hash = func(l limit) uint64 { return maphash.Comparable(seed, l) }
	d.outcomes.Store(&[]string{})
	return d
}

// count records one limit that a request met.
func (d *decisions) count(l *descriptors.Limit, outcome string, tokens int64) {
	of, place := l.Tally.Load(), d.place(outcome)
	if of == nil || place < 0 {
		of, place = d.add(limit{l.Domain, l.Name}, outcome)
		l.Tally.Store(of)
	}
	of.Outcomes[place].Add(1)
	if tokens > 0 {
		of.Tokens.Add(uint64(tokens))
	}
}

// place is that of an outcome's word, -1 if it is new.
func (d *decisions) place(outcome string) int {
	for i, known := range *d.outcomes.Load() {
		if known == outcome {
			return i
		}
	}
	return -1
}

// add finds the entry of a limit and the place of an outcome, or makes them.
func (d *decisions) add(l limit, outcome string) (*descriptors.Tally, int) {
	hash := d.hash(l)
	d.mu.RLock()
	known, place := d.find(hash, l), d.place(outcome)
	d.mu.RUnlock()
	if known > 0 && place >= 0 {
		return d.tally(known), place
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if place = d.place(outcome); place < 0 {
		words := *d.outcomes.Load()
		place = len(words)
		words = append(words[:place:place], outcome)
		d.outcomes.Store(&words)
	}
	if known = d.find(hash, l); known == 0 {
		if len(d.names) == len(d.tallies)*atOnce {
			d.tallies = append(d.tallies, new([atOnce]descriptors.Tally))
		}
		d.names, d.next = append(d.names, l), append(d.next, d.first[hash])
		known = uint32(len(d.names))
		d.first[hash] = known
	}
	return d.tally(known), place
}

// find is the place of a limit, 0 if it has none. d.mu is held.
func (d *decisions) find(hash uint64, l limit) uint32 {
	place := d.first[hash]
	for place > 0 && d.names[place-1] != l {
		place = d.next[place-1]
	}
	return place
}

// tally is that of a place.
func (d *decisions) tally(place uint32) *descriptors.Tally {
	return &d.tallies[(place-1)/atOnce][(place-1)%atOnce]
}

// Describe implements [prometheus.Collector].
func (d *decisions) Describe(descs chan<- *prometheus.Desc) {
	descs <- d.counted
	descs <- d.tokens
}

// Collect implements [prometheus.Collector].
func (d *decisions) Collect(metrics chan<- prometheus.Metric) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	outcomes := *d.outcomes.Load()
	for i, l := range d.names {
		of := d.tally(uint32(i + 1))
		for k, outcome := range outcomes {
			if n := of.Outcomes[k].Load(); n > 0 {
				metrics <- d.exemplars.with(prometheus.MustNewConstMetric(d.counted, prometheus.CounterValue, float64(n), l.domain, l.name, outcome), l, outcome)
			}
		}
		if n := of.Tokens.Load(); n > 0 {
			metrics <- prometheus.MustNewConstMetric(d.tokens, prometheus.CounterValue, float64(n), l.domain, l.name)
		}
	}
}
