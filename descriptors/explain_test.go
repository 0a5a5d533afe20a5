package descriptors

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// anyDescriptor draws entries of the keys and values of the model's rules.
func anyDescriptor(t *rapid.T) (sent []Entry) {
	for range rapid.IntRange(1, 4).Draw(t, "entries") {
		sent = append(sent, Entry{rapid.SampledFrom([]string{"a", "a", "b", "a_b", "p"}).Draw(t, "key"), rapid.SampledFrom(modelValues).Draw(t, "value")})
	}
	return sent
}

// loaded compiles the rules of a model.
func loaded(t *rapid.T, head string, model []*modelRule) (*Rules, string) {
	content := head + "domain: llm\npassive: [p]\ndescriptors:\n"
	for _, r := range model {
		content += r.yaml("  ")
	}
	a := assemble([]*file{parse(newText("test.yaml", []byte(content)))}, Options{})
	if a.faults.Failed() {
		t.Fatalf("%s\n%s", content, a.faults.Text())
	}
	return newRules(a.domains), content
}

// limitsOf are an explanation's limits in order, with what they cost and where.
func limitsOf(e *Explanation) (all []string) {
	for i, w := range e.Descriptors {
		for _, l := range w.Limits {
			all = append(all, fmt.Sprintf("%d %s %q %d %s %s", i, l.Limit, l.Key, l.Cost, l.Mode, l.Role))
		}
	}
	return all
}

func matchesOf(res *Resolution) (all []string) {
	for _, m := range res.Matches {
		all = append(all, fmt.Sprintf("%d %s %q %d %s %s", m.Descriptor, m.Limit.Name, m.Charge.Key, m.Charge.Cost,
			[...]string{"take", "look", "refund", "settle"}[m.Charge.Mode], [...]string{"enforce", "shadow", "quota"}[m.Charge.Role]))
	}
	return all
}

// By random rules and requests: what is explained is what the request path finds, each
// entry has one fate, and the way that is told is that of the definition.
func TestExplain_TellsWhatTheRequestPathFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count := 0
		model := anyRules(t, 3, &count)
		best := rapid.Bool().Draw(t, "best")
		head := ""
		if best {
			head = "matching: best\n"
		}
		rules, content := loaded(t, head, model)
		for range 20 {
			req := Request{Domain: "llm", Hits: uint64(rapid.IntRange(0, 3).Draw(t, "hits"))}
			for range rapid.IntRange(1, 3).Draw(t, "descriptors") {
				req.Descriptors = append(req.Descriptors, Descriptor{Entries: anyDescriptor(t)})
			}
			want := rules.Resolve(&req)
			e, found := rules.Explain(&req)
			if !reflect.DeepEqual(matchesOf(&found), matchesOf(&want)) || !reflect.DeepEqual(limitsOf(&e), matchesOf(&want)) || !slices.Equal(found.Unmatched, want.Unmatched) {
				t.Fatalf("%v is explained as %v, and is %v; rules:\n%s", req, limitsOf(&e), matchesOf(&want), content)
			}
			for i, w := range e.Descriptors {
				checkWay(t, model, best, req.Descriptors[i].Entries, &w, content)
			}
		}
	})
}

// checkWay holds the way of one descriptor against the definition of matching.
func checkWay(t *rapid.T, model []*modelRule, best bool, sent []Entry, w *ExplainedWay, content string) {
	if len(w.Entries) != len(sent) {
		t.Fatalf("%v has %d entries told of", sent, len(w.Entries))
	}
	if limited := len(w.Limits) > 0; limited == (w.Why != "") {
		t.Fatalf("%v: limits %v, and why there are none: %q; rules:\n%s", sent, w.Limits, w.Why, content)
	}
	level, over := model, false
	for i, told := range w.Entries {
		e := sent[i]
		if told.Key != e.Key || told.Value != e.Value || (told.By == Passive) != (e.Key == "p") {
			t.Fatalf("%v: entry %d is told as %+v", sent, i, told)
		}
		if told.By == Passive {
			continue
		}
		met := inOrder(level, e)
		won := slices.IndexFunc(told.Compared, func(c Comparison) bool { return c.Won })
		switch {
		case told.By == LeftOver:
			over = true
			continue
		case over:
			t.Fatalf("%v: entry %d is told as %+v after the end of the way; rules:\n%s", sent, i, told, content)
		case told.By == Unmet:
			if len(met) > 0 || won >= 0 {
				t.Fatalf("%v: entry %d meets %v, and is told as %+v; rules:\n%s", sent, i, met[0], told, content)
			}
			over = true
			continue
		}
		all := 0
		for _, c := range told.Compared { // in the order in which rules win
			if c.Met && (all == len(met) || met[all].called(e) != c.Rule) {
				t.Fatalf("%v: entry %d is compared with %+v in another order; rules:\n%s", sent, i, told.Compared, content)
			}
			if c.Met {
				all++
			}
		}
		at := 0 // which of met won: the first, unless one can go back
		for ; best && at < len(met) && met[at].called(e) != told.Rule; at++ {
		}
		if at == len(met) || met[at].called(e) != told.Rule || all != len(met) || told.Compared[won].Rule != told.Rule || told.Compared[won].By != told.By {
			t.Fatalf("%v: entry %d is told as %+v; rules:\n%s", sent, i, told, content)
		}
		level = met[at].children
	}
}

