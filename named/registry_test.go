package named_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
	"github.com/weir-rls/weir/named"
)

// Of many who create a bucket at once one does; all see the same bucket then, and
// it stays as it is, its tokens too.
func TestW06_CreatingAKnownBucketChangesNothing(t *testing.T) {
	everywhere(t, func(t *testing.T, replicas []*replica) {
		var all sync.WaitGroup
		var created atomic.Int32
		seen := make([]named.Definition, 16)
		for i := range seen {
			all.Go(func() {
				d := named.Definition{ID: "api", Rate: fmt.Sprintf("%d/hour", i+1)}
				there, new, err := replicas[i%2].Create(t.Context(), d)
				if err != nil {
					t.Error(err)
				}
				if new {
					created.Add(1)
				}
				seen[i] = there
			})
		}
		all.Wait()
		if created.Load() != 1 {
			t.Errorf("the bucket was created %d times", created.Load())
		}
		for _, d := range seen {
			if d != seen[0] {
				t.Errorf("one caller sees %+v, another %+v", d, seen[0])
			}
		}
		before := take(t, replicas[0], "api", 0)
		again, new, err := replicas[1].Create(t.Context(), named.Drip("api", 1000, 1))
		if err != nil || new || again != seen[0] {
			t.Errorf("created again: %+v, %v, %v", again, new, err)
		}
		if after := take(t, replicas[1], "api", 0); after.Remaining != max(0, before.Remaining-1) {
			t.Errorf("%d tokens were left before, %d after", before.Remaining, after.Remaining)
		}
	})
}

// A bucket that one replica created is there on the others at once, though nobody
// told them.
func TestW06_BucketsAreIndependentAndThereOnAllReplicas(t *testing.T) {
	everywhere(t, func(t *testing.T, replicas []*replica) {
		ids := []string{"a", "A", "a}", "{a}", "}", "a/b", "您", "%61", strings.Repeat("x", 200)}
		for _, id := range ids {
			create(t, replicas[0], named.Definition{ID: id, Rate: "1/hour"})
			if a := take(t, replicas[1], id, 0); !a.Admitted {
				t.Errorf("%q: the only token is gone", id)
			}
		}
		for _, id := range ids {
			if a := take(t, replicas[0], id, 0); a.Admitted {
				t.Errorf("%q: the replicas do not share the bucket", id)
			}
		}
		listed, err := replicas[1].List(t.Context())
		if err != nil || len(listed) != len(ids) {
			t.Errorf("%d buckets are listed, %v, want %d", len(listed), err, len(ids))
		}
	})
}

