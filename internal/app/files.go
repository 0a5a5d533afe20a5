package app

import (
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
)

// files are some files and what they say, which is read again when one was replaced. What
// cannot be used, or was replaced in part so far, is left until it is good.
type files[T any] struct {
	what  string // they are, for the log
	names []string
	every time.Duration // how often they are looked at, at most
	read  func() (T, error)
	log   *slog.Logger

	mu     sync.Mutex
	looked time.Time
	stamps []stamp
	good   T
}

// stamp tells whether a file is another one than before.
type stamp struct {
	modified time.Time
	size     int64
}

// open reads the files, which must be good at the start.
func (f *files[T]) open() (err error) {
	f.stamps, f.looked = f.stamp(), time.Now()
	f.good, err = f.read()
	return err
}

// current is what the files say.
func (f *files[T]) current() T {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.looked) < f.every {
		return f.good
	}
	f.looked = time.Now()
	stamps := f.stamp()
	if slices.Equal(stamps, f.stamps) {
		return f.good
	}
	f.stamps = stamps
	good, err := f.read()
	if err != nil {
		f.log.Warn("a file was replaced by one that cannot be used; the one before stays", "what", f.what, "error", err.Error())
		return f.good
	}
	f.log.Info("a file was replaced", "what", f.what)
	f.good = good
	return good
}

func (f *files[T]) stamp() []stamp {
	stamps := make([]stamp, len(f.names))
	for i, name := range f.names {
		if info, err := os.Stat(name); name != "" && err == nil {
			stamps[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return stamps
}
