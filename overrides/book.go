// Package overrides is the book of changes that are made to limits while weir
// runs: who set what, why and for how long. All replicas that share its ledger
// apply the same changes.
package overrides

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/records"
)

// ErrUnknown answers who undoes a change that is not there.
var ErrUnknown = errors.New("nothing is set")

// Conflict answers who expected another version of an entry than there is.
type Conflict struct {
	Current int64 // version, 0: there is no entry
}

func (c Conflict) Error() string {
	if c.Current == 0 {
		return "nothing is set any more"
	}
	return fmt.Sprintf("version %d is set by now", c.Current)
}

// Options are what a [Book] works on.
type Options struct {
	Records records.Records     // the ledger, which may hold other records too
	Rules   *descriptors.Source // what the changes are made to
	Observe Observer
}

// Observer is told what happens. Its functions may be nil, and must not use the
// book.
type Observer struct {
	// Written is told on the one replica that wrote it.
	Written func(Note)
	// Applied is told on every replica, when other changes than before are live:
	// how many, and which of the ledger were left out and why.
	Applied func(live int, leftOut []error)
}

// Book keeps the changes in its ledger and those of the ledger live.
type Book struct {
	o    Options
	wake chan struct{} // the next end of a time to live may be another

	// mu is held from reading the ledger until what is written is live, so that
	// what is older is never applied last.
	mu   sync.Mutex
	live atomic.Pointer[page]
}

// page is the ledger as it was at one version.
type page struct {
	version int64
	entries map[string]entry // by the names of their records
	unread  []error          // why other records of changes are not among them
	live    []Entry          // in order of keys; without those whose time is over
	faults  []descriptors.ChangeFault
}

// entry is an entry and what it was read from.
type entry struct {
	Entry
	raw string
}

// New makes a book. Nothing is live until [Book.Apply].
func New(o Options) *Book {
	if o.Observe.Written == nil {
		o.Observe.Written = func(Note) {}
	}
	if o.Observe.Applied == nil {
		o.Observe.Applied = func(int, []error) {}
	}
	b := &Book{o: o, wake: make(chan struct{}, 1)}
	b.live.Store(&page{version: -1})
	return b
}

// Words go with what is written.
type Words struct {
	Author, Reason string
	TTL            time.Duration // of a change, at most a year; 0: until it is undone
	// Expect is the version that the entry has, 0 for one that is not there; nil:
	// whatever it is.
	Expect *int64
	DryRun bool // answer what would be, and write nothing
}

// Set makes a change, in place of the one of the same key, and answers it and
// what was set before, nil if nothing was. A change that the rules cannot take,
// or that leaves no place for another one, is a [descriptors.ChangeFault].
func (b *Book) Set(ctx context.Context, change descriptors.Change, w Words) (after Entry, before *Entry, err error) {
	if err := checkWords(w.Author, w.Reason, w.TTL); err != nil {
		return Entry{}, nil, err
	}
	after = Entry{Change: change, Author: w.Author, Reason: w.Reason}
	err = b.write(ctx, w, func(p *page) (edit, error) {
		after.SetAt = time.Now().UTC().Truncate(time.Millisecond)
		if w.TTL > 0 {
			after.Expires = after.SetAt.Add(w.TTL)
		}
		after.Version = p.version + 1
		name := prefix + after.Key()
		before = p.find(name)
		if err := expect(w.Expect, before); err != nil {
			return edit{}, err
		}
		if before == nil && len(p.entries) >= maxEntries {
			return edit{}, descriptors.ChangeFault{Message: fmt.Sprintf("%d changes are set already", maxEntries), Remedy: "undo some, or change the rule files"}
		}
		raw, err := after.encode()
		if err == nil {
			err = checkSize(raw)
		}
		if err == nil {
			err = b.try(p, after)
		}
		replaced := before
		if e, over := p.entries[name]; over && before == nil {
			replaced = &e.Entry // whose end nobody has told yet
		}
		return edit{set: map[string][]byte{name: raw}, note: note("set", w, []Entry{after}, replaced)}, err
	})
	return after, before, err
}

