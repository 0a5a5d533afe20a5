// Command chaos reads what the tests of faults log, passes it on, and writes the worst of
// it into docs/explanation/reliability.md: make chaos.
package main

import (
	"bufio"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	path := flag.String("page", "docs/explanation/reliability.md", "the page whose table is written anew")
	flag.Parse()
	if err := run(*path, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

func run(path string, in io.Reader, out io.Writer) error {
	table := rows{}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		fmt.Fprintln(out, lines.Text())
		if err := table.add(lines.Text()); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	changed, err := inserted(string(page), table.markdown())
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(changed), 0o644)
}

// row is what a fault did to a bucket of one algorithm, the worst of all times that it
// happened.
type row struct {
	fault, bucket           string
	times                   int
	admitted, bound, errors int64 // of the time that came nearest to its bound, and most errors
	back                    time.Duration
}

// rows are by fault and bucket.
type rows map[[2]string]*row

// line is the form of partstest.Chaos.
var line = regexp.MustCompile(`chaos: fault="([^"]+)" bucket="([^"]+)" admitted=(\d+) bound=(\d+) errors=(\d+) back=(\S+)`)

func (all rows) add(text string) error {
	m := line.FindStringSubmatch(text)
	if m == nil {
		return nil
	}
	var n [3]int64
	for i := range n {
		var err error
		if n[i], err = strconv.ParseInt(m[3+i], 10, 64); err != nil {
			return err
		}
	}
	back, err := time.ParseDuration(m[6])
	if err != nil {
		return err
	}
	name := [2]string{m[1], m[2]}
	if all[name] == nil {
		all[name] = &row{fault: m[1], bucket: m[2], bound: 1, admitted: -1}
	}
	r := all[name]
	r.times++
	r.back, r.errors = max(r.back, back), max(r.errors, n[2])
	if n[0]*r.bound > r.admitted*n[1] {
		r.admitted, r.bound = n[0], n[1]
	}
	return nil
}

func (all rows) markdown() string {
	var b strings.Builder
	b.WriteString("| fault | bucket | admitted | at most | errors for clients | back after |\n|---|---|---|---|---|---|\n")
	sorted := make([]*row, 0, len(all))
	for _, r := range all {
		sorted = append(sorted, r)
	}
	slices.SortFunc(sorted, func(a, b *row) int { return cmp.Or(cmp.Compare(a.fault, b.fault), cmp.Compare(a.bucket, b.bucket)) })
	for _, r := range sorted {
		back := "-"
		if r.back > 0 {
			back = fmt.Sprintf("%d ms", r.back.Milliseconds())
		}
		fmt.Fprintf(&b, "| %s | %s | %d | %d | %d | %s |\n", r.fault, r.bucket, r.admitted, r.bound, r.errors, back)
	}
	return b.String()
}

// The table stands between these.
const begin, end = "<!-- chaos -->\n", "<!-- /chaos -->"

func inserted(page, table string) (string, error) {
	before, rest, found := strings.Cut(page, begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		return "", errors.New("the page has no place for the table: " + strings.TrimSpace(begin) + " and " + end)
	}
	return before + begin + "\n" + table + "\n" + end + after, nil
}
