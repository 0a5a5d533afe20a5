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
// 100,000 limits that were a third of what a decision costs. Here a limit has one entry
// of 120 bytes, which is found at the limit itself, and counters are made of it when
// metrics are read.
type decisions struct {
	counted, tokens *prometheus.Desc

	outcomes atomic.Pointer[[]string] // the words, in order of their first use; a few

	// What was counted outlives the limits that the rules have now, so it is also found
	// by name: by the hash of it, the rest by next. Neither the map nor what it leads to
	// has a pointer for the garbage collector to follow for each limit.
	mu    sync.RWMutex
	seed  maphash.Seed
	first map[uint64]uint32
	all   []*[entries]entry
	size  uint32
}

// entry is what was counted of one name.
type entry struct {
	descriptors.Tally
	limit
	next uint32 // place of the next one with the same hash, 0: none
}

type limit struct{ domain, name string }

const (
	entries      = 256 // that are made at once
	mostOutcomes = len(descriptors.Tally{}.Outcomes)
)

func newDecisions() *decisions {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName("weir", "", name), help, labels, nil)
	}
	d := &decisions{
		counted: desc("decisions_total", "Limits that requests met, by what became of each.", "domain", "limit", "outcome"),
		tokens:  desc("charged_tokens_total", "Tokens that requests were charged; of slots, how many they held.", "domain", "limit"),
		seed:    maphash.MakeSeed(), first: map[uint64]uint32{},
	}
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
	hash := maphash.Comparable(d.seed, l)
	d.mu.RLock()
	known, place := d.find(hash, l), d.place(outcome)
	d.mu.RUnlock()
	if known != nil && place >= 0 {
		return &known.Tally, place
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if place = d.place(outcome); place < 0 {
		words := *d.outcomes.Load()
		place = len(words)
		words = append(words[:place:place], outcome)
		d.outcomes.Store(&words)
	}
	if known = d.find(hash, l); known == nil {
		if d.size++; int(d.size) > len(d.all)*entries {
			d.all = append(d.all, new([entries]entry))
		}
		known = d.at(d.size)
		known.limit, known.next = l, d.first[hash]
		d.first[hash] = d.size
	}
	return &known.Tally, place
}

// find is the entry of a limit, nil if there is none. d.mu is held.
func (d *decisions) find(hash uint64, l limit) *entry {
	for place := d.first[hash]; place != 0; {
		e := d.at(place)
		if e.limit == l {
			return e
		}
		place = e.next
	}
	return nil
}

// at is the entry of a place, which counts from 1.
func (d *decisions) at(place uint32) *entry { return &d.all[(place-1)/entries][(place-1)%entries] }

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
	for place := range d.size {
		e := d.at(place + 1)
		for i, outcome := range outcomes {
			if n := e.Outcomes[i].Load(); n > 0 {
				metrics <- prometheus.MustNewConstMetric(d.counted, prometheus.CounterValue, float64(n), e.domain, e.name, outcome)
			}
		}
		if n := e.Tokens.Load(); n > 0 {
			metrics <- prometheus.MustNewConstMetric(d.tokens, prometheus.CounterValue, float64(n), e.domain, e.name)
		}
	}
}
