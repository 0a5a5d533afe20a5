// Command demo shows a real Envoy refusing requests because weir said so. It
// starts a small upstream, weir and Envoy on loopback ports, sends requests,
// tells what became of them, and keeps running for requests by hand.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

type options struct {
	store    string // memory or redis
	weir     string // path of the weir binary
	files    string // directory of envoy.yaml and rules
	port     int    // of the first Envoy
	once     bool   // stop after the story
	upstream string // host:port: serve nothing but the upstream
}

func main() {
	// SIGHUP too: a closed terminal must not leave processes behind.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	if o.upstream != "" {
		return serveUpstream(ctx, o.upstream)
	}
	show := newScreen(out)
	show.title("weir between Envoy and an upstream, tokens kept in " + o.store)
	t, err := start(o, show)
	if err != nil {
		return err
	}
	err = tell(ctx, t, show)
	if err == nil && !o.once {
		show.invitation(t)
		err = t.wait(ctx)
	}
	if ctx.Err() != nil {
		err = nil // whatever a Ctrl-C interrupted is no fault
	}
	show.line("")
	show.line("Stopping.")
	return errors.Join(err, t.stop())
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.StringVar(&o.store, "store", "memory", "where the tokens are kept: memory, or redis with two replicas of weir and two Envoys")
	flags.StringVar(&o.weir, "weir", "bin/weir", "the weir binary")
	flags.StringVar(&o.files, "files", "examples/demo", "the directory of envoy.yaml and rules")
	flags.IntVar(&o.port, "port", 10000, "the port of the first Envoy; a taken one is replaced")
	flags.BoolVar(&o.once, "once", false, "stop after the story")
	flags.StringVar(&o.upstream, "upstream", "", "serve nothing but the demo's upstream on this host:port")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.store != "memory" && o.store != "redis" {
		return o, fmt.Errorf("-store %s: want memory or redis", o.store)
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return o, nil
}
