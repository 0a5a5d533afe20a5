package events

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

func texts(events []Numbered) string {
	var all []string
	for _, e := range events {
		all = append(all, fmt.Sprintf("%d:%s", e.Number, e.Text))
	}
	return strings.Join(all, " ")
}

// Who looks sees the latest, in order, and learns how many he has missed.
func TestFeed_KeepsTheLatestAndTellsHowManyWereMissed(t *testing.T) {
	f := NewFeed(3)
	for _, step := range []struct {
		add    string
		after  int64
		want   string
		missed int64
	}{
		{"", 0, "", 0},
		{"a b", 0, "1:a 2:b", 0},
		{"", 1, "2:b", 0},
		{"", 2, "", 0},
		{"c d e", 0, "3:c 4:d 5:e", 2},
		{"", 1, "3:c 4:d 5:e", 1},
		{"", 4, "5:e", 0},
		{"", 99, "3:c 4:d 5:e", 2}, // a number of another process
		{"", -1, "3:c 4:d 5:e", 2},
	} {
		var told []Event
		for _, text := range strings.Fields(step.add) {
			told = append(told, Event{Text: text})
		}
		if len(told) > 0 {
			if n, err := f.Sink().Send(t.Context(), told); n != len(told) || err != nil {
				t.Fatal(n, err)
			}
		}
		events, missed, _ := f.After(step.after)
		if got := texts(events); got != step.want || missed != step.missed {
			t.Errorf("after %d there are %q with %d missed, want %q with %d", step.after, got, missed, step.want, step.missed)
		}
	}
}

// Who waits is woken by what comes, and misses nothing of it while he is fast enough.
func TestFeed_WhoWaitsIsToldOfEachEventOnce(t *testing.T) {
	const all = 1000
	f := NewFeed(all)
	var readers sync.WaitGroup
	for range 5 {
		readers.Go(func() {
			seen := int64(0)
			for seen < all {
				events, missed, more := f.After(seen)
				if missed > 0 {
					t.Errorf("%d are missed", missed)
					return
				}
				for _, e := range events {
					if seen++; e.Number != seen {
						t.Errorf("number %d comes as the %d.", e.Number, seen)
					}
				}
				if len(events) == 0 {
					<-more
				}
			}
		})
	}
	for i := range all {
		f.add([]Event{{Text: fmt.Sprint(i)}})
	}
	readers.Wait()
}
