package simulate

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/weir-rls/weir/descriptors"
)

func formatOf(t *testing.T, mapping ...string) *Format {
	t.Helper()
	f := &Format{File: "trace", Domain: "shop"}
	for _, text := range mapping {
		d, ok := descriptors.ParseDescriptor(text)
		if !ok {
			t.Fatal(text)
		}
		f.Map = append(f.Map, d)
	}
	return f
}

// rowText is a row in one line.
func rowText(r *Row) string {
	var parts []string
	for _, d := range r.Request.Descriptors {
		parts = append(parts, entriesText(d.Entries))
	}
	text := fmt.Sprintf("%d %s %s %s", r.Line, micros(r.At).Format("15:04:05.999999"), r.Request.Domain, strings.Join(parts, " "))
	if r.Request.Hits > 0 {
		text += fmt.Sprintf(" hits=%d", r.Request.Hits)
	}
	if r.HasStatus {
		text += fmt.Sprintf(" status=%d", r.Status)
	}
	if r.HasTime {
		text += " " + r.Duration.String()
	}
	return strings.TrimRight(text, " ")
}

// whole reads a trace: rows, and what is wrong with bad lines.
func whole(s Source) (told []string) {
	for {
		row, err := s.Next()
		var bad *BadLine
		switch {
		case err == io.EOF:
			return told
		case errors.As(err, &bad):
			told = append(told, err.Error())
		case err != nil:
			return append(told, "ended: "+err.Error())
		default:
			told = append(told, rowText(row))
		}
	}
}

func isTold(t *testing.T, got []string, want string) {
	t.Helper()
	if text := strings.Join(got, "\n"); text != strings.TrimSpace(want) {
		t.Errorf("got\n%s\nwant\n%s", text, strings.TrimSpace(want))
	}
}

func TestJSONLines_AnEnvoysAccessLogIsMappedToDescriptors(t *testing.T) {
	f := formatOf(t, "user=x_user", "pool==backend,api=request.path_segment", `a\,b=http.code`)
	isTold(t, whole(JSONLines(f, bufio.NewReader(strings.NewReader(`
{"start_time":"2026-01-31T12:00:00.250Z","response_code":200,"duration":12,"x_user":"al\u0069ce","request":{"path_segment":"items","other":[1,{"x_user":"no"}]},"response_flags":"-"}
{"start_time":1769860800.5,"x_user":null,"request":{"path_segment":"-"},"http.code":404,"response_code":0}
{"timestamp":"1769860800123","x_user":"","request":null,"response_flags":"UH,RL","response_code":429,"duration":1}
  {"@timestamp":"2026-01-31 12:00:00","x_user":7,"domain":"other","hits":3,"status":503,"duration":"1.5s"} 
`)))), `
2 12:00:00.25 shop user=alice pool=backend,api=items status=200 12ms
3 12:00:00.5 shop a\,b=404 status=0
4 12:00:00.123 shop
5 12:00:00 other user=7 hits=3 status=503 1.5s`)
}

func TestJSONLines_HoldsDescriptorsInEachForm(t *testing.T) {
	isTold(t, whole(JSONLines(formatOf(t), bufio.NewReader(strings.NewReader(`{"time":"2026-01-31T12:00:00Z","descriptors":["user=alice,api=x",[{"key":"k","value":"v,=\\"}],{"entries":[{"value":"b","key":"a"}],"hitsAddend":"1"}],"hits":2}
{"descriptors":[],"time":"2026-01-31T12:00:01+01:00"}`)))), `
1 12:00:00 shop user=alice,api=x k=v\,=\\ a=b hits=2
2 11:00:01 shop`)
}

