package descriptors

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// shown is all that a request meets, as a text: limit, bucket, numbers, and what a
// caller is told whom it refuses.
func shown(r *Rules, req *Request) string {
	var b bytes.Buffer
	res := r.Resolve(req)
	for _, m := range res.Matches {
		l := m.Limit
		values := Values{LimitVariable: "7", PeriodVariable: l.PeriodIn(l.Response.Language), NameVariable: l.Name}
		values[MessageVariable] = l.Response.Message.Expand(&values)
		fmt.Fprintf(&b, "%q %q %+v %v %s %s %v\n", l.Name, m.Charge.Key, m.Charge, l.CountSuccess, l.Response.ContentType, l.Response.Body.Expand(&values), l.OnStoreError)
	}
	fmt.Fprint(&b, res.Unmatched)
	return b.String()
}

// drawPreset writes a file with presets, and draws values that its requests may
// have.
func drawPreset(t *rapid.T, n int) (yaml string, groups []string) {
	names := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"default", "vip", "no", "7", "a b", "a/b", `q"uo'te`, "组", "x: y", "# z", "~", "- a"}), 0, 4, rapid.ID).Draw(t, "groups")
	yaml = fmt.Sprintf("  - model_limits:\n      name: preset %d\n", n)
	yaml += fmt.Sprintf("      period: %s\n", rapid.SampledFrom([]string{"1m", "90s", "1500ms", "168h", "24h", "8760h", "3h"}).Draw(t, "period"))
	yaml += fmt.Sprintf("      enabled: %v\n", rapid.IntRange(0, 4).Draw(t, "enabled") > 0)
	yaml += fmt.Sprintf("      total: %d\n      success: %d\n", rapid.IntRange(0, 3).Draw(t, "total"), rapid.IntRange(1, maxCount).Draw(t, "success"))
	if r := rapid.SampledFrom([]string{"", "azure", "own", "silent", "plain"}).Draw(t, "response"); r != "" {
		yaml += "      response: " + r + "\n"
	}
	yaml += "      groups:\n        {}\n"
	if len(names) > 0 {
		yaml = strings.TrimSuffix(yaml, "        {}\n")
	}
	for _, g := range names {
		yaml += fmt.Sprintf("        %q: [%d, %d]\n", g, rapid.IntRange(0, 9).Draw(t, "total"), rapid.IntRange(1, 9).Draw(t, "success"))
	}
	return yaml, names
}

// What weir rules prints of a file loads again to the same charges and the same
// answers, whatever the presets state.
func TestExpand_WhatIsPrintedLoadsToTheSameCharges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		content := "# a comment\ndomain: llm\npassive: [request_id]\n" +
			"defaults: {on_store_error: deny, response: " + rapid.SampledFrom([]string{"openai", "own", "silent"}).Draw(t, "default") + "}\n" +
			"responses:\n  own: {form: openai, message: mine}\n  silent: &s {body: '{message}!', language: zh, headers: {X-A: b}}\n  preset 0-total: {body: x}\n" +
			rapid.SampledFrom([]string{"", "descriptors: [{key: user, limits: [{rate: 1/s}]}]\n", "matching: best\n"}).Draw(t, "others") + "presets:\n"
		groups := []string{"", "unused", "unheard"}
		for n := range rapid.IntRange(1, 2).Draw(t, "presets") {
			yaml, names := drawPreset(t, n)
			content, groups = content+yaml, append(groups, names...)
		}
		before := parse(newText("before.yaml", []byte(content)))
		printed, err := before.expand()
		if err != nil || before.faults.Failed() {
			t.Fatalf("%v %s\n%s", err, before.faults.Text(), content)
		}
		a, b := assemble([]*file{before}, Options{}), assemble([]*file{parse(newText("after.yaml", printed))}, Options{})
		if len(b.faults) > len(a.faults) || bytes.Contains(printed, []byte("presets:")) {
			t.Fatalf("of\n%s\nis printed\n%s\n%s", content, printed, b.faults.Text())
		}
		stated, expanded := newRules(a.domains), newRules(b.domains)
		ignored := cmp.Options{cmpopts.IgnoreUnexported(Limit{}, Settings{}), cmpopts.IgnoreFields(Settings{}, "Response"), cmpopts.IgnoreFields(Limit{}, "Tally")}
		if diff := cmp.Diff(stated.Limits(), expanded.Limits(), ignored); diff != "" {
			t.Fatalf("the limits differ:\n%s", diff)
		}
		for range 20 {
			req := &Request{Domain: "llm", Descriptors: []Descriptor{{Entries: drawPresetEntries(t, groups)}}}
			if was, is := shown(stated, req), shown(expanded, req); was != is {
				t.Fatalf("%v is\n%s, printed\n%s", req, was, is)
			}
		}
	})
}

func drawPresetEntries(t *rapid.T, groups []string) []Entry {
	es := []Entry{{presetKey, fmt.Sprintf("preset %d", rapid.IntRange(0, 1).Draw(t, "preset"))}}
	for _, key := range rapid.Permutation([]string{"token_group", "user_group", "request_id"}).Draw(t, "keys") {
		if rapid.Bool().Draw(t, key) {
			es = append(es, Entry{key, rapid.SampledFrom(groups).Draw(t, "group")})
		}
	}
	for _, key := range []string{"user", "model"} {
		if rapid.IntRange(0, 3).Draw(t, key) > 0 {
			es = append(es, Entry{key, rapid.SampledFrom([]string{"u", "v", ""}).Draw(t, "value")})
		}
	}
	return es
}

// A file without presets is printed as it is, and a faulty one not at all.
func TestExpand_TouchesNothingElse(t *testing.T) {
	dir := t.TempDir()
	plain := "# mine\ndomain:   d\ndescriptors: [{key: a,   limits: [{rate: 1/s}]}]\n"
	for name, content := range map[string]string{"a.yaml": plain, "b.yaml": groupTable} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all, faults := Expand([]string{filepath.Join(dir, "b.yaml"), dir}, Options{})
	if len(all) != 2 || len(faults) > 0 || string(all[0].Content) != plain {
		t.Errorf("%q, %s", all, faults.Text())
	}
	if err := os.WriteFile(filepath.Join(dir, "c.yaml"), []byte("domain: c\npresets: [{model_limits: {groups: {vip: [1]}}}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if all, faults := Expand([]string{dir}, Options{}); all != nil || !faults.Failed() {
		t.Errorf("%q, %s", all, faults.Text())
	}
}
