package dashboard

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/weir-rls/weir/overrides"
	"github.com/weir-rls/weir/traffic"
)

var overviewPage = page{
	name: "overview", path: home, title: "Overview", menu: "Overview", icon: "activity",
	shows: "what this replica decides, and how it stands",
	data:  (*dashboard).overview,
}

// overview is what the page of that name shows.
type overview struct {
	Status
	Service                traffic.Service
	Domains, Limits, Pools int64
	Changes                int64
	LeftOut                []overrides.Listed // changes that are not in force, and why
	Worst                  []row
}

// mostWorst bounds the list of limits that refuse.
const mostWorst = 8

func (d *dashboard) overview(r *http.Request) (any, error) {
	o := overview{Status: d.Status(), Service: d.Traffic.Overview("").Service}
	rules := d.Rules.Rules()
	if rules == nil {
		return o, nil
	}
	all := rules.Limits()
	o.Domains, o.Limits, o.Pools = int64(len(rules.Domains())), int64(len(all)), int64(len(rules.Pools()))
	for _, listed := range d.Book.List() {
		o.Changes++
		if len(listed.LeftOut) > 0 {
			o.LeftOut = append(o.LeftOut, listed)
		}
	}
	var met []row
	stands := d.standing(rules)
	for _, l := range all {
		if stands.is(l, "busy") {
			met = append(met, stands.row(l))
		}
	}
	slices.SortFunc(met, func(a, b row) int {
		x, y := a.Traffic.Minute, b.Traffic.Minute
		return cmp.Or(cmp.Compare(y.Refused, x.Refused), cmp.Compare(y.ShadowRefused, x.ShadowRefused), cmp.Compare(y.Admitted, x.Admitted),
			cmp.Compare(a.Domain, b.Domain), cmp.Compare(a.Name, b.Name))
	})
	o.Worst = met[:min(len(met), mostWorst)]
	d.look(r.Context(), o.Worst)
	return o, nil
}
