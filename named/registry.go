package named

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-rls/weir/buckets/waiting"
	"github.com/weir-rls/weir/records"
)

const (
	prefix = "bucket/" // of the names of records

	// MaxBuckets is how many buckets there can be: each is in the memory of every
	// replica, some 1 KB.
	MaxBuckets = 10_000

	// patience is how long a change may take that others keep from being written.
	patience = 5 * time.Second
)

// ErrUnknown is wrapped by the error of a call that names a bucket which is not
// there.
var ErrUnknown = errors.New("not found")

// Conflict answers who expected another version of a bucket than there is.
type Conflict struct {
	Current int64
}

func (c Conflict) Error() string {
	return fmt.Sprintf("the bucket is of version %d by now", c.Current)
}

// Options are what a [Registry] works on.
type Options struct {
	Records records.Records // the ledger, which may hold other records too
	Room    *waiting.Room   // the buckets, and who waits for their tokens
}

// Registry knows the buckets of a ledger. It reads the ledger when it changes:
// [Registry.Load] is to be told. What it does not know it asks the ledger for, so
// that a bucket created on one replica is there on all.
type Registry struct {
	o       Options
	writing chan struct{} // holds a place for who changes the ledger
	loading sync.Mutex
	page    atomic.Pointer[page]
}

// page is the ledger at one version.
type page struct {
	version int64
	buckets map[string]*entry // by the names of their records
}

// entry is a bucket and the record that it was read from.
type entry struct {
	*bucket
	raw []byte
	err error // why it cannot be read; bucket is nil then
}

// New returns a registry that has read nothing yet.
func New(o Options) *Registry {
	r := &Registry{o: o, writing: make(chan struct{}, 1)}
	r.page.Store(&page{version: -1})
	return r
}

// Load takes over the ledger as it is at a version.
func (r *Registry) Load(version int64, all map[string][]byte) { r.load(version, all) }

func (r *Registry) load(version int64, all map[string][]byte) *page {
	r.loading.Lock()
	defer r.loading.Unlock()
	before := r.page.Load()
	if before.version == version {
		return before
	}
	next := &page{version: version, buckets: map[string]*entry{}}
	for name, raw := range all {
		id, isBucket := strings.CutPrefix(name, prefix)
		if !isBucket {
			continue
		}
		if e := before.buckets[name]; e != nil && bytes.Equal(e.raw, raw) {
			next.buckets[name] = e
			continue
		}
		e := &entry{raw: raw}
		e.bucket, e.err = decode(id, raw)
		next.buckets[name] = e
	}
	r.page.Store(next)
	return next
}

// fresh is the ledger as it is now.
func (r *Registry) fresh(ctx context.Context) (*page, error) {
	version, all, err := r.o.Records.Read(ctx)
	if err != nil {
		return nil, fmt.Errorf("the buckets that were created cannot be read: %w", err)
	}
	return r.load(version, all), nil
}

// find is the bucket of an id.
func (p *page) find(id string) (*bucket, error) {
	switch e := p.buckets[prefix+id]; {
	case e == nil:
		return nil, fmt.Errorf("bucket %s %w", id, ErrUnknown)
	case e.err != nil:
		return nil, fmt.Errorf("bucket %s is stored as this version of weir cannot read it: upgrade weir or delete the bucket: %w", id, e.err)
	default:
		return e.bucket, nil
	}
}

// known is the bucket of an id, which may have been created elsewhere just now.
func (r *Registry) known(ctx context.Context, id string) (*bucket, error) {
	b, err := r.page.Load().find(id)
	if err == nil {
		return b, nil
	}
	p, err := r.fresh(ctx)
	if err != nil {
		return nil, err
	}
	return p.find(id)
}

