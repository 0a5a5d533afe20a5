package dashboard

import (
	"context"
	"time"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/overrides"
	"github.com/weir-rls/weir/traffic"
)

// row is one limit, as lists of limits show it.
type row struct {
	Domain, Name, Link string
	Pool               string // that it draws from, empty if it draws from none

	Requests        int64 // in each Period, 0: it is no rate
	Period          string
	Capacity        int64 // tokens or slots
	Slots           bool
	Off, Free       bool // it is not met, or met and never refuses
	Shadow          bool
	Changed         *overrides.Listed // at run time, for all its keys
	ChangedKeys     int               // how many keys have something of their own
	Traffic         traffic.Limit
	Busiest         *busiest
	StateWord, Tone string
}

// busiest is the key that a limit was met with most.
type busiest struct {
	Text           string
	Capacity, Used int64 // of its bucket; Capacity is 0 where that is not known
	Query          string
}

// Percent is how much of the bucket is used.
func (b *busiest) Percent() int64 { return min(100, b.Used*100/max(1, b.Capacity)) }

// nearPercent of a bucket is what is called near its limit.
const nearPercent = 80

// State is a word for how the limit stands, and Tone how good that is.
func (r *row) judge() {
	m := r.Traffic.Minute
	switch {
	case r.Off:
		r.StateWord, r.Tone = "off", "muted"
	case m.Refused > 0:
		r.StateWord, r.Tone = "over", "bad"
	case m.ShadowRefused > 0:
		r.StateWord, r.Tone = "over, shadow", "warn"
	case r.Busiest != nil && r.Busiest.Capacity > 0 && r.Busiest.Percent() >= nearPercent:
		r.StateWord, r.Tone = "near", "warn"
	case m.Admitted+m.NotCharged > 0:
		r.StateWord, r.Tone = "ok", "good"
	default:
		r.StateWord, r.Tone = "idle", "muted"
	}
}

// standing is how limits stand, by domain and name.
type standing struct {
	seen  map[[2]string]traffic.Limit
	set   map[[2]string][]overrides.Listed
	pools map[*descriptors.Limit]string
}

func (d *dashboard) standing(rules *descriptors.Rules) standing {
	s := standing{map[[2]string]traffic.Limit{}, map[[2]string][]overrides.Listed{}, map[*descriptors.Limit]string{}}
	for _, l := range d.Traffic.Overview("").Limits {
		s.seen[[2]string{l.Domain, l.Limit}] = l
	}
	for _, listed := range d.Book.List() {
		of := [2]string{listed.Domain, listed.Limit}
		s.set[of] = append(s.set[of], listed)
	}
	for _, share := range rules.Shares() {
		s.pools[share.Class] = share.Pool.Name
	}
	return s
}

// row is a limit as it stands.
func (s standing) row(l *descriptors.Limit) row {
	of := [2]string{l.Domain, l.Name}
	r := row{
		Domain: l.Domain, Name: l.Name, Link: limitLink(l.Domain, l.Name), Pool: s.pools[l], Requests: l.Requests, Period: l.PeriodText(),
		Off: l.Disabled, Free: l.Unlimited, Shadow: l.Shadow, Traffic: s.seen[of],
	}
	if l.Bucket != nil {
		r.Capacity, r.Slots = l.Bucket.Size(), l.Period == 0 && l.Bucket.Size() > 0
	}
	r.note(s.set[of])
	r.judge()
	return r
}

// note marks what is set of the limit while weir runs.
func (r *row) note(set []overrides.Listed) {
	for i := range set {
		if len(set[i].For) == 0 {
			r.Changed = &set[i]
		} else {
			r.ChangedKeys++
		}
	}
}

// Bounds of looking for levels while a page is made.
const (
	mostLooked = 50 // buckets
	lookFor    = time.Second
)

// look finds where the bucket of the busiest key of each row stands, of those rows
// that were met in the last minute, in so far as the store answers in time.
func (d *dashboard) look(ctx context.Context, rows []row) {
	ctx, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	looked := 0
	for i := range rows {
		r := &rows[i]
		if r.Traffic.Minute == (traffic.Counts{}) || looked == mostLooked {
			continue
		}
		looked++
		top := d.Traffic.Limit(r.Domain, r.Name).Keys.Top
		if len(top) == 0 {
			continue
		}
		r.Busiest = &busiest{Text: top[0].Text, Query: levelsQuery(r.Domain, top[0].Entries)}
		if r.Pool == "" && r.Busiest.Query != "" {
			r.Busiest.Used, r.Busiest.Capacity = d.level(ctx, r.Domain, r.Name, top[0].Entries)
		}
		r.judge()
	}
}

// level is where the bucket of some entries stands, zeros where that is not known.
func (d *dashboard) level(ctx context.Context, domain, limit string, entries []traffic.Entry) (used, capacity int64) {
	var sent []descriptors.Entry
	for _, e := range entries {
		sent = append(sent, descriptors.Entry{Key: e.Key, Value: e.Value})
	}
	levels, err := d.Levels(ctx, descriptors.Request{Domain: domain, Descriptors: []descriptors.Descriptor{{Entries: sent}}})
	if err != nil {
		return 0, 0
	}
	for _, l := range levels {
		if l.Limit == limit {
			return l.Used, l.Capacity
		}
	}
	return 0, 0
}
