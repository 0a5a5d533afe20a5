package stage

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// Main is the main function of an example.
func Main(e Example) {
	// SIGHUP too: a closed terminal must not leave processes behind.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx, e, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, e.Name+":", err)
		os.Exit(1)
	}
}

// flags are what the command line says.
type flags struct {
	Options
	once     bool   // stop after the story
	upstream string // [CLUSTER=]HOST:PORT: serve nothing but this upstream
}

func run(ctx context.Context, e Example, args []string, out io.Writer) error {
	f, err := parse(e, args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	if f.upstream != "" {
		return serveNamed(ctx, e, f.upstream)
	}
	screen := NewScreen(out)
	screen.Title(e.Title + ", tokens kept in " + f.Store)
	s, err := Start(e, f.Options, screen)
	if err != nil {
		return err
	}
	err = e.Story(ctx, s)
	if err == nil && !f.once {
		invite(e, s)
		err = s.Wait(ctx)
	}
	if ctx.Err() != nil {
		err = nil // whatever a Ctrl-C interrupted is no fault
	}
	screen.Line("")
	screen.Line("Stopping.")
	return errors.Join(err, s.Stop())
}

func invite(e Example, s *Stage) {
	s.Screen.Title("Now you")
	if e.Platform == nil {
		s.Screen.Line("  open " + s.Dashboard() + " in a browser: who is refused by which limit, and a form to set another")
	}
	if e.Token != "" {
		s.Screen.Line("    log in with the token " + e.Token)
	}
	if e.Invite != nil {
		for _, line := range e.Invite(s) {
			s.Screen.Line("  " + line)
		}
	}
	s.Screen.Line("")
	s.Screen.Line("Running until Ctrl-C.")
}

func parse(e Example, args []string) (flags, error) {
	var f flags
	set := flag.NewFlagSet(e.Name, flag.ContinueOnError)
	set.StringVar(&f.Store, "store", "memory", "where the tokens are kept: memory, or redis with two replicas of weir and two Envoys")
	set.StringVar(&f.Weir, "weir", "bin/weir", "the weir binary")
	set.StringVar(&f.Files, "files", filepath.Join("examples", e.Name), "the directory of envoy.yaml and the rules")
	set.IntVar(&f.Port, "port", 10000, "the port of the first Envoy; a taken one is replaced")
	set.IntVar(&f.HTTP, "http-port", 8080, "the port of the first weir's API and dashboard; a taken one is replaced")
	set.BoolVar(&f.once, "once", false, "stop after the story")
	set.StringVar(&f.upstream, "upstream", "", "serve nothing but the example's upstream on this [CLUSTER=]HOST:PORT")
	if err := set.Parse(args); err != nil {
		return f, err
	}
	if f.Store != "memory" && f.Store != "redis" {
		return f, fmt.Errorf("-store %s: want memory or redis", f.Store)
	}
	if set.NArg() > 0 {
		return f, fmt.Errorf("unexpected argument %q", set.Arg(0))
	}
	return f, nil
}

// serveNamed serves the upstream of the named cluster, the first without a name.
func serveNamed(ctx context.Context, e Example, place string) error {
	cluster, addr, named := strings.Cut(place, "=")
	if !named {
		cluster, addr = e.Upstreams[0].Cluster, place
	}
	for _, u := range e.Upstreams {
		if u.Cluster == cluster {
			return serve(ctx, u, addr)
		}
	}
	return fmt.Errorf("-upstream %s: the example has no upstream for a cluster %q", place, cluster)
}
