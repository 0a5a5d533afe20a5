package dashboard

import (
	"net/http"
	"slices"

	"github.com/weir-rls/weir/descriptors"
)

var rulesPage = page{
	name: "rules", path: home + "/rules", title: "Rules", menu: "Rules", icon: "tree",
	shows: "the rules as they are loaded, and why a request is limited", data: (*dashboard).rules,
}

const (
	// mostRules bounds the rules on one page; a search finds the others.
	mostRules = 500
	// openRules is up to how many rules all are shown unfolded.
	openRules = 60
)

// rulesView is what the page of rules shows.
type rulesView struct {
	Domains []string
	Domain  string // of them, the one that is shown; empty: there are no rules
	Search  string
	Outline descriptors.Outline
	Ask     question
	Errors  descriptors.Faults // of all rule files, as they are now
	Warns   descriptors.Faults
}

// mostFaults bounds the faults that are listed.
const mostFaults = 20

// rules shows the tree of a domain, and a box that explains.
func (d *dashboard) rules(r *http.Request) (any, error) {
	query := r.URL.Query()
	return d.rulesOf(query.Get("domain"), query.Get("search"), question{Hits: "1"})
}

func (d *dashboard) rulesOf(domain, search string, ask question) (rulesView, error) {
	v := rulesView{Search: search, Ask: ask}
	for _, f := range d.Rules.Faults() {
		if f.Severity == descriptors.Error && len(v.Errors) < mostFaults {
			v.Errors = append(v.Errors, f)
		} else if f.Severity != descriptors.Error && len(v.Warns) < mostFaults {
			v.Warns = append(v.Warns, f)
		}
	}
	rules := d.Rules.Rules()
	if rules == nil {
		return v, nil
	}
	v.Domains = rules.Domains()
	if domain == "" && len(v.Domains) > 0 {
		domain = v.Domains[0]
	}
	if !slices.Contains(v.Domains, domain) {
		return v, missing("there are no rules of this domain", "choose another one on the page of rules")
	}
	v.Domain = domain
	v.Outline, _ = d.Rules.Outline(domain, search, mostRules)
	return v, nil
}

// branch is a rule in the tree, with what an explanation says of it.
type branch struct {
	descriptors.OutlinedRule
	Domain string
	Open   bool
	Ask    *question
}

// Branches are the rules of the tree.
func (v rulesView) Branches() []branch {
	return v.branches(v.Outline.Rules)
}

func (v rulesView) branches(rules []descriptors.OutlinedRule) (all []branch) {
	for _, r := range rules {
		open := v.Outline.Shown <= openRules && r.Preset == "" || v.Search != "" // a preset says the same again and again
		all = append(all, branch{r, v.Domain, open || v.Ask.meets(r), &v.Ask})
	}
	return all
}

// Inner are the rules below this one that are shown.
func (b branch) Inner() (all []branch) {
	for _, r := range b.Rules {
		all = append(all, branch{r, b.Domain, b.Open || b.Ask.meets(r), b.Ask})
	}
	return all
}

// Size is how many rules are below this one.
func (b branch) Size() int64 { return int64(b.OutlinedRule.Below) }

// More is how many of them the page does not show.
func (b branch) More() int64 {
	more := b.OutlinedRule.Below
	for i := range b.Rules {
		more -= 1 + b.Rules[i].Below
	}
	return int64(more)
}

// Search is what finds the rule.
func (b branch) Search() string {
	if b.Value == "" || b.Value == "(hidden)" {
		return b.Key
	}
	return b.Key + "=" + b.Value
}

// Met tells whether the request that was explained meets the limit, and Decides that
// it is the one which decided.
func (b branch) Met(l descriptors.OutlinedLimit) bool { return b.Ask.met(l.Name) }

// Decides tells that the limit decided what was explained.
func (b branch) Decides(l descriptors.OutlinedLimit) bool { return b.Ask.decides(l.Name) }

// Marks are what is special of a limit, each with how it is shown.
func (b branch) Marks(l descriptors.OutlinedLimit) (marks []mark) {
	add := func(is bool, text, class, why string) {
		if is {
			marks = append(marks, mark{text, class, why})
		}
	}
	stated := "set while weir runs"
	if l.Stated != "" {
		stated += "; the file states " + l.Stated
	}
	add(b.Decides(l), "decides", "badge-warn", "this limit decided what is explained beside")
	add(b.Met(l) && !b.Decides(l), "met", "", "the request that is explained beside meets it")
	add(l.Changed, "changed", "", stated)
	add(l.Own > 0, plural(int64(l.Own), "own bucket"), "", "buckets that have a change of their own")
	add(l.Disabled, "off", "badge-muted", "enabled: false")
	add(l.Shadow, "shadow", "badge-muted", "judged and counted, never refuses")
	add(l.Quota, "quota", "badge-muted", "quota_mode: one quota of several that admits is enough")
	add(l.Success, "success only", "badge-muted", "requests that fail are given back")
	add(l.Enforced < 100, number(int64(l.Enforced))+" % enforced", "badge-muted", "for the other keys it is in shadow mode")
	add(l.Waits > 0, "waits "+l.Waits.String(), "badge-muted", "max_wait: a request may be held so long")
	add(l.Detail != "", l.Detail, "badge-muted", "metrics tell values that clients send apart, up to a bound")
	add(l.Shared != "", "shared", "badge-muted", "share_threshold: one bucket for all values of "+l.Shared)
	add(l.Metadata != "", "metadata", "badge-muted", "Envoy is told when it lets a descriptor pass: "+l.Metadata)
	return marks
}

// mark is a word that marks something, and what it means.
type mark struct{ Text, Class, Why string }

// Total is how many rules there are.
func (v rulesView) Total() int64 { return int64(v.Outline.Total) }

// Found is how many rules the search found.
func (v rulesView) Found() int64 { return int64(v.Outline.Found) }

// Hidden is how many of the rules that were found the page does not show.
func (v rulesView) Hidden() int64 { return int64(v.Outline.Found - v.Outline.Shown) }
