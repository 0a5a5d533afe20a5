// Package files reads what files say that may be replaced while weir runs: certificates,
// authorities, secrets.
package files

import (
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
)

// Every is how often files are looked at, at most, if a client that connects has them
// looked at: what was replaced serves without a restart.
const Every = time.Second

// Replaced are some files and what they say, which is read again when one was replaced. What
// cannot be used, or was replaced in part so far, is left until it is good.
type Replaced[T any] struct {
	What  string        // they are, for the log
	Names []string      // of the files; an empty one is of none
	Every time.Duration // how often they are looked at, at most
	Read  func() (T, error)
	Log   *slog.Logger

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

// Open reads the files, which must be good at the start.
func (f *Replaced[T]) Open() (err error) {
	f.stamps, f.looked = f.stamp(), time.Now()
	f.good, err = f.Read()
	return err
}

// Current is what the files say.
func (f *Replaced[T]) Current() T {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.looked) < f.Every {
		return f.good
	}
	f.looked = time.Now()
	stamps := f.stamp()
	if slices.Equal(stamps, f.stamps) {
		return f.good
	}
	f.stamps = stamps
	good, err := f.Read()
	if err != nil {
		f.Log.Warn("a file was replaced by one that cannot be used; the one before stays", "what", f.What, "error", err.Error())
		return f.good
	}
	f.Log.Info("a file was replaced", "what", f.What)
	f.good = good
	return good
}

func (f *Replaced[T]) stamp() []stamp {
	stamps := make([]stamp, len(f.Names))
	for i, name := range f.Names {
		if info, err := os.Stat(name); name != "" && err == nil {
			stamps[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return stamps
}
