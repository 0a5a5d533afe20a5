package cli

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/internal/simulate"
)

// traceFlags say where the requests come from.
type traceFlags struct {
	file, format      string
	mapping           []string
	domain, timeField string
	generate          string
	seed              uint64
}

func (f *traceFlags) check() error {
	var faults []error
	switch {
	case f.file == "" && f.generate == "":
		faults = append(faults, errors.New("no trace given: write --trace FILE, --trace - for the standard input, or --generate 'rate=500/s,user=zipf(1000)'"))
	case f.file != "" && f.generate != "":
		faults = append(faults, errors.New("both --trace and --generate are given: keep one of them"))
	}
	if !slices.Contains([]string{"auto", "json", "csv"}, f.format) {
		faults = append(faults, fmt.Errorf("--trace-format: %q is none of auto, json, csv", f.format))
	}
	_, err := entriesOf("map", f.mapping)
	return errors.Join(append(faults, err)...)
}

// trace is where requests come from, and how far it is read.
type trace struct {
	source simulate.Source
	format simulate.Format
	file   *os.File // nil: nothing to close
	size   int64    // in bytes, of what is generated in requests; 0: nobody knows
	read   atomic.Int64
	done   atomic.Int64
}

// open opens the trace, for rules whose domain is that of requests without one.
func (f *traceFlags) open(world World, rules *descriptors.Rules) (t *trace, err error) {
	t = &trace{format: simulate.Format{File: f.file, Domain: f.domain, TimeField: f.timeField}}
	if domains := rules.Domains(); f.domain == "" && len(domains) == 1 {
		t.format.Domain = domains[0]
	}
	if t.format.Map, err = entriesOf("map", f.mapping); err != nil {
		return nil, err
	}
	if f.generate != "" {
		t.format.File = "--generate"
		load, err := simulate.Generate(f.generate, f.seed, &t.format)
		if err != nil {
			return nil, fmt.Errorf("--generate: %w", err)
		}
		t.source, t.size = load, load.Requests()
		return t, t.hasDomain(rules)
	}
	in := world.Stdin
	if f.file == "-" {
		t.format.File = "standard input"
	} else {
		if t.file, err = os.Open(f.file); err != nil {
			return nil, fmt.Errorf("--trace: %w", err)
		}
		info, err := t.file.Stat()
		switch {
		case err == nil && info.IsDir():
			t.close()
			return nil, fmt.Errorf("--trace: %s is a directory: name one file, or write cat %s/* | weir simulate ... --trace -", shown(f.file), shown(f.file))
		case err == nil && info.Mode().IsRegular():
			t.size = info.Size()
		}
		in = t.file
	}
	if t.source, err = t.reader(in, f.format); err == nil {
		err = t.hasDomain(rules)
	}
	if err != nil {
		t.close()
	}
	return t, err
}

// hasDomain tells that there is no domain for requests that name none. A trace may name
// one in each.
func (t *trace) hasDomain(rules *descriptors.Rules) error {
	if t.format.Domain != "" && !slices.Contains(rules.Domains(), t.format.Domain) {
		return fmt.Errorf("--domain: the rules have no domain %q: name one of %s", t.format.Domain, quoted(rules.Domains()))
	}
	return nil
}

// reader finds out what a trace is.
func (t *trace) reader(in io.Reader, format string) (simulate.Source, error) {
	r := bufio.NewReaderSize(&countingReader{in, &t.read}, 64<<10)
	if magic, _ := r.Peek(2); string(magic) == "\x1f\x8b" {
		plain, err := gzip.NewReader(r)
		if err != nil {
			return nil, packed(t.format.File, err)
		}
		r = bufio.NewReaderSize(plain, 64<<10)
	}
	if format == "auto" {
		format = "csv"
		start, _ := r.Peek(4 << 10)
		if strings.HasPrefix(strings.TrimLeft(strings.TrimPrefix(string(start), "\uFEFF"), " \t\r\n"), "{") {
			format = "json"
		}
	}
	if format == "json" {
		return simulate.JSONLines(&t.format, r), nil
	}
	return simulate.CSV(&t.format, r)
}

// packed tells of a compressed trace that ends before its end.
func packed(file string, err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: the compressed file ends too early: copy it anew, or take what there is, as with zcat FILE | weir simulate ... --trace -", file)
	}
	return fmt.Errorf("%s: %w", file, err)
}

func (t *trace) close() {
	if t.file != nil {
		_ = t.file.Close() // it was only read
	}
}

// share tells how much of the trace is judged.
func (t *trace) share(_ time.Duration, done int64) float64 {
	switch {
	case t.size == 0:
		return -1
	case t.file == nil:
		return float64(done) / float64(t.size)
	}
	return float64(t.read.Load()) / float64(t.size)
}

// countingReader counts what was read.
type countingReader struct {
	io.Reader
	read *atomic.Int64
}

func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.read.Add(int64(n))
	return n, err
}