func TestW07_AnUnknownBucketIsNotFound(t *testing.T) {
	everywhere(t, func(t *testing.T, replicas []*replica) {
		r := replicas[0]
		_, takeErr := r.Take(t.Context(), "X", 1, time.Hour)
		_, _, getErr := r.Get(t.Context(), "X")
		_, updateErr := r.Update(t.Context(), named.Definition{ID: "X", Rate: "1/s", Version: 1})
		deleteErr := r.Delete(t.Context(), "X", 0)
		for what, err := range map[string]error{"take": takeErr, "get": getErr, "update": updateErr, "delete": deleteErr} {
			if !errors.Is(err, named.ErrUnknown) || err.Error() != "bucket X not found" {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}

// An update is for who knows what is there. It carries the tokens used.
func TestW06_AnUpdateNeedsTheVersionAndHandsOutNothing(t *testing.T) {
	everywhere(t, func(t *testing.T, replicas []*replica) {
		first := create(t, replicas[0], named.Definition{ID: "api", Rate: "10/hour"})
		for range 10 {
			take(t, replicas[0], "api", 0)
		}
		change := named.Definition{ID: "api", Rate: "20/hour", Version: first.Version}
		second, err := replicas[1].Update(t.Context(), change)
		if err != nil || second.Burst != 20 || second.Version <= first.Version {
			t.Fatalf("%+v, %v", second, err)
		}
		var conflict named.Conflict
		if _, err := replicas[0].Update(t.Context(), change); !errors.As(err, &conflict) || conflict.Current != second.Version {
			t.Errorf("an update of the old version: %v", err)
		}
		if err := replicas[0].Delete(t.Context(), "api", first.Version); !errors.As(err, &conflict) || conflict.Current != second.Version {
			t.Errorf("a deletion of the old version: %v", err)
		}
		there, level, err := replicas[0].Get(t.Context(), "api")
		if err != nil || there != second || level.Remaining != 10 {
			t.Errorf("%+v with %d tokens, %v, want %+v with the 10 that came with it", there, level.Remaining, err, second)
		}
	})
}

// A bucket of the id of one that was deleted is a new one.
func TestADeletedBucketIsForgotten(t *testing.T) {
	everywhere(t, func(t *testing.T, replicas []*replica) {
		for round := range 2 {
			create(t, replicas[round], named.Definition{ID: "api", Rate: "1/hour"})
			if !take(t, replicas[1], "api", 0).Admitted || take(t, replicas[0], "api", 0).Admitted {
				t.Errorf("round %d: not one token was there", round)
			}
			if err := replicas[1-round].Delete(t.Context(), "api", 0); err != nil {
				t.Fatal(err)
			}
			if _, err := replicas[1-round].Take(t.Context(), "api", 1, 0); !errors.Is(err, named.ErrUnknown) {
				t.Errorf("round %d: %v", round, err)
			}
		}
		notes, err := replicas[0].ledger.Notes(t.Context(), 10)
		if err != nil || len(notes) != 2 || !strings.Contains(string(notes[0]), `"action":"bucket_deleted"`) {
			t.Errorf("the journal says %s, %v", notes, err)
		}
	})
}

// Whatever is wrong with a bucket is told by field and remedy, and it is not made.
func TestW11_W14_BadNumbersAreRefused(t *testing.T) {
	r := inMemory(t, 1)[0]
	good := named.Definition{ID: "b", Rate: "1/4s", Burst: 4}
	with := func(change func(*named.Definition)) named.Definition {
		d := good
		change(&d)
		return d
	}
	for field, all := range map[string][]named.Definition{
		"id": {
			{Rate: "1/s"},
			with(func(d *named.Definition) { d.ID = "a b" }), with(func(d *named.Definition) { d.ID = "a\n" }),
			with(func(d *named.Definition) { d.ID = "\xff" }), with(func(d *named.Definition) { d.ID = strings.Repeat("x", 201) }),
		},
		"rate": {
			named.Drip("b", 4, 0), named.Drip("b", 4, -1), named.Drip("b", 4, 1<<62), with(func(d *named.Definition) { d.Rate = "" }),
			with(func(d *named.Definition) { d.Rate = "0/s" }), with(func(d *named.Definition) { d.Rate = "10/month" }),
		},
		"burst": {
			named.Drip("b", -1, 4000), named.Drip("b", 1<<62, 4000), named.Drip("b", 1<<50, 365*24*3600*1000),
			with(func(d *named.Definition) { d.Burst = -4 }), with(func(d *named.Definition) { d.Burst = 1<<63 - 1 }),
		},
		"initial": {
			with(func(d *named.Definition) { d.Initial = "half" }), with(func(d *named.Definition) { d.Initial = "5" }),
			with(func(d *named.Definition) { d.Initial = "-1" }), with(func(d *named.Definition) { d.Initial = "04" }),
		},
		"max_wait": {
			with(func(d *named.Definition) { d.MaxWait = -1 }), with(func(d *named.Definition) { d.MaxWait = 1 }),
			with(func(d *named.Definition) { d.MaxWait = named.Duration(25 * time.Hour) }),
		},
		"max_waiters": {
			with(func(d *named.Definition) { d.MaxWaiters = -1 }), with(func(d *named.Definition) { d.MaxWaiters = 1_000_001 }),
		},
	} {
		for _, d := range all {
			_, created, err := r.Create(t.Context(), d)
			var fault descriptors.ChangeFault
			if created || !errors.As(err, &fault) || fault.Field != field || fault.Remedy == "" {
				t.Errorf("%+v: created %v, %#v, want a fault of %s with a remedy", d, created, err, field)
			}
		}
	}
	if version, _ := r.ledger.Version(t.Context()); version != 0 {
		t.Error("a bucket that was refused left a record")
	}
	create(t, r, good)
	before, _, _ := r.Get(t.Context(), "b")
	if _, err := r.Update(t.Context(), with(func(d *named.Definition) { d.Rate, d.Version = "0/s", before.Version })); err == nil {
		t.Error("an update to a rate of 0 was made")
	}
	if after, _, _ := r.Get(t.Context(), "b"); after != before {
		t.Errorf("a refused update left %+v, want %+v", after, before)
	}
	for _, tokens := range []int64{0, -1, -1 << 63} {
		var fault descriptors.ChangeFault
		if _, err := r.Take(t.Context(), "b", tokens, 0); !errors.As(err, &fault) || fault.Field != "tokens" {
			t.Errorf("%d tokens: %v", tokens, err)
		}
	}
	for _, tokens := range []int64{5, 1<<63 - 1} {
		if a, err := r.Take(t.Context(), "b", tokens, time.Hour); err != nil || a.Admitted || !a.Never || a.Delay != 0 {
			t.Errorf("%d tokens of a bucket of 4: %+v, %v", tokens, a, err)
		}
	}
	if a := take(t, r, "b", 0); a.Remaining != 3 {
		t.Errorf("refusals took tokens: %d are left", a.Remaining)
	}
}

// Whoever can create buckets cannot fill the memory of all replicas with them.
func TestL07_TheNumberOfBucketsIsBounded(t *testing.T) {
	r := inMemory(t, 1)[0]
	set := map[string][]byte{"limit/other": []byte("{}")}
	for i := range named.MaxBuckets {
		set[fmt.Sprint("bucket/", i)] = []byte(`{"rate":"1/s","burst":1,"initial":"full","max_wait":"1h","max_waiters":1}`)
	}
	if _, _, err := r.ledger.Write(t.Context(), 0, set, nil, nil); err != nil {
		t.Fatal(err)
	}
	if _, created, err := r.Create(t.Context(), named.Drip("one more", 1, 1)); created || err == nil {
		t.Error("one more bucket was created")
	}
	_, created, err := r.Create(t.Context(), named.Drip("one-more", 1, 1))
	var fault descriptors.ChangeFault
	if created || !errors.As(err, &fault) || !strings.Contains(fault.Remedy, "delete") {
		t.Errorf("created %v, %v, want a fault", created, err)
	}
	if err := r.Delete(t.Context(), "17", 0); err != nil {
		t.Fatal(err)
	}
	create(t, r, named.Drip("one-more", 1, 1))
}

// What another version of weir wrote is not overwritten by who creates a bucket,
// and can be deleted.
func TestARecordThatCannotBeReadStays(t *testing.T) {
	r := inMemory(t, 1)[0]
	for i, raw := range []string{"", "[]", `{"rate":"1/eon"}`, `{"rate":"1/s","burst":-1}`} {
		id := fmt.Sprint("b", i)
		version, _ := r.ledger.Version(t.Context())
		if _, written, err := r.ledger.Write(t.Context(), version, map[string][]byte{"bucket/" + id: []byte(raw)}, nil, nil); !written || err != nil {
			t.Fatal(err)
		}
		_, created, err := r.Create(t.Context(), named.Drip(id, 1, 1))
		if created || err == nil || !strings.Contains(err.Error(), "bucket "+id) || !strings.Contains(err.Error(), "delete the bucket") {
			t.Errorf("%q: created %v, %v", raw, created, err)
		}
		if err := r.Delete(t.Context(), id, 0); err != nil {
			t.Errorf("%q cannot be deleted: %v", raw, err)
		}
		create(t, r, named.Drip(id, 1, 1))
	}
}

// What is answered is what the next reader of the ledger sees.
func TestADefinitionIsReadAsItWasWritten(t *testing.T) {
	replicas := inMemory(t, 2)
	for _, d := range []named.Definition{
		named.Drip("drip", 4, 4000),
		{ID: "least", Rate: "1/s"},
		{ID: "all", Rate: "3/90min", Burst: 7, Initial: "2", MaxWait: named.Duration(1500 * time.Millisecond), MaxWaiters: 3},
	} {
		there := create(t, replicas[0], d)
		got, _, err := replicas[1].Get(t.Context(), d.ID)
		if err != nil || !reflect.DeepEqual(got, there) {
			t.Errorf("created %+v, read %+v, %v", there, got, err)
		}
		if there.Burst == 0 || there.Initial == "" || there.MaxWait == 0 || there.MaxWaiters == 0 || there.Version == 0 {
			t.Errorf("%+v: what was left out is not filled in", there)
		}
	}
}

// A Redis that is restarted empty does not lose the buckets of a running fleet,
// and never hands out more than their bursts anew.
func TestBucketsSurviveARedisThatLosesEverything(t *testing.T) {
	server := partstest.Redis(t, parts.RedisServer)
	replicas := onRedis(t, server, 2)
	create(t, replicas[0], named.Definition{ID: "api", Rate: "1/hour"})
	take(t, replicas[1], "api", 0)
	admin := goredis.NewClient(&goredis.Options{Addr: server.Addr})
	defer func() { _ = admin.Close() }()
	admin.FlushAll(t.Context())
	if listed, err := replicas[1].List(t.Context()); err != nil || len(listed) != 1 {
		t.Errorf("%d buckets are left, %v", len(listed), err)
	}
	if !take(t, replicas[0], "api", 0).Admitted || take(t, replicas[1], "api", 0).Admitted {
		t.Error("not one token was there")
	}
}
