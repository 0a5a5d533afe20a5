package app

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/weir-rls/weir/capacity"
	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/named"
	"github.com/weir-rls/weir/overrides"
	"github.com/weir-rls/weir/records"
)

// live is what is set while weir runs, and who makes it so.
type live struct {
	ledger   records.Records // of what is set
	book     *overrides.Book
	buckets  *named.Registry
	capacity *capacity.Controller

	close func() error
}

// Names of the ledgers in Redis.
const (
	liveLedger  = "weir:live"
	sizesLedger = "weir:sizes"
)

// ledgerEvery is how often a replica looks for what others have set.
const ledgerEvery = 250 * time.Millisecond

// newLive opens the ledgers, in Redis where the buckets are there, else in the
// state directory.
func (a *App) newLive() (*live, error) {
	l := &live{close: func() error { return nil }}
	var sizes records.Records
	var tally capacity.Tally
	if shared := a.store.redis; shared != nil {
		l.ledger, sizes, tally = records.Keep(shared.Records(liveLedger)), records.Keep(shared.Records(sizesLedger)), shared
	} else {
		file, err := records.Open(a.settings.StateDir)
		if err != nil {
			return nil, fmt.Errorf("open the state directory (--state-dir): %w", err)
		}
		inMemory, err := records.Open("")
		if err != nil {
			return nil, err
		}
		l.ledger, l.close, sizes, tally = file, file.Close, inMemory, &capacity.OneReplica{}
	}
	l.book = overrides.New(overrides.Options{Records: l.ledger, Rules: a.rules, Observe: overrides.Observer{Written: a.tell.noted, Applied: a.applied}})
	l.buckets = named.New(named.Options{Records: l.ledger, Room: a.room})
	l.capacity = capacity.New(capacity.Options{
		Store: a.store.Store, Live: l.ledger, Sizes: sizes, Tally: tally, Pools: a.pools,
		Resize: a.resize, Changed: a.tell.resized, Failed: a.capacityFailed,
	})
	return l, nil
}

// pools are those of the rules as they are now.
func (a *App) pools() []descriptors.Pool {
	if rules := a.rules.Rules(); rules != nil {
		return rules.Pools()
	}
	return nil
}

// apply makes what is set live in this replica.
func (l *live) apply(version int64, all map[string][]byte) {
	l.book.Apply(version, all)
	l.buckets.Load(version, all)
}

// begin applies what is set before the first request comes, if the ledger answers
// in time.
func (l *live) begin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	version, all, err := l.ledger.Read(ctx)
	if err == nil {
		l.apply(version, all)
	}
	return err
}

// run keeps what is set live until ctx ends.
func (l *live) run(ctx context.Context, failed func(error)) {
	var all sync.WaitGroup
	all.Go(func() { records.Watch(ctx, l.ledger, ledgerEvery, l.apply, failed) })
	all.Go(func() { l.book.Run(ctx) })
	all.Go(func() { l.capacity.Run(ctx) })
	all.Wait()
}
