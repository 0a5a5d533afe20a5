package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/internal/config"
	"github.com/weir-rls/weir/internal/simulate"
)

// simulateFlags are the flags of weir simulate.
type simulateFlags struct {
	trace    traceFlags
	against  []string
	skip     bool
	reorder  time.Duration
	status   int
	duration time.Duration
	changes  int
	output   string
	html     string
	limits   int
}

func newSimulate(world World) *cobra.Command {
	command := &cobra.Command{
		Use:   "simulate FILE|DIR... --trace FILE|-",
		Short: "Replay a trace through rules, and tell what they would have done",
		Long: `Replay a trace of requests through rule files: how many of them each limit would
have admitted, refused and held, and when. Requests are judged by the code that
serves, on buckets in memory and a virtual clock: an hour takes a moment.

A trace is JSON Lines, as Envoy's access log with a json_format or with a field
"descriptors", or CSV; gzip is read as it is. --generate makes one up. --against
compares the verdicts with those of other rule files. docs/how-to/simulate.md
tells what to write to the access log.`,
		Example: `  weir simulate rules.yaml --trace access.log --map user=x_user
  weir simulate rules.yaml --trace - --map pool==backend,api=path_segment < access.log
  weir simulate new.yaml --against rules.yaml --trace access.csv --html report.html
  weir simulate rules.yaml --generate 'rate=500/s,for=10m,user=zipf(1000)'`,
		Args: someFiles,
	}
	config.AddFlags(command.Flags(), "merge-domains")
	var f simulateFlags
	f.define(command.Flags())
	command.RunE = func(command *cobra.Command, files []string) error {
		settings, _, err := config.Load(command.Flags(), world.Environ)
		if err != nil {
			return err
		}
		if err := f.check(); err != nil {
			return err
		}
		return f.run(command.Context(), world, files, settings.MergeDomains)
	}
	return command
}

func (f *simulateFlags) define(flags *pflag.FlagSet) {
	flags.SortFlags = false
	flags.StringVar(&f.trace.file, "trace", "", "The trace; - reads the standard input.")
	flags.StringVar(&f.trace.format, "trace-format", "auto", "What the trace is; auto looks at its first line.")
	flags.StringArrayVar(&f.trace.mapping, "map", nil,
		"A descriptor of each request, given once for each: KEY=FIELD gives an entry the value of a field of the trace, KEY==VALUE a fixed one, and commas part entries. A descriptor is left out where a field is missing. In JSON a point leads into objects.")
	flags.Lookup("map").DefValue = ""
	flags.StringVar(&f.trace.domain, "domain", "", "The domain of requests that name none; may be left out where the rule files have only one.")
	flags.StringVar(&f.trace.timeField, "time-field", "", "The field or column with the time, if it is none of time, start_time, timestamp and @timestamp.")
	flags.DurationVar(&f.reorder, "reorder", 5*time.Second, "How much later than its time a request may stand in the trace and still be put in order: a log is written when requests end.")
	flags.BoolVar(&f.skip, "skip-bad-lines", false, "Count lines that are no request, and go on.")
	config.GroupFlags(flags, "Trace", map[string]string{
		"trace": "FILE", "trace-format": "auto|json|csv", "map": "KEY=FIELD|KEY==VALUE,...", "domain": "TEXT", "time-field": "FIELD", "reorder": "DURATION", "skip-bad-lines": "bool",
	})
	flags.StringVar(&f.trace.generate, "generate", "", "A load in place of a trace: rate=500/s,for=10m and for each key or field zipf(N), uniform(N), one-of(A:3,B:1) or a fixed value. start=TIME and arrivals=even|poisson may be added.")
	flags.Uint64Var(&f.trace.seed, "seed", 1, "Seed of what is generated.")
	config.GroupFlags(flags, "Load", map[string]string{"generate": "NAME=WHAT,...", "seed": "N"})
	flags.StringArrayVar(&f.against, "against", nil, "Rule files, given once for each, with whose verdicts those of the rules are compared.")
	flags.Lookup("against").DefValue = ""
	flags.IntVar(&f.changes, "changes", 5, "How many requests are shown that get another verdict.")
	flags.IntVar(&f.status, "assume-status", 200, "How requests end whose status the trace does not have, where it matters: success counts and breakers.")
	flags.DurationVar(&f.duration, "assume-duration", 0, "How long requests last whose duration the trace does not have, where it matters: slots.")
	config.GroupFlags(flags, "Verdicts", map[string]string{"against": "FILE|DIR", "changes": "N", "assume-status": "STATUS", "assume-duration": "DURATION"})
	flags.StringVar(&f.output, "output", "text", "How the report is written.")
	flags.StringVar(&f.html, "html", "", "A file that the report is written to as a page of HTML too, with pictures and nothing from elsewhere.")
	flags.IntVar(&f.limits, "limits", 20, "How many limits are shown, those that refused most.")
	config.GroupFlags(flags, "Report", map[string]string{"output": "text|json", "html": "FILE", "limits": "N"})
}

