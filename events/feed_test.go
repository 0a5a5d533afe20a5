package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// sent is a message as text.
func sent(t *testing.T, messages <-chan []byte) string {
	t.Helper()
	text, more := <-messages
	if !more {
		return "the end"
	}
	var m Message
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	words := []string{}
	if m.Begin {
		words = append(words, "begin")
	}
	for _, e := range m.Events {
		words = append(words, e.Text)
	}
	return strings.Join(words, " ")
}

func add(f *Feed, texts ...string) {
	var all []Event
	for _, text := range texts {
		all = append(all, Event{Text: text})
	}
	if _, err := f.Sink().Send(context.Background(), all); err != nil {
		panic(err)
	}
}

// Who looks sees what is kept, and then what comes.
func TestFeed_KeepsTheLatestAndTellsOfMore(t *testing.T) {
	f := NewFeed(3)
	add(f, "a", "b")
	one, leave, err := f.Subscribe()
	if err != nil {
		t.Fatal(err)
	}
	add(f, "c", "d")
	two, _, _ := f.Subscribe()
	leave()
	add(f, "e")
	for _, step := range []struct {
		from <-chan []byte
		want string
	}{{one, "begin a b"}, {one, "c d"}, {two, "begin b c d"}, {two, "e"}} {
		if got := sent(t, step.from); got != step.want {
			t.Errorf("told %q, want %q", got, step.want)
		}
	}
	if len(one) != 0 {
		t.Error("who has left is told of more")
	}
	if kept := f.Kept(); len(kept) != 3 || kept[0].Text != "c" || kept[2].Text != "e" {
		t.Errorf("kept are %v", kept)
	}
}

// Nobody who is slow, and no number of readers, holds anything up.
func TestOverload_AFeedWaitsForNobodyAndHasABoundForReaders(t *testing.T) {
	f := NewFeed(10)
	slow, _, _ := f.Subscribe()
	for i := range lag + 5 {
		add(f, fmt.Sprint(i))
	}
	for i := range lag {
		if got := sent(t, slow); i > 0 && got != fmt.Sprint(i-1) {
			t.Errorf("message %d is %q", i, got)
		}
	}
	select {
	case _, more := <-slow:
		if more {
			t.Error("who does not read is told more than he may be behind")
		}
	default:
		t.Error("who does not read is not dropped")
	}
	for range MaxReaders {
		if _, _, err := f.Subscribe(); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := f.Subscribe(); !errors.Is(err, ErrManyReaders) {
		t.Errorf("one reader too many is answered %v", err)
	}
	f.End()
	if len(f.readers) != 0 {
		t.Error("readers outlive the end")
	}
	if _, _, err := f.Subscribe(); !errors.Is(err, ErrEnding) {
		t.Errorf("after the end a reader is answered %v", err)
	}
}