// called is what an explanation calls a rule that an entry has met.
func (r *modelRule) called(e Entry) string {
	key := r.key
	if strings.Contains(key, "*") {
		key = newGlob(key).String()
	}
	switch r.form {
	case "":
		return key
	case "value_cidr":
		p, _ := parseNetwork(r.value)
		if p.IsSingleIP() {
			return key + "=" + e.Value
		}
		return key + "=" + networkText(p)
	case "value_regex":
		return key + "=~" + r.value
	}
	return key + "=" + r.value
}

// What a descriptor needs to be limited is told so that it is: sent with the keys that
// are missing, or judged by matching: best, it meets a limit.
func TestExplain_WhatIsMissingIsWhatIsMissing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count := 0
		model := anyRules(t, 3, &count)
		rules, content := loaded(t, "", model)
		for range 20 {
			sent := anyDescriptor(t)
			e, _ := rules.Explain(&Request{Domain: "llm", Descriptors: []Descriptor{{Entries: sent}}})
			w := e.Descriptors[0]
			if !strings.Contains(w.Remedy, "matching: best") || !strings.Contains(w.Why, "stays chosen") {
				continue
			}
			again, _ := loaded(t, "matching: best\n", model)
			if res := again.Resolve(&Request{Domain: "llm", Descriptors: []Descriptor{{Entries: sent}}}); len(res.Matches) == 0 {
				t.Fatalf("%v would meet a limit under matching: best, says %+v; rules:\n%s", sent, w, content)
			}
		}
	})
}

const shopRules = `
domain: shop
passive: [p]
descriptors:
  - key: group
    value: vip
    descriptors: [{key: model, limits: [{name: vip-model, rate: 10/s}]}]
  - key: group
    limits: [{name: group, rate: 1/s}]
    descriptors: [{key: path, limits: [{name: group-path, rate: 5/s}]}]
  - {key: ip, value_cidr: 10.0.0.0/8, limits: [{name: lan, rate: 1/s}]}
  - {key: api, value: read, limits: [{name: read, rate: 2/s, weight: {by: size, values: {xl: 5}, default: 2}, burst: 10}]}
  - {key: off, limits: [{name: off, rate: 1/s, enabled: false}]}
`

