package envoy

import (
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/weir-rls/weir/descriptors"
)

// Check reads Envoy's configuration from files and tells what in it does not go with
// the rules: bootstraps, resources, snippets of them, Istio's EnvoyFilters and Envoy
// Gateway's BackendTrafficPolicies, all of which make one fleet. oldest is the oldest
// Envoy of it; if it is not known, any may be.
func Check(rules *descriptors.Survey, files []string, oldest Version) descriptors.Faults {
	c := newChecker(rules)
	c.envoy, c.stated = oldest, oldest != Version{}
	for _, name := range files {
		doc, fault := descriptors.ReadDocument(name)
		if fault != nil {
			fault.ID = "unreadable"
			c.faults = append(c.faults, *fault)
			c.partial = true
			continue
		}
		c.read(doc)
	}
	return c.finish()
}

// checker collects what the files say and what is wrong with it.
type checker struct {
	rules    *descriptors.Survey
	envoy    Version // the oldest that reads the files
	stated   bool    // which that is
	patches  *chain  // of EnvoyFilters and snippets
	chains   []*chain
	clusters map[string]value
	routes   map[string]value // route configurations, by name
	dynamic  bool             // clusters come from elsewhere too
	formats  bool             // descriptor values are formatted
	partial  bool             // something could not be read

	filters  []*filter
	gateways []value // BackendTrafficPolicies
	domains  map[string]*domain
	meetings map[string]met
	numbers  map[string]value // metadata that another filter writes as a number, by namespace and key

	faults descriptors.Faults
}

// domain is what is sent of one domain.
type domain struct {
	met     map[*descriptors.Stated]bool
	unknown bool // descriptors are sent that the files do not show
}

func newChecker(rules *descriptors.Survey) *checker {
	return &checker{
		rules: rules, patches: &chain{mesh: true}, clusters: map[string]value{}, routes: map[string]value{},
		domains: map[string]*domain{}, numbers: map[string]value{}, meetings: map[string]met{},
	}
}

// finish judges what was read.
func (c *checker) finish() descriptors.Faults {
	if c.patches.any() {
		c.chains = append(c.chains, c.patches)
	}
	for _, ch := range c.chains {
		c.chain(ch)
	}
	for _, f := range c.filters {
		c.filter(f)
	}
	for _, g := range c.gateways {
		c.gateway(g)
	}
	c.unsent()
	return c.faults.Tidy()
}

// tell reports a finding at v.
func (c *checker) tell(v value, id, remedy, format string, args ...any) {
	severity, known := severities[id]
	if !known {
		panic("no diagnostic is called " + id)
	}
	if f, told := v.doc.Tell(v.n, severity, id, fmt.Sprintf(format, args...), remedy); told {
		c.faults = append(c.faults, f)
	}
}

// of is what is known of a domain.
func (c *checker) of(name string) *domain {
	if c.domains[name] == nil {
		c.domains[name] = &domain{met: map[*descriptors.Stated]bool{}}
	}
	return c.domains[name]
}

// unsent tells the rules and domains that nothing is sent for.
func (c *checker) unsent() {
	if len(c.filters)+len(c.gateways) == 0 || c.partial {
		return
	}
	tell := func(f descriptors.Fault, told bool) {
		if told {
			c.faults = append(c.faults, f)
		}
	}
	for _, name := range c.rules.Domains() {
		d := c.domains[name]
		if d == nil {
			tell(c.rules.Tell(name, severities["domain-not-sent"], "domain-not-sent",
				"no filter in these files sends the domain "+quote(name), "correct the domain of the filter or of the rules, or name the other Envoy's file too"))
			continue
		}
		for _, r := range c.rules.Rules(name) {
			if !d.met[r] && !d.unknown {
				tell(r.Tell(severities["rule-unreachable"], "rule-unreachable",
					"no descriptor that is sent meets the rule "+quote(r.Name), "send one with all of its entries in this order, or remove the rule"))
			}
		}
	}
}

// quote is what a file says, for a message: escaped, in quotes, and cut.
func quote(s string) string {
	const limit = 80
	if utf8.RuneCountInString(s) > limit {
		s = string([]rune(s)[:limit]) + "…"
	}
	return strconv.Quote(s)
}
