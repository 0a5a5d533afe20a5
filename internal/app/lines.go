package app

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/weir-rls/weir/line"
)

// openLines opens the port of the line protocol, if there is to be one.
func (a *App) openLines() (err error) {
	if a.settings.LineListen == "" {
		return nil
	}
	if a.lineListener, err = net.Listen("tcp", a.settings.LineListen); err != nil {
		return fmt.Errorf("open the port of the line protocol (--line-listen): %w", err)
	}
	a.lines = line.New(line.Options{
		Buckets: a.live.buckets, Log: a.log, Panicked: a.metrics.Panic,
		Answered: func(verb string, r line.Result) { a.metrics.Line(verb, string(r)) },
	})
	return nil
}

// closeLines answers who still waits and ends the connections.
func (a *App) closeLines(ctx context.Context) {
	if a.lines == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := a.lines.Shutdown(ctx); err != nil {
		a.log.Warn("clients of the line protocol are cut off", "error", err.Error())
	}
}
