package overrides

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/weir-rls/weir/descriptors"
)

// Apply makes a version of the ledger live, whose records it keeps and does not
// change. It is for records.Watch to call.
func (b *Book) Apply(version int64, all map[string][]byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if version > b.live.Load().version { // else it was read before what this replica wrote itself
		b.show(b.read(version, all))
	}
}

// Refit tries the changes on rules that were read anew: some may fit only now, or
// not any more.
func (b *Book) Refit() {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := *b.live.Load()
	if len(p.live) > 0 {
		b.set(&p)
	}
}

// read makes a page of the ledger. Entries that are what they were are not read
// again: the ledger holds other records too, and changes more often than they do.
func (b *Book) read(version int64, all map[string][]byte) *page {
	before := b.live.Load()
	p := &page{version: version, entries: map[string]entry{}}
	for name, raw := range all {
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		if known, found := before.entries[name]; found && known.raw == string(raw) {
			p.entries[name] = known
		} else if e, err := decode(name, raw); err != nil {
			p.unread = append(p.unread, err)
		} else {
			p.entries[name] = entry{e, string(raw)}
		}
	}
	now := time.Now()
	for _, name := range slices.Sorted(maps.Keys(p.entries)) {
		if e := p.entries[name]; !e.expired(now) {
			p.live = append(p.live, e.Entry)
		}
	}
	return p
}

// show makes a page live. b.mu is held.
func (b *Book) show(p *page) {
	before := b.live.Load()
	same := slices.EqualFunc(p.live, before.live, func(x, y Entry) bool { return x.Version == y.Version && x.Key() == y.Key() })
	if same && before.version >= 0 && len(p.unread) == len(before.unread) {
		p.faults = before.faults
		b.live.Store(p)
		return
	}
	b.set(p)
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// set hands the changes of a page to the rules. b.mu is held.
func (b *Book) set(p *page) {
	p.faults = b.o.Rules.SetChanges(changes(p.live))
	b.live.Store(p)
	leftOut := slices.Clone(p.unread)
	for _, f := range p.faults {
		leftOut = append(leftOut, Misfit{p.live[f.Change], f})
	}
	b.o.Observe.Applied(len(p.live), leftOut)
}

// Misfit is an entry that the rules cannot take.
type Misfit struct {
	Entry Entry
	Fault descriptors.ChangeFault
}

func (m Misfit) Error() string { return m.Fault.Error() }

const (
	longestSleep = time.Minute // the clock may be set
	sweepWithin  = 2 * time.Second
	retryAfter   = time.Second // what could not be written
	sweepAtOnce  = 100         // entries whose end one note tells
)

// Run ends the changes whose time to live is over, until ctx does. Each replica
// ceases to apply them by itself; one of them removes them from the ledger.
func (b *Book) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.wake:
		case <-timer.C:
		}
		wait := longestSleep
		if over, next := b.ends(time.Now()); over {
			wait = 0
			if b.sweep(ctx) != nil {
				wait = retryAfter
			}
		} else if next > 0 {
			wait = min(wait, next)
		}
		timer.Reset(wait)
	}
}

// ends tells whether the time of an entry is over, else how long it is until the
// first is, 0 if none will be.
func (b *Book) ends(now time.Time) (over bool, next time.Duration) {
	for _, e := range b.live.Load().entries {
		switch {
		case e.Expires.IsZero():
		case e.expired(now):
			return true, 0
		case next == 0 || e.Expires.Sub(now) < next:
			next = e.Expires.Sub(now)
		}
	}
	return false, next
}

// sweep takes the entries whose time is over out of force, and then out of the
// ledger.
func (b *Book) sweep(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := *b.live.Load()
	now := time.Now()
	if p.live = slices.DeleteFunc(slices.Clone(p.live), func(e Entry) bool { return e.expired(now) }); len(p.live) != len(b.live.Load().live) {
		b.set(&p)
	}
	ctx, cancel := context.WithTimeout(ctx, sweepWithin)
	defer cancel()
	version, all, err := b.o.Records.Read(ctx)
	if err != nil {
		return err
	}
	fresh := b.read(version, all)
	e := edit{}
	var over []Entry
	for _, name := range slices.Sorted(maps.Keys(fresh.entries)) {
		if found := fresh.entries[name]; found.expired(now) && len(over) < sweepAtOnce {
			over, e.remove = append(over, found.Entry), append(e.remove, name)
		}
	}
	if len(over) == 0 {
		b.show(fresh)
		return nil
	}
	e.note = note("expired", Words{}, over, nil)
	_, err = b.commit(ctx, fresh, all, e)
	return err
}

// Note is what the journal of the ledger tells of one step.
type Note struct {
	Time    time.Time `json:"time"`
	Action  string    `json:"action"` // set, undone or expired
	Author  string    `json:"author,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Changes []Entry   `json:"changes"`          // what was set, or was until now
	Before  *Entry    `json:"before,omitempty"` // what it replaced
}

func note(action string, w Words, changed []Entry, before *Entry) Note {
	return Note{Time: time.Now().UTC().Truncate(time.Millisecond), Action: action, Author: w.Author, Reason: w.Reason, Changes: changed, Before: before}
}

// History is the latest of the ledger's journal, newest first, at most n: the
// JSON form of a [Note], or what else writes to the ledger notes of itself.
func (b *Book) History(ctx context.Context, n int) ([]json.RawMessage, error) {
	notes, err := b.o.Records.Notes(ctx, n)
	if err != nil {
		return nil, err
	}
	history := []json.RawMessage{}
	for _, text := range notes {
		if json.Valid(text) {
			history = append(history, text)
		}
	}
	return history, nil
}
