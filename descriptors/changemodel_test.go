package descriptors

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weir-rls/weir/buckets"
)

// stated is a limit or a pool as a file states it, by field.
type stated map[string]string

func (s stated) yaml() string {
	var parts []string
	for _, field := range slices.Sorted(maps.Keys(s)) {
		if field != "kind" {
			parts = append(parts, field+": "+s[field])
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// with is s edited to say what c does. An unlimited or blocked bucket cannot be
// stated so.
func (s stated) with(c Change) stated {
	edited := maps.Clone(s)
	if c.Rate != "" {
		edited["rate"] = c.Rate
	}
	if c.Burst != nil {
		edited["burst"] = fmt.Sprint(*c.Burst)
	}
	if c.Slots != nil {
		edited["slots"] = fmt.Sprint(*c.Slots)
	}
	if c.Enabled != nil {
		edited["enabled"] = fmt.Sprint(*c.Enabled)
	}
	return edited
}

// modelFile is a rule file of which changes name each part.
type modelFile struct {
	enabled string
	parts   map[string]stated // limits, pools, draws and a breaker
}

func (f modelFile) yaml() string {
	p := func(name string) string { return f.parts[name].yaml() }
	return "domain: llm\npassive: [api]\nenabled: " + f.enabled + "\npools: [" + p("pool") + ", " + p("slotpool") + "]\ndescriptors:\n" +
		"  - {key: user, limits: [" + p("one") + ", " + p("two") + "], breaker: " + p("gate") + "}\n" +
		"  - {key: user, value: \"x*\", limits: [" + p("pattern") + "]}\n" +
		"  - {key: ip, value_cidr: 10.0.0.0/8, descriptors: [{key: model, limits: [" + p("deep") + "]}]}\n" +
		"  - {key: path, value: /a, draw: " + p("class") + "}\n" +
		"  - {key: path, draw: {pool: pool, class: others, weight: 2}}\n" +
		"  - {key: job, draw: {pool: slotpool, class: jobs}}\n"
}

// with is f edited to say what c does, for all.
func (f modelFile) with(c Change) modelFile {
	if c.Limit == "" {
		f.enabled = fmt.Sprint(*c.Enabled)
		return f
	}
	f.parts = maps.Clone(f.parts)
	f.parts[c.Limit] = f.parts[c.Limit].with(c)
	return f
}

// source serves f, nil if it has errors.
func (f modelFile) rules() *Rules {
	a := assemble([]*file{parse(newText("model.yaml", []byte(f.yaml())))}, Options{})
	if a.faults.Failed() {
		return nil
	}
	return newRules(a.domains)
}

var (
	someRates  = []string{"0/s", "1/s", "3/s", "10/s", "7/3s", "100/min", "60/min", "20/hour", "5/day", "9/week", "3/month", "1/1ms", "4294967291/s", "10/500ms", "1/year"}
	someBursts = []int64{1, 2, 5, 50, 1000, 1 << 40, 1 << 52}
)

func drawLimit(t *rapid.T, name string) stated {
	s := stated{"name": name}
	s["kind"] = rapid.SampledFrom(algorithms).Draw(t, name)
	s["algorithm"] = s["kind"]
	maybe := func(field string, values ...string) {
		if v := rapid.SampledFrom(append(values, "")).Draw(t, field); v != "" {
			s[field] = v
		}
	}
	switch s["kind"] {
	case concurrency:
		s["slots"] = rapid.SampledFrom([]string{"1", "5", "100"}).Draw(t, "slots")
	case tokenBucket:
		maybe("burst", "1", "5", "200")
		maybe("initial", "empty", "full", "1", "4")
		fallthrough
	default:
		s["rate"] = rapid.SampledFrom(someRates).Draw(t, "rate")
		maybe("max_debt", "0", "7")
	}
	if s["kind"] == fixedWindow {
		maybe("time_zone", "Asia/Taipei")
	}
	maybe("weight", "2", "{by: api, values: {a: 4}}")
	maybe("enabled", "false", "true")
	maybe("shadow_mode", "true")
	maybe("enforce_percent", "0", "50")
	if name == "deep" {
		maybe("max_wait", "3s")
	}
	return s
}

func drawFile(t *rapid.T) modelFile {
	f := modelFile{enabled: rapid.SampledFrom([]string{"true", "true", "true", "false"}).Draw(t, "enabled"), parts: map[string]stated{}}
	for _, name := range []string{"one", "two", "pattern", "deep"} {
		f.parts[name] = drawLimit(t, name)
	}
	f.parts["gate"] = stated{"name": "gate"}
	f.parts["pool"] = stated{"name": "pool", "rate": rapid.SampledFrom(someRates).Draw(t, "rate"), "burst": rapid.SampledFrom([]string{"4", "7", "50", "200", "1073741824", "1099511627776"}).Draw(t, "burst")}
	f.parts["slotpool"] = stated{"name": "slotpool", "slots": fmt.Sprint(rapid.Int64Range(1, 50).Draw(t, "slots"))}
	f.parts["class"] = stated{"pool": "pool", "class": "class"}
	if rapid.Bool().Draw(t, "reserve") {
		f.parts["class"]["reserve"] = "3"
	}
	return f
}

// changedValues are what changes are for: values that requests meet a limit with.
var changedValues = map[string][]map[string]string{
	"one": {{"user": "a"}, {"user": "b"}}, "two": {{"user": "a"}, {"user": "b"}}, "gate": {{"user": "a"}, {"user": "b"}}, "pattern": {{"user": "xa"}},
	"deep": {{"ip": "10.0.0.1", "model": "m"}, {"ip": "10.0.0.2", "model": "m"}, {"ip": "10.0.0.1", "model": "n"}},
}

func drawChange(t *rapid.T) Change {
	c := Change{Domain: "llm", Limit: rapid.SampledFrom([]string{"", "one", "two", "pattern", "deep", "gate", "pool", "slotpool", "class"}).Draw(t, "limit")}
	if values := changedValues[c.Limit]; values != nil && rapid.Bool().Draw(t, "for one") {
		c.For = rapid.SampledFrom(values).Draw(t, "for")
	}
	sets := rapid.IntRange(1, 7).Draw(t, "sets")
	if c.Limit == "" {
		sets = 4
	}
	if sets&1 > 0 {
		c.Rate = rapid.SampledFrom(someRates).Draw(t, "rate")
	}
	if sets&2 > 0 {
		n := rapid.SampledFrom(someBursts).Draw(t, "number")
		if rapid.Bool().Draw(t, "slots") {
			c.Slots = &n
		} else {
			c.Burst = &n
		}
	}
	if sets&4 > 0 {
		on := rapid.Bool().Draw(t, "enabled")
		c.Enabled = &on
	}
	return c
}

var modelRequests = []string{
	"user=a", "user=b", "user=c", "user=xa", "user=xb", "ip=10.0.0.1 model=m", "ip=10.0.0.2 model=m", "ip=10.0.0.1 model=n", "path=/a", "path=/b", "job=j", "none=x",
}

// asked is all that rules make of a request, without what only changes know: what
// they keep of a bucket that was larger.
func asked(r *Rules, descriptor string) (Resolution, []*Limit) {
	var limits []*Limit
	req := request(descriptor + " api=a")
	res := r.Resolve(req)
	for i := range res.Matches {
		m := &res.Matches[i]
		l := &Limit{Settings: m.Limit.Settings, Name: m.Limit.Name, id: m.Limit.id, key: m.Limit.key}
		l.part() // which others share
		limits = append(limits, l)
		l.apart, l.share, l.Class, m.Limit = nil, nil, nil, nil
		if c := m.Charge.Class; c != nil {
			plain := *c
			plain.Guarantee = forgetful(plain.Guarantee)
			m.Charge.Class = &plain
		}
		l.Bucket, m.Charge.Bucket = forgetful(l.Bucket), forgetful(m.Charge.Bucket)
	}
	return res, limits
}

// A list of changes is as if the files said the same: what a file may say can be
// changed so, what it may not is refused and changes nothing; and a change for
// one bucket is for no other.
func TestM20_ChangesAreAsIfTheFilesSaidSo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		model := rapid.Custom(drawFile).Filter(func(f modelFile) bool { return f.rules() != nil }).Draw(t, "file")
		list := rapid.SliceOfNDistinct(rapid.Custom(drawChange), 0, 8, func(c Change) string { return c.what() }).Draw(t, "changes")
		made := compileChanged("llm", []*file{parse(newText("model.yaml", []byte(model.yaml())))}, Options{}, list)
		refused := map[int]bool{}
		for _, f := range made.faults {
			refused[f.Change] = true
		}

		all := model // edited by what is for all
		for i, c := range list {
			if len(c.For) > 0 {
				continue
			}
			if edited := all.with(c); statable(model, c) && edited.rules() != nil {
				all = edited
			} else if !refused[i] {
				t.Fatalf("%+v was made, and is none of a file:\n%s", c, edited.yaml())
			} else {
				continue
			}
			if refused[i] {
				t.Fatalf("%+v was refused, and is sound in a file:\n%s\n%+v", c, all.yaml(), made.faults)
			}
		}
		rules := newRules(map[string]*domain{"llm": made.domain})
		for _, descriptor := range modelRequests {
			own := all
			for i, c := range list {
				if len(c.For) == 0 || !reflect.DeepEqual(c.For, valuesOf(descriptor)) {
					continue
				}
				edited := all.with(c)
				sound := statable(model, c) && edited.rules() != nil
				if sound == refused[i] {
					t.Fatalf("%+v: sound %v, refused %v:\n%s\n%+v", c, sound, refused[i], edited.yaml(), made.faults)
				}
				if sound {
					own = own.with(c)
				}
			}
			got, gotLimits := asked(rules, descriptor)
			want, wantLimits := asked(own.rules(), descriptor)
			if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(gotLimits, wantLimits) {
				t.Fatalf("%q after %+v:\n%+v\n%+v\nwant\n%+v\n%+v", descriptor, list, got, gotLimits, want, wantLimits)
			}
		}
	})
}

// statable tells whether a field that c sets is one that changes have for its
// kind of limit, where a file would take more.
func statable(f modelFile, c Change) bool {
	switch c.Limit {
	case "gate", "class":
		return c.Rate == "" && c.Burst == nil && c.Slots == nil
	}
	return true
}

func valuesOf(descriptor string) map[string]string {
	values := map[string]string{}
	for _, e := range entries(descriptor) {
		values[e.Key] = e.Value
	}
	return values
}

func forgetful(b buckets.Bucket) buckets.Bucket {
	if t, ok := b.(buckets.TokenBucket); ok {
		t.Kept = 0
		return t
	}
	return b
}
