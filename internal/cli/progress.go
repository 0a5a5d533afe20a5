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

// startProgress shows the progress of what towards a bound until it is stopped,
// if out is a terminal.
func startProgress(out io.Writer, what string, bound bench.Bound, sent func() int64) *progress {
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
				fmt.Fprint(out, "\r"+progressBar(what, bound, time.Since(start), sent())+"\x1b[K")
			}
		}
	})
	return p
}

func (p *progress) stop() {
	close(p.done)
	p.stopped.Wait()
}

// progressBar is one line.
func progressBar(what string, bound bench.Bound, elapsed time.Duration, sent int64) string {
	share := 0.0
	if bound.Duration > 0 {
		share = elapsed.Seconds() / bound.Duration.Seconds()
	}
	if bound.Requests > 0 {
		share = max(share, float64(sent)/float64(bound.Requests))
	}
	full := int(min(share, 1) * progressWidth)
	return fmt.Sprintf("%-8s %s%s %3.0f %%  %d requests, %.0f/s", what, strings.Repeat("█", full), strings.Repeat("░", progressWidth-full),
		100*min(share, 1), sent, float64(sent)/elapsed.Seconds())
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
