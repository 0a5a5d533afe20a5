package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/weir-rls/weir/internal/bench"
)

// progress shows on a terminal how far a load is.
type progress struct {
	done    chan struct{}
	stopped sync.WaitGroup
}

const (
	progressEvery = 200 * time.Millisecond
	progressWidth = 30
)

// startProgress shows the progress of what until it is stopped, if out is a terminal.
// share tells how much of it is done, below 0 where nobody knows.
func startProgress(out io.Writer, what string, share func(elapsed time.Duration, done int64) float64, done func() int64) *progress {
	p := &progress{done: make(chan struct{})}
	if !terminal(out) {
		return p
	}
	start := time.Now()
	p.stopped.Go(func() {
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-p.done:
				fmt.Fprint(out, "\r\x1b[K") // the report takes the bar's place
				return
			case <-tick.C:
				elapsed, n := time.Since(start), done()
				fmt.Fprint(out, "\r"+progressBar(what, share(elapsed, n), elapsed, n)+"\x1b[K")
			}
		}
	})
	return p
}

func (p *progress) stop() {
	close(p.done)
	p.stopped.Wait()
}

// towards tells how much of a load is done.
func towards(bound bench.Bound) func(elapsed time.Duration, sent int64) float64 {
	return func(elapsed time.Duration, sent int64) float64 {
		share := 0.0
		if bound.Duration > 0 {
			share = elapsed.Seconds() / bound.Duration.Seconds()
		}
		if bound.Requests > 0 {
			share = max(share, float64(sent)/float64(bound.Requests))
		}
		return share
	}
}

// progressBar is one line.
func progressBar(what string, share float64, elapsed time.Duration, done int64) string {
	counter := fmt.Sprintf("%d requests, %.0f/s", done, float64(done)/elapsed.Seconds())
	if share < 0 {
		return fmt.Sprintf("%-8s %s", what, counter)
	}
	share = min(share, 1)
	full := int(share * progressWidth)
	line := fmt.Sprintf("%-8s %s%s %3.0f %%  %s", what, strings.Repeat("█", full), strings.Repeat("░", progressWidth-full), 100*share, counter)
	if share > 0 && share < 1 && elapsed > time.Second {
		line += ", " + time.Duration(elapsed.Seconds()*(1-share)/share*1e9).Round(time.Second).String() + " left"
	}
	return line
}

// terminal tells whether out is one. /dev/null is a character device too, and
// shows nothing.
func terminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