// What is wrong with a line is told with its place and what to write, and the next line
// is read.
func TestBadLines_AreToldWithTheirPlaceAndARemedy(t *testing.T) {
	lines := `{"time":"yesterday","user":"a"}
{"user":"a"}
not JSON
{"time":1769860800,"user":"a"
{"time":1769860800,"user":"a"} x
{"time":1769860800,"user":{"name":"a"}}
{"time":1769860800,"user":"a","hits":0}
{"time":1769860800,"user":"a","hits":-1}
{"time":1769860800,"user":"a","status":"teapot"}
{"time":1769860800,"user":"a","duration":"-1s"}
{"time":1769860800,"user":tru}
{"time":1769860800,"user":"` + "\x01" + `"}
{"time":1769860800,"user":"` + strings.Repeat("x", longestLine) + `"}
{"deep":` + strings.Repeat("[", longestLine-100) + `
{"time":1769860800,"user":"good"}`
	isTold(t, whole(JSONLines(formatOf(t, "user=user"), bufio.NewReader(strings.NewReader(lines)))), `
trace:1: time: "yesterday" is no time: write RFC 3339, as in 2026-01-31T12:00:00.250Z (Envoy's %START_TIME%), or seconds since 1970
trace:2: there is no time in it: write a field "time", "start_time", "timestamp" or "@timestamp", or name another with --time-field
trace:3: it is no JSON object at character 1: write one object a line, as Envoy's json_format does; --trace-format csv reads CSV
trace:4: it is no JSON object at character 30: write one object a line, as Envoy's json_format does; --trace-format csv reads CSV
trace:5: it is no JSON object at character 32: write one object a line, as Envoy's json_format does; --trace-format csv reads CSV
trace:6: user is no text, number or word: name a field within it, as in user.field
trace:7: hits: "0" is no number from 1 to 4294967295: leave it out for 1
trace:8: hits: "-1" is no number from 1 to 4294967295: leave it out for 1
trace:9: status: "teapot" is no status of HTTP: write a number from 100 to 599, or 0 for a client that left
trace:10: duration: "-1s" is no duration: write milliseconds, as Envoy's %DURATION%, or as in 1.5s
trace:11: it is no JSON object at character 30: write one object a line, as Envoy's json_format does; --trace-format csv reads CSV
trace:12: it is no JSON object at character 28: write one object a line, as Envoy's json_format does; --trace-format csv reads CSV
trace:13: the line has more than 1 MiB: is the trace text, one request a line?
trace:14: it is no JSON object at character 109: write one object a line, as Envoy's json_format does; --trace-format csv reads CSV
15 12:00:00 shop user=good`)
	isTold(t, whole(JSONLines(formatOf(t), bufio.NewReader(strings.NewReader(`{"time":1}
{"time":1,"descriptors":["user"]}
{"time":1,"descriptors":[7]}
{"time":1,"descriptors":[[]]}
{"time":1,"descriptors":[[{"value":"x"}]]}`)))), `
trace:1: there are no descriptors in it: write "descriptors", or say with --map of which fields they are made, as in --map user=x_user
trace:2: descriptors: "user" is not KEY=VALUE,KEY=VALUE: write [{"key": "user", "value": "alice"}], or "user=alice"
trace:3: descriptors: one of them is no list of entries: write [{"key": "user", "value": "alice"}], or "user=alice"
trace:4: descriptors: one of them has no entries: write [{"key": "user", "value": "alice"}], or "user=alice"
trace:5: descriptors: an entry has no key: write [{"key": "user", "value": "alice"}], or "user=alice"`)
}

func csvTold(t *testing.T, f *Format, text string) []string {
	t.Helper()
	c, err := CSV(f, bufio.NewReader(strings.NewReader(text)))
	if err != nil {
		return []string{err.Error()}
	}
	return whole(c)
}

func TestCSV_ColumnsAreKeysAndAnEmptyCellIsAbsent(t *testing.T) {
	text := "\uFEFFtime, user,api,hits,status,duration\r\n2026-01-31T12:00:00Z,alice,,2,500,20ms\n\n1769860801,\"b,\"\"ob\",x,,,\n1769860801,a\n1769860801,\"a,b,,,\n1769860802,carol,y,,,"
	isTold(t, csvTold(t, formatOf(t), text), `
2 12:00:00 shop user=alice hits=2 status=500 20ms
4 12:00:01 shop user=b\,"ob api=x
trace:5: it has 2 cells, and the first line 6: put a cell with a comma in quotes, as in "a,b"
trace:6: column 19: extraneous or missing " in quoted-field: write " within a cell twice, as in "a ""b""", and no line break in it
7 12:00:02 shop user=carol api=y`)
	isTold(t, csvTold(t, formatOf(t, "pool==backend,api=api"), "time,api,user\n1,x,u\n2,,u"), "2 00:00:01 shop pool=backend,api=x\n3 00:00:02 shop")
	for text, want := range map[string]string{
		"":           "trace:1: the trace is empty: begin with a line that names the columns, as in time,user,api",
		"user,api":   `trace:1: there is no column with the time: name one "time", "start_time", "timestamp" or "@timestamp", or name it with --time-field; does the first line name the columns?`,
		"time,a,a":   `trace:1: column 3 is named "a": give each column a name of its own`,
		"time,user,": `trace:1: column 3 is named "": give each column a name of its own`,
	} {
		isTold(t, csvTold(t, formatOf(t), text), want)
	}
	isTold(t, csvTold(t, formatOf(t, "user=usr"), "time,user"), `trace:1: there is no column "usr": --map names columns; there are time, user`)
	timed := formatOf(t)
	timed.TimeField = "when"
	isTold(t, csvTold(t, timed, "time,when\n7,1769860801"), "2 12:00:01 shop time=7")
}

// A log is written when requests end. They are put in order, as far as one is not later
// than the window.
func TestRowsAreJudgedInTheOrderOfTheirTimes(t *testing.T) {
	o := &ordered{window: 2e6, source: JSONLines(formatOf(t, "user=u"), bufio.NewReader(strings.NewReader(`{"time":10,"u":"b"}
{"time":9,"u":"a"}
{"time":10,"u":"c"}
{"time":13,"u":"d"}
{"time":9.5,"u":"late"}
{"time":12,"u":"in time"}`)))}
	isTold(t, whole(o), `
2 00:00:09 shop user=a
1 00:00:10 shop user=b
3 00:00:10 shop user=c
5 00:00:10 shop user=late
6 00:00:12 shop user=in time
4 00:00:13 shop user=d`)
	if o.late != 1 || o.latest != 500*time.Millisecond {
		t.Errorf("%d late, by %s", o.late, o.latest)
	}
}

