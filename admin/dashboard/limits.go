package dashboard

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/traffic"
)

var limitsPage = page{
	name: "limits", path: home + "/limits", title: "Limits", menu: "Limits", icon: "gauge",
	shows: "all limits, how they are used and what is changed of them",
	data:  (*dashboard).limits,
}

// limits is what the page of that name shows.
type limits struct {
	Search, Show string
	Shows        []choice
	Rows         []row
	Found, All   int64
	From, To     int64  // which of those that were found are here, from 1
	Before, Next string // links to the pages before and after this one, empty: there is none
	Unfollowed   bool
}

type choice struct{ Value, Text string }

var shows = []choice{
	{"", "All limits"}, {"over", "Over"}, {"near", "Near"}, {"busy", "Met in the last minute"}, {"changed", "Changed at run time"}, {"shadow", "In shadow mode"},
}

// pageRows is how many limits are on a page of the table.
const pageRows = 100

func (d *dashboard) limits(r *http.Request) (any, error) {
	query := r.URL.Query()
	v := limits{Search: query.Get("q"), Show: query.Get("show"), Shows: shows, Unfollowed: d.Traffic.Overview("").Unfollowed}
	rules := d.Rules.Rules()
	if rules == nil {
		return v, nil
	}
	all, stands := rules.Limits(), d.standing(rules)
	v.All = int64(len(all))
	words := strings.Fields(strings.ToLower(v.Search))
	var found []*descriptors.Limit
	for _, l := range all {
		if stands.is(l, v.Show) && stands.has(l, words) {
			found = append(found, l)
		}
	}
	slices.SortStableFunc(found, func(a, b *descriptors.Limit) int {
		return cmp.Or(cmp.Compare(a.Domain, b.Domain), cmp.Compare(a.Name, b.Name))
	})
	if v.Show == "near" { // is known only of buckets that were looked at
		v.Rows = d.near(r.Context(), stands, found)
		v.Found = int64(len(v.Rows))
		v.From, v.To = min(1, v.Found), v.Found
		return v, nil
	}
	v.turn(query.Get("page"), found, stands)
	d.look(r.Context(), v.Rows)
	return v, nil
}

// turn shows the page of a number, the last one if there are less and the first if it
// is none.
func (v *limits) turn(number string, found []*descriptors.Limit, stands standing) {
	v.Found = int64(len(found))
	last := max(0, (len(found)-1)/pageRows)
	page, _ := strconv.Atoi(number) // 0 for what is no number
	page = min(max(0, page-1), last)
	from, to := page*pageRows, min(len(found), (page+1)*pageRows)
	for _, l := range found[from:to] {
		v.Rows = append(v.Rows, stands.row(l))
	}
	v.From, v.To = int64(min(from+1, to)), int64(to)
	link := func(page int) string {
		return home + "/limits?" + url.Values{"q": {v.Search}, "show": {v.Show}, "page": {strconv.Itoa(page)}}.Encode()
	}
	if page > 0 {
		v.Before = link(page)
	}
	if page < last {
		v.Next = link(page + 2)
	}
}

// near are those of the limits of which a bucket that was looked at is nearly empty.
func (d *dashboard) near(ctx context.Context, stands standing, found []*descriptors.Limit) (rows []row) {
	for _, l := range found {
		rows = append(rows, stands.row(l))
	}
	d.look(ctx, rows)
	return slices.DeleteFunc(rows, func(r row) bool { return r.StateWord != "near" })
}

// has tells whether a search finds a limit: each of its words is somewhere in it.
func (s standing) has(l *descriptors.Limit, words []string) bool {
	if len(words) == 0 {
		return true
	}
	text := strings.ToLower(l.Domain + " " + l.Name + " " + s.pools[l])
	for _, word := range words {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

// is tells whether a limit is one of those to be shown, or may be.
func (s standing) is(l *descriptors.Limit, show string) bool {
	of := [2]string{l.Domain, l.Name}
	switch show {
	case "over":
		m := s.seen[of].Minute
		return !l.Disabled && m.Refused+m.ShadowRefused > 0
	case "near", "busy":
		return s.seen[of].Minute != traffic.Counts{}
	case "changed":
		return len(s.set[of]) > 0
	case "shadow":
		return l.Shadow
	}
	return true
}

// levelsQuery asks the API for the level of some entries, empty where they cannot be
// named.
func levelsQuery(domain string, entries []traffic.Entry) string {
	query := url.Values{"domain": {domain}}
	for _, e := range entries {
		if e.Hidden {
			return ""
		}
		query.Add("entry", e.Key+"="+e.Value)
	}
	return query.Encode()
}