func (f *simulateFlags) check() error {
	faults := []error{f.trace.check()}
	for _, c := range []struct {
		flag  string
		value any
		bad   bool
		want  string
	}{
		{"output", f.output, f.output != "text" && f.output != "json", "neither text nor json"},
		{"reorder", f.reorder, f.reorder < 0, "below 0"},
		{"changes", f.changes, f.changes < 0 || f.changes > 1000, "not from 0 to 1000"},
		{"limits", f.limits, f.limits < 1, "below 1"},
		{"assume-status", f.status, f.status < 0 || f.status > 599, "no status of HTTP, and not 0 for a client that left"},
		{"assume-duration", f.duration, f.duration < 0, "below 0"},
	} {
		if c.bad {
			faults = append(faults, fmt.Errorf("--%s: %v is %s", c.flag, c.value, c.want))
		}
	}
	return errors.Join(faults...)
}

func (f *simulateFlags) run(ctx context.Context, world World, files []string, merge bool) error {
	rules, err := rulesOf(world, files, merge)
	if err != nil {
		return err
	}
	o := simulate.Options{
		Rules: rules, Reorder: f.reorder, SkipBadLines: f.skip, AssumeStatus: f.status, AssumeDuration: f.duration, Changes: f.changes,
	}
	if len(f.against) > 0 {
		if o.Against, err = rulesOf(world, f.against, merge); err != nil {
			return err
		}
	}
	t, err := f.trace.open(world, rules)
	if err != nil {
		return failureError{err}
	}
	defer t.close()
	o.Trace, o.Done = t.source, &t.done
	progress := startProgress(world.Stderr, "simulate", t.share, t.done.Load)
	report, err := simulate.Run(ctx, o)
	progress.stop()
	var bad *simulate.BadLine
	switch {
	case errors.As(err, &bad):
		return failureError{fmt.Errorf("%w (--skip-bad-lines goes on)", err)}
	case errors.Is(err, context.Canceled) && report.Requests.Requests == 0:
		return failureError{fmt.Errorf("%s: stopped before a request was judged", t.format.File)}
	case errors.Is(err, context.Canceled):
		report.Stopped = true
	case err != nil:
		return failureError{packed(t.format.File, err)}
	case report.Requests.Requests == 0 && report.Trace.NotAsked > 0:
		return failureError{fmt.Errorf("%s: no request has a descriptor: do the fields that --map names exist? Or are they empty?", t.format.File)}
	case report.Requests.Requests == 0:
		return failureError{fmt.Errorf("%s: there is no request in it", t.format.File)}
	}
	if err := f.write(world, files, t, report); err != nil {
		return failureError{err}
	}
	return nil
}

// rulesOf loads rule files, and tells their faults.
func rulesOf(world World, files []string, merge bool) (*descriptors.Rules, error) {
	rules, faults := descriptors.Load(files, descriptors.Options{MergeDomains: merge})
	if _, err := fmt.Fprint(world.Stderr, faults.Text()); err != nil {
		return nil, failureError{err}
	}
	if faults.Failed() {
		return nil, silentError{}
	}
	if rules == nil || len(rules.Domains()) == 0 {
		return nil, failureError{fmt.Errorf("no rule file in %s: their names end in .yaml or .yml", quoted(files))}
	}
	return rules, nil
}

// numbers is a list of them, which needs no line for each.
var numbers = regexp.MustCompile(`\[[\s\d,]+\]`)

// write prints the report, and writes the page.
func (f *simulateFlags) write(world World, files []string, t *trace, report *simulate.Report) error {
	names := simulate.Names{Rules: strings.Join(files, ", "), Against: strings.Join(f.against, ", "), Trace: t.format.File, Row: "line"}
	if f.trace.generate != "" {
		names.Trace, names.Row = f.trace.generate, "request"
	}
	if f.html != "" {
		page, err := report.Page(names)
		if err == nil {
			err = os.WriteFile(f.html, page, 0o644)
		}
		if err != nil {
			return fmt.Errorf("--html: %w", err)
		}
	}
	text := ""
	if f.output == "json" {
		var err error
		if text, err = indented(report); err != nil {
			return err
		}
		text = numbers.ReplaceAllStringFunc(text, func(list string) string { return strings.Join(strings.Fields(list), "") })
	} else {
		s := simulationText{Report: report, names: names, paint: paintFor(world.Stdout, world.Environ), width: widthOf(world.Stdout, world.Environ), limits: f.limits}
		text = s.text()
	}
	_, err := fmt.Fprint(world.Stdout, text)
	return err
}

// entriesOf reads a mapping.
func entriesOf(flag string, texts []string) (all []descriptors.Descriptor, err error) {
	for _, text := range texts {
		d, ok := descriptors.ParseDescriptor(text)
		for _, e := range d.Entries {
			ok = ok && e.Value != "" && e.Value != "="
		}
		if !ok {
			return nil, fmt.Errorf("--%s: %q is not KEY=FIELD or KEY==VALUE, parted by commas", flag, text)
		}
		all = append(all, d)
	}
	return all, nil
}