// Undo removes the change of a key and answers it.
func (b *Book) Undo(ctx context.Context, key string, w Words) (before Entry, err error) {
	if err := checkWords(w.Author, w.Reason, 0); err != nil {
		return Entry{}, err
	}
	err = b.write(ctx, w, func(p *page) (edit, error) {
		name := prefix + key
		found := p.find(name)
		if err := expect(w.Expect, found); err != nil {
			return edit{}, err
		}
		if found == nil {
			return edit{}, ErrUnknown
		}
		before = *found
		return edit{remove: []string{name}, note: note("undone", w, []Entry{before}, nil)}, nil
	})
	return before, err
}

func expect(version *int64, found *Entry) error {
	current := int64(0)
	if found != nil {
		current = found.Version
	}
	if version != nil && *version != current {
		return Conflict{current}
	}
	return nil
}

// try tells what speaks against an entry beside the others.
func (b *Book) try(p *page, added Entry) error {
	entries := []Entry{added}
	for _, e := range p.live {
		if e.Key() != added.Key() {
			entries = append(entries, e)
		}
	}
	misfits := map[string]bool{}
	for _, f := range b.live.Load().faults {
		misfits[b.live.Load().live[f.Change].Key()] = true
	}
	for _, f := range b.o.Rules.TryChanges(changes(entries)) {
		other := entries[f.Change]
		if f.Change == 0 {
			return f
		}
		if !misfits[other.Key()] {
			return descriptors.ChangeFault{
				Message: fmt.Sprintf("the change of %q that is set already would not fit any more: %v", other.Limit, f), Remedy: "undo that one first",
			}
		}
	}
	return nil
}

func changes(entries []Entry) []descriptors.Change {
	list := make([]descriptors.Change, len(entries))
	for i, e := range entries {
		list[i] = e.Change
	}
	return list
}

// edit is one step of the ledger.
type edit struct {
	set    map[string][]byte
	remove []string
	note   Note
}

// write takes a step from the ledger as it is to what step makes of it, and makes
// that live here. What another replica writes meanwhile is read, and step asked
// again.
func (b *Book) write(ctx context.Context, w Words, step func(*page) (edit, error)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		version, all, err := b.o.Records.Read(ctx)
		if err != nil {
			return fmt.Errorf("read the changes: %w", err)
		}
		p := b.read(version, all)
		e, err := step(p)
		if err != nil || w.DryRun {
			return err
		}
		written, err := b.commit(ctx, p, all, e)
		if written || err != nil {
			return err
		}
	}
}

// commit writes a step and makes it live, unless the ledger has another version
// by now.
func (b *Book) commit(ctx context.Context, p *page, all map[string][]byte, e edit) (written bool, err error) {
	text, err := json.Marshal(e.note)
	if err != nil {
		return false, err
	}
	version, written, err := b.o.Records.Write(ctx, p.version, e.set, e.remove, text)
	if err != nil {
		return false, fmt.Errorf("write the change, which may or may not be made now: %w", err)
	}
	if written {
		all = maps.Clone(all)
		maps.Copy(all, e.set)
		for _, name := range e.remove {
			delete(all, name)
		}
		b.show(b.read(version, all))
		b.o.Observe.Written(e.note)
	}
	return written, nil
}

// find is the entry of a record that is in force, nil if there is none.
func (p *page) find(name string) *Entry {
	e, found := p.entries[name]
	if !found || e.expired(time.Now()) {
		return nil
	}
	return &e.Entry
}

// List is what is set, in order of domain, limit and values.
func (b *Book) List() []Listed {
	p := b.live.Load()
	listed := make([]Listed, len(p.live))
	for i, e := range p.live {
		listed[i].Entry = e
	}
	for _, f := range p.faults {
		listed[f.Change].LeftOut = append(listed[f.Change].LeftOut, f)
	}
	return slices.DeleteFunc(listed, func(l Listed) bool { return l.expired(time.Now()) })
}

// Listed is an entry and, if it is not in force, why not.
type Listed struct {
	Entry
	LeftOut []descriptors.ChangeFault
}

// Version is that of the ledger which is live.
func (b *Book) Version() int64 { return max(0, b.live.Load().version) }
