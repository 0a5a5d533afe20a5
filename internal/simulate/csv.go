package simulate

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/weir-rls/weir/descriptors"
)

type csvLines struct {
	*layout
	lines
	column []int // of names, -1: there is none
	width  int
	keys   []key
}

type key struct {
	name   string
	column int
}

// CSV is a trace whose first line names its columns. Those without a meaning of their own
// are keys, each of which is a descriptor unless a mapping says otherwise.
func CSV(f *Format, r *bufio.Reader) (Source, error) {
	c := &csvLines{layout: newLayout(f), lines: lines{file: f.File, from: r}}
	start, _ := r.Peek(1)
	header, err := c.cells()
	var bad *BadLine
	switch {
	case err == io.EOF:
		return nil, c.bad(1, "the trace is empty", "begin with a line that names the columns, as in time,user,api")
	case string(start) == "[": // an array of JSON, or a line as Envoy writes it by default
		return nil, c.bad(1, "it is neither CSV nor one JSON object a line", "have Envoy log with json_format, or make lines of an array, as with jq -c '.[]'")
	case errors.As(err, &bad):
		return nil, c.bad(c.number, bad.Why, bad.Remedy+"; the first line of CSV names the columns")
	case err != nil:
		return nil, err
	}
	c.width = len(header)
	header[0] = strings.TrimPrefix(header[0], "\uFEFF") // of spreadsheets
	for i, name := range header {
		header[i] = strings.TrimSpace(name)
		if name = header[i]; name == "" || slices.Index(header, name) < i {
			return nil, c.bad(1, fmt.Sprintf("column %d is named %s", i+1, quote(name)), "give each column a name of its own")
		}
	}
	for i, name := range c.names {
		c.column = append(c.column, slices.Index(header, name))
		if c.column[i] == -1 && i >= c.meaningful {
			return nil, c.bad(1, "there is no column "+quote(name), "--map names columns; there are "+strings.Join(header, ", "))
		}
	}
	if own := f.TimeField; own != "" && !slices.Contains(header, own) {
		return nil, c.bad(1, "there is no column "+quote(own), "--time-field names one; there are "+strings.Join(header, ", "))
	}
	if !slices.ContainsFunc(c.of[timeAt], func(name string) bool { return slices.Contains(header, name) }) {
		return nil, c.bad(1, "there is no column with the time", "name one "+quotedOr(c.of[timeAt])+", or name it with --time-field; does the first line name the columns?")
	}
	if len(f.Map) == 0 {
		for i, name := range header {
			if !slices.Contains(c.names, name) {
				c.keys = append(c.keys, key{name, i})
			}
		}
	}
	return c, nil
}

// Next implements [Source].
func (c *csvLines) Next() (*Row, error) {
	cells, err := c.cells()
	if err != nil {
		return nil, err
	}
	if len(cells) != c.width {
		return nil, c.bad(c.number, fmt.Sprintf("it has %d cells, and the first line %d", len(cells), c.width), `put a cell with a comma in quotes, as in "a,b"`)
	}
	for i, column := range c.column {
		if c.set[i] = column >= 0; c.set[i] {
			c.has[i] = cells[column]
		}
	}
	row, bad := c.row(c.number)
	if bad != nil {
		return nil, bad
	}
	for _, k := range c.keys {
		if value := cells[k.column]; value != "" {
			row.Request.Descriptors = append(row.Request.Descriptors, descriptors.Descriptor{Entries: []descriptors.Entry{{Key: k.name, Value: value}}})
		}
	}
	return row, nil
}

// cells reads a line. No cell goes on in the next one: a quote that is never closed
// would hold the rest of the trace.
func (c *csvLines) cells() ([]string, error) {
	text, err := c.next()
	if err != nil || !strings.Contains(text, `"`) {
		return strings.Split(text, ","), err
	}
	cells, err := csv.NewReader(strings.NewReader(text)).Read()
	var parse *csv.ParseError
	if errors.As(err, &parse) {
		return nil, c.bad(c.number, fmt.Sprintf("column %d: %v", parse.Column, parse.Err), `write " within a cell twice, as in "a ""b""", and no line break in it`)
	}
	return cells, err
}
