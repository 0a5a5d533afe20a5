package envoy

import (
	"fmt"
	"slices"

	"github.com/weir-rls/weir/descriptors"
)

// gateway judges a BackendTrafficPolicy by the descriptors that Envoy Gateway makes of
// it: an entry for the route, or for the policy where its limits are shared, then one
// for each header, and those of the address.
func (c *checker) gateway(root value) {
	limit := root.get("spec", "rate_limit")
	if local := limit.get("local"); local.ok() {
		c.tell(local, "gateway-local", "write type: Global to have weir limit", "this limit is each Envoy's own, and is not that of weir")
	}
	name, namespace := root.get("metadata", "name").text(), root.get("metadata", "namespace").text()
	if namespace == "" {
		namespace = "default"
	}
	for i, rule := range limit.get("global", "rules").items() {
		shared := rule.get("shared").isTrue() || limit.get("global", "shared").isTrue()
		first, domains := descriptors.Expected{}, c.rules.Domains() // a route's name, in the domain of its listener
		if shared {
			first, domains = descriptors.Expected{Key: name, Values: []string{namespace}}, []string{name + "-" + namespace}
		}
		expected, lacks := selected(rule, i)
		expected = append([]descriptors.Expected{first}, expected...)
		c.shares(rule, domains, expected, shared)
		if lacks.ok() {
			c.tell(lacks, "absent-value", "add a rule without this header for all others", "a request without the header %s meets no rule of the policy, and passes unlimited", quote(lacks.text()))
		}
		if cost := rule.get("cost", "response"); cost.ok() {
			c.tell(cost, "stream-done-charged", "let the filter's rate_limits be written by an EnvoyPatchPolicy, with weir.end", "Envoy Gateway sends it without the entry weir.end: it is judged at the end like a request of its own, which nobody can refuse any more")
		}
	}
}

// selected are the entries of the selectors of a rule, and the header that a request
// may lack.
func selected(rule value, index int) (all []descriptors.Expected, lacks value) {
	n := 0
	for _, s := range rule.get("client_selectors").items() {
		for _, h := range s.get("headers").items() {
			e := descriptors.Expected{Key: fmt.Sprintf("rule-%d-match-%d", index, n)}
			if n++; h.get("type").text() != "Distinct" {
				e.Values = []string{e.Key}
			} else if !lacks.ok() {
				lacks = h.get("name")
			}
			all = append(all, e)
		}
		if cidr := s.get("source_cidr").or(field(s, "sourceCIDR")); cidr.ok() {
			all = append(all, descriptors.Expected{Key: "masked_remote_address"})
			if text := cidr.get("value").text(); text != "" {
				all[len(all)-1].Values = []string{text}
			}
			if cidr.get("type").text() == "Distinct" {
				all = append(all, descriptors.Expected{Key: "remote_address"})
			}
		}
	}
	if len(all) == 0 {
		key := fmt.Sprintf("rule-%d-match--1", index)
		all = append(all, descriptors.Expected{Key: key, Values: []string{key}})
	}
	return all, lacks
}

// shares notes which rules a policy's descriptor meets, in one of domains.
func (c *checker) shares(at value, domains []string, expected []descriptors.Expected, shared bool) {
	met := false
	for _, domain := range domains {
		met = len(c.meet(domain, expected).Rules) > 0 || met
		if shared && !c.rules.Failed(domain) && !slices.Contains(c.rules.Domains(), domain) {
			c.tell(at, "domain-without-rules", "write rules for it", "the domain %s, which Envoy Gateway makes of the policy's name and namespace, has no rules", quote(domain))
			return
		}
	}
	if !met {
		c.tell(at, "descriptor-unmatched", "write a rule with these entries; rules are counted from 0, and so are their headers", "no rule meets %s, which Envoy Gateway makes of this", describe(expected))
	}
}
