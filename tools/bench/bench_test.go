package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-rls/weir/internal/bench"
	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// All scenarios run against real processes, for a moment each: a figure of every
// row is there, and the page is left alone.
func TestShort_MeasuresEveryScenarioAndWritesNothing(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "weir")
	if output, err := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "../../cmd/weir").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	var out, log bytes.Buffer
	if err := run(t.Context(), []string{"-weir", binary, "-short", "-page", "none"}, &out, &log); err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	text := out.String()
	for _, s := range scenarios {
		if !strings.Contains(text, "\n| "+s.name+" | ") {
			t.Errorf("no row of %s", s.name)
		}
	}
	for _, row := range []string{"one EVALSHA round trip", "\n| 10 | ", "\n| 1000 | ", "\n| memory, live heap | 8000 | ", "\n| Redis, keys of 24 bytes | 8000 | ", "\n| 4 | "} {
		if !strings.Contains(text, row) {
			t.Errorf("no %q", row)
		}
	}
	if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") || t.Failed() {
		t.Errorf("%s", text)
	}
}

// What a person wrote around the measured part stays.
func TestPage_KeepsWhatIsAroundItsMeasuredPart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range []string{"", beginMark + "\n", endMark, endMark + "\n" + beginMark + "\n"} {
		write(text)
		if err := writePage(path, ""); err == nil {
			t.Errorf("%q: a place was found", text)
		}
	}
	write("# by hand\n" + beginMark + "\nold\n" + endMark + "\nby hand\n")
	for _, part := range []string{"new\n", "newer\n", ""} {
		if err := writePage(path, part); err != nil {
			t.Error(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != "# by hand\n"+beginMark+"\nnewer\n"+endMark+"\nby hand\n" {
		t.Errorf("%v: %s", err, got)
	}
	if err := writePage("../../docs/explanation/performance.md", ""); err != nil {
		t.Error(err)
	}
}

// A row is met when all its targets are.
func TestRows_AreMetWhenAllTargetsAre(t *testing.T) {
	row := func(ratio, sent, cpu float64) result {
		s := scenario{name: "s", redis: true, ratio: 1.7, commands: 0.15, redisCPU: 5}
		one := figure{1}
		return result{scenario: s, floor: one, weir: one, ratioOf: figure{ratio, ratio, 99}, floorP50: one, weirP50: one, redisCPUOf: figure{cpu}, sent: figure{sent}}
	}
	for _, c := range []struct {
		result
		met string
	}{
		{row(1.7, 0.15, 5), "| yes |"}, {row(1.71, 0.15, 5), "| **no** |"}, {row(1.7, 0.16, 5), "| **no** |"}, {row(1.7, 0.15, 5.1), "| **no** |"},
	} {
		var out strings.Builder
		measured{rows: []result{c.result}}.writeRows(&out)
		if !strings.HasSuffix(out.String(), c.met+"\n") {
			t.Errorf("%v", out.String())
		}
	}
}

// A server that answers something else, or nothing, is fast: its figures are
// refused.
func TestMeasure_RefusesWhatIsNotTheVerdictOfTheScenario(t *testing.T) {
	good := bench.Report{Requests: 2, Verdicts: map[string]int64{ok: 2}}
	if err := judged(good, ok); err != nil {
		t.Error(err)
	}
	for _, bad := range []bench.Report{
		{},
		{Requests: 2, Verdicts: map[string]int64{ok: 1, overLimit: 1}},
		{Requests: 2, Verdicts: map[string]int64{overLimit: 2}},
		{Requests: 2, Verdicts: map[string]int64{ok: 2}, Errors: map[string]int64{"Unavailable": 1}},
	} {
		if err := judged(bad, ok); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

// The bare round trip is one script call that admits.
func TestRoundTrip_IsOneScriptCall(t *testing.T) {
	for _, part := range []parts.Part{parts.RedisServer, parts.ValkeyServer} {
		server := partstest.Redis(t, part)
		counters, err := bench.OpenRedis(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer counters.Close()
		trip, err := openRoundTrip(server.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer trip.conn.Close()
		before, err := counters.Counters(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			if took, err := trip.ask(); err != nil || took <= 0 {
				t.Fatalf("%v, %v", took, err)
			}
		}
		after, err := counters.Counters(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if used := after.Since(before); used.Sent() != 10 || used.Commands["get"] != 10 || used.Commands["set"] != 10 {
			t.Errorf("%s: %v", part, used.Commands)
		}
		if took, err := trip.median(20 * time.Millisecond); err != nil || took <= 0 {
			t.Errorf("%v, %v", took, err)
		}
	}
}

// What Go writes of its collections is read beside what weir logs.
func TestLiveHeaps_AreWhatCollectionsLeft(t *testing.T) {
	numbers, live := liveHeaps(`gc 9 @0.1s 2%: 0.01+1.2+0.003 ms clock, 0.03+0.4/0.9/0+0.007 ms cpu, 212->219->198 MB, 217 MB goal, 0 MB stacks, 0 MB globals, 2 P
{"level":"INFO","msg":"gc 10 @ 1->2->3 MB,"}
gc 11 @0.2s 2%: 0.01+1.2+0.003 ms clock, 0.03+0.4/0.9/0+0.007 ms cpu, 3->4->2 MB, 4 MB goal, 0 MB stacks, 0 MB globals, 2 P
gc 12 @0.3s 2%: cut o`)
	if !slices.Equal(numbers, []int{9, 11}) || !slices.Equal(live, []int64{198, 2}) {
		t.Errorf("%v, %v", numbers, live)
	}
}

// The variables of one server are not those of the next.
func TestFrugal_SetsItsVariablesForOneStart(t *testing.T) {
	t.Setenv("GODEBUG", "panicnil=1")
	seen := ""
	if _, err := frugal(func() (*server, error) {
		seen = os.Getenv("GOGC") + os.Getenv("GODEBUG")
		return nil, nil
	}); err != nil || seen != "10gctrace=1" {
		t.Errorf("%v: %s", err, seen)
	}
	if _, set := os.LookupEnv("GOGC"); set || os.Getenv("GODEBUG") != "panicnil=1" {
		t.Error("the variables stay")
	}
}

func TestFigure_MedianIsTheMiddle(t *testing.T) {
	for want, f := range map[float64]figure{1: {1}, 2: {9, 2, 1}, 2.5: {9, 2, 3, 1}} {
		if got := f.median(); got != want {
			t.Errorf("%v: %v", f, got)
		}
	}
}