func TestGenerate_IsTheSameForTheSameSeed(t *testing.T) {
	const spec = "rate=100/s,for=20s,start=2026-01-31T12:00:00Z,user=zipf(1000),api=one-of(a:3,b),tenant=uniform(2),pool=backend,status=one-of(200:9,500),duration=20ms"
	read := func(seed uint64) []string {
		l, err := Generate(spec, seed, formatOf(t))
		if err != nil {
			t.Fatal(err)
		}
		return whole(l)
	}
	one := read(1)
	if len(one) != 2000 || strings.Join(one, "") != strings.Join(read(1), "") || strings.Join(one, "") == strings.Join(read(2), "") {
		t.Error("another seed, and no other, must give another load")
	}
	if !strings.HasPrefix(one[1999], "2000 12:00:19.99 shop user=user-") || !strings.HasSuffix(one[1999], "pool=backend status=200 20ms") {
		t.Error(one[1999])
	}
	count := func(what string) (n int) {
		for _, row := range one {
			if strings.Contains(row, what) {
				n++
			}
		}
		return n
	}
	if a, first, tenth, fails := count(" api=a "), count("user=user-1 "), count("user=user-10 "), count("status=500"); a < 1400 || a > 1600 || first < 5*tenth || fails < 150 || fails > 250 {
		t.Errorf("api=a %d, the first user %d, the tenth %d, status=500 %d", a, first, tenth, fails)
	}
	mapped, err := Generate("rate=1/min,for=1h,arrivals=poisson,api=a", 1, formatOf(t, "pool==backend,api=api"))
	if err != nil {
		t.Fatal(err)
	}
	if got := whole(mapped); len(got) != 60 || !strings.HasSuffix(got[59], "shop pool=backend,api=a") {
		t.Error(got)
	}
}

func TestGenerate_SaysWhatIsWrong(t *testing.T) {
	for spec, want := range map[string]string{
		"":                                "is not NAME=WHAT",
		"rate=5/s":                        "no key is stated: write one, as in user=zipf(1000)",
		"user=zipf(5)":                    "rate is not stated",
		"rate=5,user=u":                   "rate=5 is no rate",
		"rate=0/s,user=u":                 "rate=0/s is no rate",
		"rate=2000000/s,user=u":           "is no rate of up to 1000000/s",
		"rate=NaN/s,user=u":               "is no rate",
		"rate=5/s,user=zipf(0)":           `user=zipf(0): "0" is no number of values from 1 to 100000000`,
		"rate=5/s,user=zipf(5":            "a parenthesis is not closed",
		"rate=5/s,user=normal(5)":         "normal is none of zipf, uniform and one-of",
		"rate=5/s,user=one-of(a:0)":       `"0" is no weight`,
		"rate=5/s,user=one-of(a,)":        "a value is empty",
		"rate=5/s,user=u,for=ever":        "for=ever is no duration",
		"rate=5/s,user=u,start=now":       "start=now is no time",
		"rate=5/s,user=u,arrivals=late":   "arrivals=late is neither even nor poisson",
		"rate=1000/s,user=u,for=1000000h": "shorten it",
	} {
		if _, err := Generate(spec, 1, formatOf(t)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", spec, err, want)
		}
	}
	if _, err := Generate("rate=5/s,user=u", 1, formatOf(t, "user=usr")); err == nil || err.Error() != "--map names usr, which is not generated: add usr=uniform(10)" {
		t.Error(err)
	}
	l, err := Generate("rate=5/s,user=u,hits=none", 1, formatOf(t))
	if err != nil {
		t.Fatal(err)
	}
	isTold(t, whole(l), `ended: --generate: hits: "none" is no number from 1 to 4294967295: leave it out for 1`)
}

// Whatever a trace holds, reading it ends, and ends well.
func FuzzTraces(f *testing.F) {
	for _, text := range []string{
		`{"time":1769860800,"user":"a","descriptors":["a=b",[{"key":"k","value":"v"}]],"duration":1.5,"status":200}`, "time,user,hits\n1,a,2\n2,\"b\"\"\",", `{"a":[[[[{}]]]]}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, format := range []*Format{{File: "f"}, {File: "f", Map: []descriptors.Descriptor{{Entries: []descriptors.Entry{{Key: "user", Value: "user.name"}}}}}} {
			whole(JSONLines(format, bufio.NewReader(strings.NewReader(text))))
			if c, err := CSV(format, bufio.NewReader(strings.NewReader(text))); err == nil {
				whole(c)
			}
		}
	})
}
