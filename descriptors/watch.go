package descriptors

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// pollEvery bounds how long a change stays unseen where the system reports
	// none: on network file systems, behind a link into another directory, or
	// when its watches are used up.
	pollEvery = 500 * time.Millisecond
	// quiet is how long to wait for more after a report: an editor's save is
	// several changes, and a file that is half written is better not read.
	quiet = 50 * time.Millisecond
	// settleWithin bounds that waiting, for a directory that never gets quiet.
	settleWithin = 250 * time.Millisecond
)

// Watch reloads whenever something changes and calls onReload for each reload
// that found a change, until ctx ends, whose error it returns. It begins with a
// reload of its own. onReload is called from this goroutine only.
//
// A ConfigMap swaps a link beside its files, so the directory is watched and
// not the files, and what decides is their content.
func (s *Source) Watch(ctx context.Context, onReload func(Report)) error {
	return Follow(ctx, s.poll, func() []string { return []string{s.directory()} }, func() {
		if r := s.Reload(); r.Changed {
			onReload(r)
		}
	})
}

// Follow calls look, and again whenever something changes in one of directories and when
// poll has passed, until ctx ends, whose error it returns. All is called from this
// goroutine. directories is asked before each look, as other ones may stand at the same
// names, and after it, as it may find more of them; what the system cannot watch of them is
// left to poll.
func Follow(ctx context.Context, poll time.Duration, directories func() []string, look func()) error {
	var w watcher
	events := make(<-chan fsnotify.Event)
	if w.Watcher, _ = fsnotify.NewWatcher(); w.Watcher != nil {
		defer w.Close()
		events = w.Events
	}
	again := time.NewTicker(poll)
	defer again.Stop()
	for {
		w.watch(directories())
		look()
		if w.watch(directories()) {
			look() // at what changed before it was watched
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-again.C:
		case <-events:
		}
		waitQuiet(ctx, events) // after a poll too: it may have come in the middle of a write
	}
}

// watcher is the system's, nil if it has none left.
type watcher struct{ *fsnotify.Watcher }

// watch has directories watched and nothing else. more tells that one was not before.
func (w watcher) watch(directories []string) (more bool) {
	if w.Watcher == nil {
		return false
	}
	wanted := map[string]bool{}
	for _, d := range directories {
		wanted[d] = true
	}
	for _, before := range w.WatchList() {
		if !wanted[before] {
			_ = w.Remove(before)
		}
		delete(wanted, before)
	}
	for _, d := range directories {
		// Again each time: the directory may be another one by the same name.
		more = w.Add(d) == nil && wanted[d] || more
	}
	drainErrors(w.Watcher)
	return more
}

// directory is the directory to watch.
func (s *Source) directory() string {
	if info, err := os.Stat(s.path); err == nil && info.IsDir() {
		return s.path
	}
	return filepath.Dir(s.path)
}

// waitQuiet waits until no event has come for a while.
func waitQuiet(ctx context.Context, events <-chan fsnotify.Event) {
	end := time.After(settleWithin)
	for {
		select {
		case <-ctx.Done():
			return
		case <-end:
			return
		case <-time.After(quiet):
			return
		case <-events:
		}
	}
}

// drainErrors drops what the watcher complains about: an overflow of its queue
// is made good by the next poll, and it must not block on being heard.
func drainErrors(w *fsnotify.Watcher) {
	for {
		select {
		case <-w.Errors:
		default:
			return
		}
	}
}
