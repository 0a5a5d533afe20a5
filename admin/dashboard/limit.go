package dashboard

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/overrides"
)

var limitPage = page{
	name: "limit", path: home + "/limits/{domain}/{limit...}", title: "Limit", under: "limits",
	shows: "one limit: its use, its busiest keys, what is set of it, and a form to set it",
	data:  (*dashboard).limit,
}

// limit is what the page of that name shows.
type limit struct {
	row
	Kind       string  // limit, pool or preset
	Pool       *Share  // of a class: what it draws from
	Classes    []Share // of a pool
	Size       int64   // of a pool
	Changes    []change
	History    []note
	HistoryErr string
}

func (l limit) title() string { return l.Name }

// change is what is set of a limit while weir runs.
type change struct {
	overrides.Listed
	For   string // the one key that it is for, empty: for all
	Sets  string
	Query string // of the request that undoes it
}

// note is what was set, undone or expired.
type note struct {
	Time           time.Time
	Action         string
	For, Sets      string
	Author, Reason string
}

func (d *dashboard) limit(r *http.Request) (any, error) {
	domain, name := r.PathValue("domain"), r.PathValue("limit")
	rules := d.Rules.Rules()
	if rules == nil {
		return nil, missing("no rules were ever loaded", "look into the log for faults of the rule files")
	}
	l := limit{row: row{Domain: domain, Name: name}}
	for _, stated := range rules.Limits() {
		if stated.Domain == domain && stated.Name == name {
			l.row, l.Kind = d.standing(rules).row(stated), "limit"
			break
		}
	}
	for _, p := range rules.Pools() {
		if p.Domain == domain && p.Name == name && l.Kind == "" {
			l.Kind, l.Size, l.Slots = "pool", p.Size, p.Slots
		}
	}
	if l.Kind == "pool" {
		l.Classes = d.classes(r.Context(), domain, name)
	}
	l.Changes = d.changes(domain, name)
	if l.Kind == "" && len(l.Changes) == 0 && !d.preset(domain, name) {
		return nil, missing("the rules have no limit "+quoted(name)+" in "+quoted(domain), "choose one of the list of limits")
	}
	if l.Kind == "" {
		l.Kind = "preset"
	}
	one := []row{l.row}
	d.look(r.Context(), one)
	l.row = one[0]
	if l.row.Pool != "" {
		l.Pool = d.share(r.Context(), domain, l.Name)
	}
	if err := d.history(r.Context(), &l); err != nil {
		l.HistoryErr = err.Error()
	}
	return l, nil
}

// preset tells whether the rules have a preset of a name.
func (d *dashboard) preset(domain, name string) bool {
	return slices.ContainsFunc(d.Rules.Presets(), func(p descriptors.PresetState) bool {
		return p.Live.Domain == domain && p.Live.Name == name
	})
}

// shares are those that match, none where the store does not tell: the page shows the
// rest.
func (d *dashboard) shares(ctx context.Context, matches func(Share) bool) []Share {
	ctx, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	all, _ := d.Shares(ctx)
	return slices.DeleteFunc(all, func(s Share) bool { return !matches(s) })
}

// share is what a class has of its pool.
func (d *dashboard) share(ctx context.Context, domain, class string) *Share {
	for _, s := range d.shares(ctx, func(s Share) bool { return s.Domain == domain && s.Class == class }) {
		return &s
	}
	return nil
}

// classes are those of a pool.
func (d *dashboard) classes(ctx context.Context, domain, name string) []Share {
	return d.shares(ctx, func(s Share) bool { return s.Domain == domain && s.Pool == name })
}

func (d *dashboard) changes(domain, name string) (all []change) {
	for _, listed := range d.Book.List() {
		if listed.Domain == domain && listed.Limit == name {
			all = append(all, change{listed, keyText(listed.For), setsText(&listed.Change), undoQuery(&listed)})
		}
	}
	return all
}

// Bounds of the history that a page shows.
const (
	historyRead  = 1000
	historyShown = 20
)

func (d *dashboard) history(ctx context.Context, l *limit) error {
	ctx, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	raw, err := d.Book.History(ctx, historyRead)
	if err != nil {
		return err
	}
	for _, text := range raw {
		var told overrides.Note
		if json.Unmarshal(text, &told) != nil {
			continue // others write notes of their own
		}
		for _, e := range told.Changes {
			if e.Domain == l.Domain && e.Limit == l.Name && len(l.History) < historyShown {
				l.History = append(l.History, note{told.Time, told.Action, keyText(e.For), setsText(&e.Change), told.Author, told.Reason})
			}
		}
	}
	return nil
}

// keyText is a key as KEY=VALUE, ...
func keyText(key map[string]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(key)) {
		parts = append(parts, name+"="+key[name])
	}
	return strings.Join(parts, ", ")
}

// setsText tells what a change sets, in a line.
func setsText(c *descriptors.Change) string {
	var parts []string
	add := func(set bool, format string, args ...any) {
		if set {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	add(c.Enabled != nil && !*c.Enabled, "off")
	add(c.Enabled != nil && *c.Enabled, "on")
	add(c.Blocked, "blocked")
	add(c.Unlimited, "unlimited")
	add(c.Rate != "", "rate %s", c.Rate)
	for _, n := range []struct {
		name  string
		value *int64
	}{{"burst", c.Burst}, {"slots", c.Slots}, {"total", c.Total}, {"success", c.Success}} {
		if n.value != nil {
			add(true, "%s %d", n.name, *n.value)
		}
	}
	add(c.Period != "", "period %s", c.Period)
	for _, group := range slices.Sorted(maps.Keys(c.Groups)) {
		add(true, "%s %d/%d", group, c.Groups[group][0], c.Groups[group][1])
	}
	return cmp.Or(strings.Join(parts, ", "), "nothing")
}

// undoQuery is the query of the request that undoes what is set, if it is still that.
func undoQuery(l *overrides.Listed) string {
	query := url.Values{"domain": {l.Domain}, "version": {strconv.FormatInt(l.Version, 10)}}
	for _, name := range slices.Sorted(maps.Keys(l.For)) {
		query.Add("for", name+"="+l.For[name])
	}
	return query.Encode()
}