// Create makes a bucket if there is none of its id, and answers the one that there
// is then. One that is there stays as it is.
func (r *Registry) Create(ctx context.Context, d Definition) (there Definition, created bool, err error) {
	b, err := compile(d)
	if err != nil {
		return Definition{}, false, err
	}
	err = r.change(ctx, func(p *page) (edit, error) {
		before, err := p.find(d.ID)
		switch {
		case err == nil:
			there, created = before.Definition, false
			return edit{}, nil
		case !errors.Is(err, ErrUnknown):
			return edit{}, err
		case len(p.buckets) >= MaxBuckets:
			return edit{}, fault("", fmt.Sprintf("there are %d buckets already", len(p.buckets)), "delete some that nobody needs")
		}
		there, created = b.Definition, true
		there.Version = p.version + 1
		return set(there)
	})
	return there, created, err
}

// Update states a bucket anew that is of version d.Version. The tokens that were
// used stay used.
func (r *Registry) Update(ctx context.Context, d Definition) (after Definition, err error) {
	b, err := compile(d)
	if err != nil {
		return Definition{}, err
	}
	err = r.change(ctx, func(p *page) (edit, error) {
		before, err := p.find(d.ID)
		if err != nil {
			return edit{}, err
		}
		if before.Version != d.Version {
			return edit{}, Conflict{before.Version}
		}
		after = b.Definition
		after.Version = p.version + 1
		e, err := set(after)
		e.note = note{Action: "bucket_changed", Bucket: &after, Before: &before.Definition}
		return e, err
	})
	return after, err
}

// Delete removes a bucket that is of a version, 0: whatever it is, and forgets its
// level: a bucket of its id that is created later begins anew.
func (r *Registry) Delete(ctx context.Context, id string, version int64) error {
	err := r.change(ctx, func(p *page) (edit, error) {
		before, err := p.find(id)
		if errors.Is(err, ErrUnknown) {
			return edit{}, err
		}
		e := edit{remove: []string{prefix + id}, note: note{Action: "bucket_deleted", Before: &Definition{ID: id}}}
		if before != nil {
			e.note.Before = &before.Definition
		}
		if version != 0 && e.note.Before.Version != version {
			return edit{}, Conflict{e.note.Before.Version}
		}
		return e, nil
	})
	if err != nil {
		return err
	}
	return r.o.Room.Forget(ctx, []string{key(id)})
}

// List are all buckets in the order of their ids, without those that cannot be
// read.
func (r *Registry) List(ctx context.Context) ([]Definition, error) {
	p, err := r.fresh(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]Definition, 0, len(p.buckets))
	for _, e := range p.buckets {
		if e.err == nil {
			all = append(all, e.Definition)
		}
	}
	slices.SortFunc(all, func(a, b Definition) int { return cmp.Compare(a.ID, b.ID) })
	return all, nil
}

// edit is a change of the ledger; the zero edit changes nothing.
type edit struct {
	set    map[string][]byte
	remove []string
	note   note
}

func set(d Definition) (edit, error) {
	raw, err := encode(d)
	return edit{set: map[string][]byte{prefix + d.ID: raw}}, err
}

// note is what the ledger's journal tells. That a bucket was created is not told:
// clients create them as they come, and would push out who changed what.
type note struct {
	Time   time.Time   `json:"time"`
	Action string      `json:"action"`
	Bucket *Definition `json:"bucket,omitempty"`
	Before *Definition `json:"before,omitempty"`
}

func (n note) text() ([]byte, error) {
	if n.Action == "" {
		return nil, nil
	}
	n.Time = time.Now().UTC().Truncate(time.Millisecond)
	return json.Marshal(n)
}

// change edits the ledger as it is. Who is overtaken by another replica decides
// again.
func (r *Registry) change(ctx context.Context, decide func(*page) (edit, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case r.writing <- struct{}{}:
		defer func() { <-r.writing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		p, err := r.fresh(ctx)
		if err != nil {
			return err
		}
		e, err := decide(p)
		if err != nil || len(e.set)+len(e.remove) == 0 {
			return err
		}
		text, err := e.note.text()
		if err != nil {
			return err
		}
		_, written, err := r.o.Records.Write(ctx, p.version, e.set, e.remove, text)
		if err != nil {
			return fmt.Errorf("the change may or may not have been made: %w", err)
		}
		if written {
			_, _ = r.fresh(ctx) // else whoever asks for the bucket reads it
			return nil
		}
	}
}
