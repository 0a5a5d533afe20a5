// Command bench measures weir beside a server that does nothing, and writes what
// it found into docs/explanation/performance.md: make bench.
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
	"time"
)

// plan is how much is measured.
type plan struct {
	rounds int           // of each scenario; a figure is the median of its rounds
	slice  time.Duration // of a server in a round
	warmup time.Duration // of each server before its first round
	rules  []int         // the sizes of rule files
	keys   int           // that are kept at once, in thousands of 8
}

var (
	// full takes some four minutes.
	full = plan{rounds: 15, slice: 500 * time.Millisecond, warmup: time.Second, rules: []int{10, 1_000, 10_000, 100_000}, keys: 1_000_000}
	// short shows that everything runs; its figures are no measurement.
	short = plan{rounds: 1, slice: 100 * time.Millisecond, warmup: 100 * time.Millisecond, rules: []int{10, 1_000}, keys: 8_000}
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures and writes the page, or only what would be its measured part
// where the measurement is short.
func run(ctx context.Context, args []string, out, log io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(log)
	binary := flags.String("weir", "bin/weir", "the weir to measure")
	path := flags.String("page", "docs/explanation/performance.md", "the page whose measured part is written anew")
	brief := flags.Bool("short", false, "a moment for each scenario: shows that all of it runs, and leaves the page alone")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *brief {
		measured, err := measureAll(ctx, short, *binary, log)
		if err != nil {
			return err
		}
		_, err = io.WriteString(out, measured.markdown())
		return err
	}
	// Once before, so that no minutes are spent in vain, and once after, because
	// the page may have been edited meanwhile.
	if err := writePage(*path, ""); err != nil {
		return err
	}
	measured, err := measureAll(ctx, full, *binary, log)
	if err != nil {
		return err
	}
	return writePage(*path, measured.markdown())
}

// writePage replaces the measured part of the page, or only looks for its place
// if there is nothing to write.
func writePage(path, part string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	changed, err := inserted(page, part)
	if err != nil || part == "" {
		return err
	}
	return os.WriteFile(path, changed, 0o644)
}

// measureAll measures everything, one thing after the other.
func measureAll(ctx context.Context, p plan, binary string, log io.Writer) (m measured, err error) {
	began := time.Now()
	house, err := open(binary)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, house.close()) }()
	if m.machine, err = describe(binary, house.redisBinary); err != nil {
		return m, err
	}
	m.plan = p
	for _, s := range scenarios {
		fmt.Fprintf(log, "%5.0f s  %s\n", time.Since(began).Seconds(), s.name)
		row, err := house.scenario(ctx, p, s)
		if err != nil {
			return m, fmt.Errorf("%s: %w", s.name, err)
		}
		m.rows = append(m.rows, row)
	}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"the floor, collecting garbage as weir does", func() (err error) { m.calm, err = house.calmFloor(ctx, p); return }},
		{"one in flight on Redis", func() (err error) { m.lone, err = house.lone(ctx, p); return }},
		{"rules", func() (err error) { m.rules, err = house.rules(ctx, p); return }},
		{"replicas on one Redis", func() (err error) { m.replicas, err = house.replicas(ctx, p); return }},
		{"keys in memory", func() (err error) { m.memoryKeys, err = house.keysInMemory(ctx, p); return }},
		{"keys in Redis", func() (err error) { m.redisKeys, err = house.keysInRedis(ctx, p); return }},
	} {
		fmt.Fprintf(log, "%5.0f s  %s\n", time.Since(began).Seconds(), step.name)
		if err := step.do(); err != nil {
			return m, fmt.Errorf("%s: %w", step.name, err)
		}
	}
	m.took = time.Since(began)
	fmt.Fprintf(log, "%5.0f s  done\n", m.took.Seconds())
	return m, nil
}
