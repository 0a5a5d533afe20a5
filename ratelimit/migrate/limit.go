package migrate

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// change is a way in which limits are otherwise under weir serve.
type change uint8

const (
	refills change = iota
	mondays
	months
	years
	renamed
)

// changes are what the summary says of each.
var changes = [...]string{
	refills: "token buckets in place of fixed windows: they refill all the time, so twice the amount never passes around the end of a window; --keep-windows keeps the windows",
	mondays: "weeks that begin on Monday, in place of Thursday",
	months:  "months as in the calendar, in place of 30 days from 1 January 1970",
	years:   "years as in the calendar, in place of 365 days from 1 January 1970",
	renamed: "limits with a new name, because theirs is taken: names are unique",
}

// unit is a unit of the reference and how weir states it.
type unit struct {
	rate    string // the period of a rate
	exact   string // the period whose windows are the reference's
	changes change
	beside  string // what is told beside a limit
}

// unchanged is the change of a limit that has none.
const unchanged change = 255

var units = map[string]unit{
	"second": {"s", "s", refills, "was a fixed window of a second"},
	"minute": {"min", "min", refills, "was a fixed window of a minute"},
	"hour":   {"hour", "hour", refills, "was a fixed window of an hour"},
	"day":    {"day", "day", unchanged, ""},
	"week":   {"week", "7day", mondays, "weeks from Monday, were from Thursday"},
	"month":  {"month", "30day", months, "months of the calendar, were of 30 days"},
	"year":   {"year", "365day", years, "years of the calendar, were of 365 days"},
}

// limit rewrites a rule's rate_limit as its limits.
func (m *migration) limit(d *domain, r rule, limit *yaml.Node) {
	m.limits++
	for key, value := range fields(r.Node) {
		if value != limit {
			continue
		}
		for _, c := range append(comments(key), comments(limit)...) {
			comment(r.Node, c)
		}
		key.HeadComment, key.LineComment, key.FootComment = "", "", ""
		if truth(field(limit, "unlimited")) {
			made := mapping(scalar("!!str", "unlimited"), scalar("!!bool", "true"))
			if name := text(limit, "name"); name != "" {
				put(made, "name", called(name))
			}
			d.names.replaces(limit, made)
			put(r.Node, "rate_limit", made)
			return
		}
		made := mapping()
		if name, named := d.names.of[limit]; named {
			put(made, "name", called(name))
			if before := text(limit, "name"); before != name {
				m.count(r, renamed, fmt.Sprintf("was named %q, which is taken", before))
			}
		}
		m.rate(r, limit, made)
		d.names.replaces(limit, made)
		key.Value = "limits"
		put(r.Node, "limits", sequence(made))
	}
	if m.options.Shadow {
		put(r.Node, "shadow_mode", scalar("!!bool", "true"))
	}
	if m.options.Quota {
		put(r.Node, "quota_mode", scalar("!!bool", "true"))
	}
}

// rate states in made how much a rate_limit admits.
func (m *migration) rate(r rule, limit, made *yaml.Node) {
	u := units[strings.ToLower(text(limit, "unit"))]
	requests, _ := strconv.ParseInt(strings.ReplaceAll(text(limit, "requests_per_unit"), "_", ""), 0, 64)
	if m.options.KeepWindows {
		put(made, "rate", scalar("!!str", fmt.Sprintf("%d/%s", requests, u.exact)))
		put(made, "algorithm", scalar("!!str", "fixed_window"))
		return
	}
	put(made, "rate", scalar("!!str", fmt.Sprintf("%d/%s", requests, u.rate)))
	if u.changes != unchanged {
		m.count(r, u.changes, u.beside)
	}
}

func (m *migration) count(r rule, c change, beside string) {
	m.counts[c]++
	comment(r.Node, "# "+beside)
}

// called is a name as a file states it.
func called(name string) *yaml.Node {
	n := scalar("!!str", name)
	quote(n)
	return n
}

// replaces states in made what limit replaces, each by all names that limits have now.
func (n names) replaces(limit, made *yaml.Node) {
	list := sequence()
	for _, entry := range items(limit, "replaces") {
		before := text(entry, "name")
		after := n.after[before]
		if len(after) == 0 {
			after = []string{before}
		}
		for _, name := range after {
			list.Content = append(list.Content, mapping(scalar("!!str", "name"), called(name)))
		}
	}
	if len(list.Content) > 0 {
		put(made, "replaces", list)
	}
}
