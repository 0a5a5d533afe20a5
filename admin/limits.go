package admin

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/overrides"
)

// limits are the paths under which limits are changed while weir runs.
func (a API) limits() []endpoint {
	undo := []string{"author", "reason", "version", "dry_run"}
	return []endpoint{
		{"/api/v1/limits", "limits as they are live, and what is set of them", map[string]method{
			http.MethodGet: {who: Viewer, query: []string{"domain"}, serve: a.listLimits},
		}},
		{"/api/v1/limits/{limit...}", "one limit, pool or preset, and what is set of it", map[string]method{
			http.MethodGet:    {who: Viewer, query: []string{"domain"}, serve: a.getLimit},
			http.MethodPut:    {who: Operator, query: []string{"domain", "dry_run"}, serve: a.putLimit},
			http.MethodDelete: {who: Operator, query: append([]string{"domain", "for"}, undo...), serve: a.deleteLimit},
		}},
		{"/api/v1/domains/{domain}", "the switch of a domain", map[string]method{
			http.MethodPut:    {who: Operator, query: []string{"dry_run"}, serve: a.putDomain},
			http.MethodDelete: {who: Operator, query: undo, serve: a.deleteDomain},
		}},
		{"/api/v1/history", "what was set and undone, by whom and why", map[string]method{
			http.MethodGet: {who: Viewer, query: []string{"n"}, serve: a.history},
		}},
	}
}

// limitJSON is a limit as it is live.
type limitJSON struct {
	Domain    string `json:"domain"`
	Limit     string `json:"limit"`
	Requests  int64  `json:"requests,omitempty"` // in each period, where there is a rate
	Period    string `json:"period,omitempty"`
	Capacity  int64  `json:"capacity,omitempty"` // tokens or slots
	Enabled   bool   `json:"enabled"`
	Unlimited bool   `json:"unlimited,omitempty"`
	Shadow    bool   `json:"shadow_mode,omitempty"`

	Metadata map[string]any `json:"metadata,omitempty"` // that Envoy is told where its descriptor passes
	Detail   string         `json:"detail,omitempty"`   // the field because of which metrics tell values apart
	Shared   string         `json:"shared,omitempty"`   // the patterns all of whose values have one bucket
}

// changeJSON is what is set, and why it is not in force if it is not.
type changeJSON struct {
	overrides.Entry
	LeftOut []leftOutJSON `json:"left_out,omitempty"`
}

type leftOutJSON struct {
	Field  string `json:"field,omitempty"`
	Detail string `json:"detail"`
	Remedy string `json:"remedy,omitempty"`
}

type limitsJSON struct {
	Version int64        `json:"version"` // of all that is set
	Limits  []limitJSON  `json:"limits"`
	Pools   []limitJSON  `json:"pools"`
	Presets []presetJSON `json:"presets"`
	Changes []changeJSON `json:"changes"`
}

// presetJSON is a preset as it is live.
type presetJSON struct {
	Domain  string              `json:"domain"`
	Preset  string              `json:"preset"`
	Enabled bool                `json:"enabled"`
	Period  string              `json:"period"`
	Total   int64               `json:"total"`
	Success int64               `json:"success"`
	Groups  map[string][2]int64 `json:"groups"`
}

// shownLimits are the limits, pools and changes of a domain and of a name, of all
// where they are empty.
func (a API) shownLimits(domain, name string) limitsJSON {
	wanted := func(d, n string) bool { return (domain == "" || d == domain) && (name == "" || n == name) }
	all := limitsJSON{Version: a.Book.Version(), Limits: []limitJSON{}, Pools: []limitJSON{}, Presets: []presetJSON{}, Changes: []changeJSON{}}
	if rules := a.Rules.Rules(); rules != nil {
		for _, l := range rules.Limits() {
			if wanted(l.Domain, l.Name) {
				all.Limits = append(all.Limits, limitOf(l))
			}
		}
		for _, p := range rules.Pools() {
			if wanted(p.Domain, p.Name) {
				all.Pools = append(all.Pools, limitJSON{Domain: p.Domain, Limit: p.Name, Capacity: p.Size, Enabled: true})
			}
		}
	}
	for _, state := range a.Rules.Presets() {
		if p := state.Live; wanted(p.Domain, p.Name) {
			all.Presets = append(all.Presets, presetJSON{p.Domain, p.Name, p.Enabled, p.Period.String(), p.Total, p.Success, p.Groups})
		}
	}
	for _, listed := range a.Book.List() {
		if wanted(listed.Domain, listed.Limit) {
			all.Changes = append(all.Changes, changeOf(listed))
		}
	}
	return all
}

