package dashboard

import (
	"net/http"
	"net/url"
	"strings"

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
	Unfollowed   bool
}

type choice struct{ Value, Text string }

var shows = []choice{
	{"", "All limits"}, {"over", "Over"}, {"near", "Near"}, {"busy", "Met in the last minute"}, {"changed", "Changed at run time"}, {"shadow", "In shadow mode"},
}

// mostRows bounds the table: who has more limits searches.
const mostRows = 200

func (d *dashboard) limits(r *http.Request) (any, error) {
	query := r.URL.Query()
	l := limits{Search: query.Get("q"), Show: query.Get("show"), Shows: shows}
	rows := d.rows()
	l.All = int64(len(rows))
	l.Unfollowed = d.Traffic.Overview("").Unfollowed
	if l.Show == "near" { // is known only of buckets that were looked at
		d.look(r.Context(), rows)
	}
	for _, row := range rows {
		if row.has(l.Search) && row.is(l.Show) {
			l.Rows = append(l.Rows, row)
		}
	}
	l.Found = int64(len(l.Rows))
	l.Rows = l.Rows[:min(len(l.Rows), mostRows)]
	if l.Show != "near" {
		d.look(r.Context(), l.Rows)
	}
	return l, nil
}

// has tells whether a search finds the row: each of its words is somewhere in it.
func (r *row) has(search string) bool {
	text := strings.ToLower(r.Domain + " " + r.Name + " " + r.Pool)
	for word := range strings.FieldsSeq(strings.ToLower(search)) {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

// is tells whether the row is one of those to be shown.
func (r *row) is(show string) bool {
	switch show {
	case "over":
		return r.StateWord == "over" || r.StateWord == "over, shadow"
	case "near":
		return r.StateWord == "near"
	case "busy":
		return r.Traffic.Minute != traffic.Counts{}
	case "changed":
		return r.Changed != nil || r.ChangedKeys > 0
	case "shadow":
		return r.Shadow
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
