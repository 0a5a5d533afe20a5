package descriptors

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// presetKey is the key of the entry that a preset's descriptors begin with, and
// the preset's name its value: its rules neither take requests away from those
// of the file nor leave any to them.
const presetKey = "preset"

// presetTexts are what a user is told, by [Language]: that all requests count, or
// those that succeed.
var presetTexts = map[bool][3]string{
	false: {
		English:    "You have reached the total request limit: at most {limit} requests per {period}, failed ones included. Please check that your requests are correct",
		Chinese:    "您已达到总请求数限制：{period}内最多请求{limit}次，包括失败次数，请检查您的请求是否正确",
		Portuguese: "Você atingiu o limite total de requisições: no máximo {limit} por {period}, incluindo as que falharam. Verifique se as suas requisições estão corretas",
	},
	true: {
		English:    "You have reached the request limit: at most {limit} requests per {period}",
		Chinese:    "您已达到请求数限制：{period}内最多请求{limit}次",
		Portuguese: "Você atingiu o limite de requisições: no máximo {limit} por {period}",
	},
}

// presets are the rules that the presets of all files stand for.
func (c *compiler) presets(files []*file) []*rule {
	var rules []*rule
	for _, f := range files {
		for _, p := range f.presets {
			_, twice := c.names[p.name]
			if c.unique(p.name, p.at); !twice {
				rules = append(rules, p.rule())
				c.domain.presets = append(c.domain.presets, p)
			}
		}
	}
	return rules
}

// rule is what p stands for: below an entry of its own the first group that is in
// the table, or none, then the user, then the model, if it is sent.
func (p *presetSpec) rule() *rule {
	root := &rule{key: presetKey, values: values{kind: oneValue, text: p.name}, at: p.at}
	for _, group := range slices.Sorted(maps.Keys(p.groups)) {
		root.children = append(root.children, &rule{
			key: firstOfName(p.groupFrom), firstOf: p.groupFrom, values: values{kind: oneValue, text: group}, at: p.at,
			children: []*rule{p.byUser(p.name+"/"+group, p.groups[group])},
		})
	}
	if len(p.groups) == 0 {
		root.children = append(root.children, &rule{key: firstOfName(p.groupFrom), firstOf: p.groupFrom, at: p.at})
	}
	root.children = append(root.children, p.byUser(p.name, p.global))
	return root
}

func (p *presetSpec) byUser(name string, n counts) *rule {
	return &rule{
		key: p.user, at: p.at, limits: p.limits(name, "-no-model", n),
		children: []*rule{{key: p.model, at: p.at, limits: p.limits(name, "", n)}},
	}
}

// limits are those of one user in a group. A total of 0 is none.
func (p *presetSpec) limits(name, suffix string, n counts) []*limitSpec {
	var specs []*limitSpec
	if n.total > 0 {
		specs = append(specs, p.window(name+"/total"+suffix, n.total, false))
	}
	return append(specs, p.window(name+"/success"+suffix, n.success, true))
}

func (p *presetSpec) window(name string, requests int64, success bool) *limitSpec {
	s := &limitSpec{meaning: &meaning{limit: p.limit, algorithm: slidingWindow, heaviest: 1}, name: name, at: p.at}
	s.limit.CountSuccess, s.limit.Disabled = success, !p.enabled
	s.terms.rate = rate{tokens: requests, period: p.period}
	s.make()
	s.limit.Response = p.told[success]
	return s
}

// tell has p's limits say which of the two refused, where the response that they
// have says nothing of its own.
func (p *presetSpec) tell() {
	p.told = map[bool]*Response{}
	for success, texts := range presetTexts {
		if p.told[success] = p.limit.Response; p.limit.Response.Message.Empty() {
			told := *p.limit.Response
			told.Message = NewMessage(texts[told.Language])
			p.told[success] = &told
		}
	}
}

// changed is p with what c sets.
func (p *presetSpec) changed(c *Change) (*presetSpec, []ChangeFault) {
	next := *p
	var faults []ChangeFault
	fail := func(field, message, remedy string) { faults = append(faults, c.flawed(field, message, remedy)) }
	number := func(field string, n, least int64) {
		if message, remedy := countFault(field, n, least); message != "" {
			fail(field, message, remedy)
		}
	}
	if len(c.For) > 0 {
		fail("for", "a preset changes for all", "leave for out, or name one of its limits")
	}
	for _, name := range c.stated() {
		switch name {
		case "enabled":
			next.enabled = *c.Enabled
		case "period":
			if d, err := time.ParseDuration(c.Period); err == nil && periodFault(d) == "" {
				next.period = d
			} else {
				fail(name, "period cannot be "+quote(c.Period), periodForm)
			}
		case "total":
			next.global.total = *c.Total
			number(name, *c.Total, 0)
		case "success":
			next.global.success = *c.Success
			number(name, *c.Success, 1)
		case "groups":
			next.groups = map[string]counts{}
		default:
			fail(name, name+" means nothing for a preset", "set enabled, period, total, success or groups, or name one of its limits")
		}
	}
	if len(c.Groups) > maxGroups {
		fail("groups", fmt.Sprintf("%d groups, more than %d", len(c.Groups), maxGroups), "")
	}
	for _, group := range slices.Sorted(maps.Keys(c.Groups)) {
		pair, field := c.Groups[group], "groups."+printable(group, maxGroupName)
		if message := groupFault(group); message != "" {
			fail("groups", message, "")
		}
		number(field+"[0]", pair[0], 0)
		number(field+"[1]", pair[1], 1)
		next.groups[group] = counts{pair[0], pair[1]}
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return &next, nil
}