func limitOf(l *descriptors.Limit) limitJSON {
	j := limitJSON{Domain: l.Domain, Limit: l.Name, Requests: l.Requests, Period: l.PeriodText(), Enabled: !l.Disabled, Unlimited: l.Unlimited, Shadow: l.Shadow, Detail: l.DetailedBy(), Shared: l.SharedBy()}
	if l.Metadata != nil {
		j.Metadata = l.Metadata.Map()
	}
	if l.Bucket != nil {
		j.Capacity = l.Bucket.Size()
	}
	return j
}

func changeOf(l overrides.Listed) changeJSON {
	j := changeJSON{Entry: l.Entry}
	for _, f := range l.LeftOut {
		j.LeftOut = append(j.LeftOut, leftOutJSON{f.Field, f.Message, f.Remedy})
	}
	return j
}

func (a API) listLimits(c *call) (reply, error) {
	domain, err := c.one("domain")
	return reply{body: a.shownLimits(domain, "")}, err
}

func (a API) getLimit(c *call) (reply, error) {
	domain, err := c.one("domain")
	if err != nil {
		return reply{}, err
	}
	name := c.PathValue("limit")
	if name == "" {
		return reply{}, errNoName
	}
	found := a.shownLimits(domain, name)
	if len(found.Limits)+len(found.Pools)+len(found.Presets)+len(found.Changes) == 0 {
		if _, err := a.domainOf(c, name); err != nil { // else it was removed just now
			return reply{}, err
		}
	}
	return reply{body: found}, nil
}

var errNoName = &problem{
	Status: http.StatusNotFound, Field: "limit", Detail: "the path names no limit", Remedy: "GET /api/v1/limits lists those there are",
}

// domainOf is the domain of a limit, a pool or a preset: the one that the query
// names, else the only one that has it.
func (a API) domainOf(c *call, name string) (string, error) {
	if name == "" {
		return "", errNoName
	}
	if given, err := c.one("domain"); err != nil || given != "" {
		return given, err
	}
	rules := a.Rules.Rules()
	if rules == nil {
		return "", errNoRules
	}
	domains := map[string]bool{}
	on := true
	var probes []descriptors.Change
	for _, domain := range rules.Domains() {
		domains[domain] = true
		probes = append(probes, descriptors.Change{Domain: domain, Limit: name, Enabled: &on})
	}
	unknown := descriptors.ChangeFault{Message: "there are no rules"}
	for _, f := range a.Rules.TryChanges(probes) {
		if f.Unknown {
			unknown = f
			delete(domains, probes[f.Change].Domain)
		}
	}
	for _, listed := range a.Book.List() { // what the files do not know any more can be undone
		if listed.Limit == name {
			domains[listed.Domain] = true
		}
	}
	switch names := slices.Sorted(maps.Keys(domains)); len(names) {
	case 0:
		return "", &problem{Status: http.StatusNotFound, Field: "limit", Detail: unknown.Message, Remedy: unknown.Remedy}
	case 1:
		return names[0], nil
	default:
		return "", bad("domain", "several domains have a limit of this name", "say which by ?domain=, one of "+shown(strings.Join(names, ", ")))
	}
}

// Bounds of what is told of the past; the journal holds no more.
const (
	usualHistory = 100
	mostHistory  = 1000
)

func (a API) history(c *call) (reply, error) {
	text, err := c.one("n")
	if err != nil {
		return reply{}, err
	}
	n := int64(usualHistory)
	if text != "" {
		var fault *problem
		if n, fault = integer("n", []byte(text), 1, mostHistory); fault != nil {
			return reply{}, fault
		}
	}
	notes, err := a.Book.History(c.Context(), int(n))
	if err != nil {
		return reply{}, err
	}
	return reply{body: map[string]any{"history": notes, "now": time.Now().UTC()}}, nil
}
