package records

import (
	"context"
	"time"
)

// patience is how long one question to a store may take.
const patience = 2 * time.Second

// Watch asks the store for its version until ctx ends, and calls changed with all
// records where it is another one: first with those that are there at the start.
// What it is given is not to be changed. failed is told when the store begins to
// fail and, with nil, when it answers again. Both are called from the calling
// goroutine.
func Watch(ctx context.Context, r Records, every time.Duration, changed func(version int64, records map[string][]byte), failed func(error)) {
	w := watch{records: r, known: -1, changed: changed}
	failing := false
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		err := w.look(ctx)
		if ctx.Err() != nil {
			return
		}
		if (err != nil) != failing {
			failing = !failing
			failed(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

type watch struct {
	records Records
	known   int64 // the version told last
	changed func(version int64, records map[string][]byte)
}

func (w *watch) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	version, err := w.records.Version(ctx)
	if err != nil || version == w.known {
		return err
	}
	version, records, err := w.records.Read(ctx)
	if err != nil {
		return err
	}
	w.known = version
	w.changed(version, records)
	return nil
}
