package events

import (
	"fmt"
	"testing"
	"time"
)

const second = int64(time.Second / time.Microsecond)

// A move is told once, however many requests see it, and to whom it is new.
func TestG23_ABreakersMoveIsToldOnce(t *testing.T) {
	b, now := &Breakers{}, 1_800_000_000*second
	for i, c := range []struct {
		key, state string
		at         int64 // seconds later
		from       string
		moved      bool
	}{
		{"a", "closed", 0, "", false}, // as it was before anybody looked
		{"a", "open", 1, "closed", true},
		{"a", "open", 1, "open", false},
		{"a", "open", 2, "open", false},
		{"b", "open", 2, "closed", true},
		{"a", "closed", 0, "", false}, // seen before it opened, told late
		{"a", "half_open", 31, "open", true},
		{"a", "half_open", 31, "half_open", false},
		{"a", "closed", 32, "half_open", true},
		{"a", "open", 31, "", false}, // late again
		{"a", "closed", 33, "closed", false},
		{"a", "open", 40, "closed", true},
		{"b", "closed", 41, "open", true},
		{"a", "closed", -3600, "open", true}, // the store's clock was set back, or another store took over
		{"a", "open", -3599, "closed", true},
		{"c", "half_open", 50, "closed", true}, // another replica opened it
	} {
		from, moved := b.Moved(c.key, c.state, now+c.at*second)
		if moved != c.moved || moved && from != c.from {
			t.Errorf("%d: %s is %s at %d: from %q, moved %v", i, c.key, c.state, c.at, from, moved)
		}
	}
}

// Clients choose the values for which there are breakers: what is remembered is
// bounded, and what is over gives way.
func TestBreakersAreBounded(t *testing.T) {
	b, now := &Breakers{}, 1_800_000_000*second
	fill := func(prefix, state string, n int) (moved int) {
		for i := range n {
			if _, m := b.Moved(fmt.Sprint(prefix, i), state, now); m {
				moved++
			}
		}
		return moved
	}
	if n := fill("a", "closed", 2*maxBreakers); n != 0 || len(b.known) != 0 {
		t.Errorf("%d moved, %d are remembered of closed ones", n, len(b.known))
	}
	if n := fill("a", "open", 2*maxBreakers); n != maxBreakers || len(b.known) != maxBreakers {
		t.Errorf("%d moved, %d are remembered", n, len(b.known))
	}
	now += 2 * second
	fill("a", "closed", maxBreakers/2)
	now += 30 * second
	if n := fill("b", "open", 10); n != 0 {
		t.Errorf("%d moved where there is no room", n)
	}
	now += 60 * second
	if n := fill("b", "open", maxBreakers); n != maxBreakers/2 {
		t.Errorf("%d moved into the room that closed ones leave", n)
	}
	now += 3601 * second
	if n := fill("c", "open", 10); n != 10 {
		t.Errorf("%d moved after an hour", n)
	}
}

// A full memory is not searched for each request.
func TestBreakersLookForRoomOnceASecond(t *testing.T) {
	b, now := &Breakers{}, 1_800_000_000*second
	for i := range maxBreakers {
		b.Moved(fmt.Sprint(i), "open", now)
	}
	b.Moved("one more", "open", now+second)
	searched := b.swept
	b.Moved("another", "open", now+second+second/2)
	if b.swept != searched || searched != now+second {
		t.Errorf("searched at %d, then at %d", searched-now, b.swept-now)
	}
	if n := testing.AllocsPerRun(100, func() { b.Moved("0", "open", now); b.Moved("closed", "closed", now) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
