package storetest

import (
	"time"

	"github.com/weir-rls/weir/buckets"
)

// forget forgets buckets on the next replica.
func (s *scene) forget(keys ...string) {
	s.Helper()
	store := s.stores[s.calls%len(s.stores)]
	s.calls++
	if err := store.(buckets.Forgetter).Forget(s.Context(), keys); err != nil {
		s.Fatal(err)
	}
}

// forgotten exhausts a bucket of each kind and asks as much of it again once it is
// forgotten, on another replica. What is not named keeps what it has.
func forgotten(s *scene) {
	late, err := buckets.Terms{Tokens: 10, Period: time.Second, Capacity: 20, Missing: 15}.TokenBucket()
	if err != nil {
		s.Fatal(err)
	}
	pool, classes, err := buckets.NewPool(buckets.Terms{Tokens: 10, Period: time.Second, Capacity: 10},
		[]buckets.ClassTerms{{Guarantee: 1, Period: time.Second, Reserve: 5}})
	if err != nil {
		s.Fatal(err)
	}
	drawn := take("pool", pool, 5)
	drawn.Class, drawn.ClassKey = &classes[0], "{story}pool/class"
	hold := func(key string, b buckets.Bucket, lease string) buckets.Charge {
		c := take(key, b, b.Size())
		c.Lease = lease
		return c
	}
	charges := []buckets.Charge{
		take("token", s.tenPerSecond(), 100),
		take("late", late, 5),
		take("fixed", buckets.FixedWindow{Limit: 7, Calendar: buckets.Calendar{Unit: buckets.CalendarDay}}, 7),
		take("sliding", buckets.SlidingWindow{Limit: 7, Window: 60_000_000, Parts: 6}, 7),
		hold("slots", buckets.Slots{Count: 3, TTL: 60_000_000}, "held"),
		drawn,
	}
	s.forget()
	for i, c := range charges {
		beside := c
		beside.Key += " beside"
		if c.Class != nil {
			beside.ClassKey += " beside"
		}
		fresh := s.ask(c)[0]
		s.ask(beside)
		if again := s.ask(second(c))[0]; !fresh.Admitted || again.Admitted {
			s.Fatalf("charge %d: %+v and then %+v, want one admitted", i, fresh, again)
		}
		s.forget(c.Key, c.ClassKey, "{story}never seen")
		if got := s.ask(second(c))[0]; got != fresh {
			s.Errorf("charge %d: %+v of the forgotten bucket, want %+v as of one never seen", i, got, fresh)
		}
		if got := s.ask(second(beside))[0]; got.Admitted {
			s.Errorf("charge %d: the bucket beside the forgotten one was forgotten too", i)
		}
	}
}

// second is a charge like c that no lease makes the same one.
func second(c buckets.Charge) buckets.Charge {
	if c.Lease != "" {
		c.Lease = "another"
	}
	return c
}