// The traps that cost their users most time, each with its reason and a way out.
func TestExplain_WhyNone(t *testing.T) {
	rules := rulesOf(t, shopRules)
	for descriptor, want := range map[string]string{
		"group=vip":                `its entries end at group=vip, which has no limits of its own; group=vip was chosen before group, which would lead to a limit, and what is chosen stays chosen | group | [] | repeat the limit below group=vip, or write matching: best`,
		"group=vip path=x":         `no rule has the key "path" at group=vip: the keys there are "model"; group=vip was chosen before group, which would lead to a limit, and what is chosen stays chosen | group/path | [] | repeat the limit below group=vip, or write matching: best`,
		"group=vip modle=x":        `no rule has the key "modle" at group=vip: the keys there are "model" |  | [model] | did you mean "model"?`,
		"group=vip model=x path=y": `the rule group=vip/model ends before "path": it is for descriptors of exactly its own entries | group=vip/model | [] | add a rule for "path" below it, put "path" on passive, or write matching: best`,
		"ip=9.9.9.9":               `no rule for "ip" at the top of the rules meets this value |  | [] | add a rule for the value, or for the key alone`,
		"api=raed":                 `no rule for "api" at the top of the rules meets this value: those with a value state "read" |  | [] | did you mean "read"?`,
		"usr=x":                    `no rule has the key "usr" at the top of the rules: the keys there are "api", "group", "ip", "off" |  | [] | send one of these keys, add a rule for "usr", or put it on passive`,
		"p=x":                      `all its entries are passive: there is nothing that a rule could meet |  | [] | `,
	} {
		e, _ := rules.Explain(&Request{Domain: "shop", Descriptors: []Descriptor{{Entries: entries(descriptor)}}})
		w := e.Descriptors[0]
		if got := fmt.Sprintf("%s | %s | %v | %s", w.Why, w.Nearest, w.Missing, w.Remedy); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", descriptor, got, want)
		}
	}
	e, _ := rules.Explain(&Request{Domain: "shpo"})
	if e.Remedy != `did you mean "shop"?` {
		t.Errorf("of another domain it says %+v", e)
	}
	e, _ = rules.Explain(&Request{Domain: "shop", Descriptors: []Descriptor{{Entries: entries("off=x")}}})
	if out := e.Descriptors[0].LeftOut; len(out) != 1 || out[0] != (LeftOut{"off", "it is switched off (enabled: false)"}) {
		t.Errorf("a limit that is off is told as %+v", out)
	}
}

func TestExplain_TellsWhatACostIsMadeOf(t *testing.T) {
	rules := rulesOf(t, shopRules)
	for sent, want := range map[string]string{
		"api=read|group=x size=xl": "hits 3 x weight 5 (size=xl) = 15", "api=read": "hits 3 x weight 2 (size) = 6",
	} {
		req := Request{Domain: "shop", Hits: 3}
		for d := range strings.SplitSeq(sent, "|") {
			req.Descriptors = append(req.Descriptors, Descriptor{Entries: entries(d)})
		}
		e, _ := rules.Explain(&req)
		l := e.Descriptors[0].Limits[0]
		if got := fmt.Sprintf("hits %d x weight %d (%s) = %d", l.Hits, l.Weight, l.WeightBy, l.Cost); got != want {
			t.Errorf("%s costs %s, want %s", sent, got, want)
		}
	}
	e, _ := rules.Explain(&Request{Domain: "shop", Descriptors: []Descriptor{{Entries: entries("api=read"), HasHits: true, Hits: math.MaxUint64}}})
	if l := e.Descriptors[0].Limits[0]; l.Cost != math.MaxInt64 {
		t.Errorf("the largest cost is told as %d", l.Cost)
	}
}

// An explanation of a domain with `keys` tells neither what was sent nor what rules
// state, nor even the hash of what was not sent.
func TestExplain_TellsNothingOfHiddenValues(t *testing.T) {
	rules := hidden(t, ", entries: [user, g1]", `descriptors:
  - {key: user, value: rulesecret, limits: [{name: r, rate: 1/s}]}
  - {key: user, value: rulesecret2, descriptors: [{key: path, limits: [{name: rp, rate: 1/s}]}]}
  - {key: plan, descriptors: [{key: user, value: rulesecret3, limits: [{name: pu, rate: 5/s, weight: {by: user, values: {rulesecret3: 2}}}]}]}
  - {key: area, descriptors: [{first_of: [g1, g2], value: rulesecret4, limits: [{name: g, rate: 1/s}]}]}
`)
	domain := rules.Domains()[0]
	for _, text := range []string{"user=rulesecret", "user=sentsecret", "user=rulesecret2", "plan=x", "plan=x user=rulesecret3", "plan=x user=rulesecretx", "area=x", "area=x g1=rulesecret4", "area=x g2=sentsecret", "user=rulesecret path=x"} {
		e, _ := rules.Explain(&Request{Domain: domain, Descriptors: []Descriptor{{Entries: entries(text)}}})
		form, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(form), "secret") {
			t.Errorf("%s: %s", text, form)
		}
		for _, value := range []string{"rulesecret", "rulesecret2", "rulesecret3", "rulesecret4"} {
			if !strings.HasSuffix(text, value) && !strings.Contains(text, value+" ") && strings.Contains(string(form), hashOf(value)[:8]) {
				t.Errorf("%s is told the hash of %s: %s", text, value, form)
			}
		}
	}
}
