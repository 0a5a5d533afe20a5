package envoy

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/weir-rls/weir/descriptors"
)

// filter is a rate limit filter, and what was found out of what it sends.
type filter struct {
	item    value // in the list of HTTP filters
	config  value
	network bool
	chain   *chain

	waits    time.Duration       // the longest that a rule lets its requests wait
	waiting  *descriptors.Stated // which rule that is
	receipts value               // where a receipt goes back
}

// namespace is where the filter leaves its receipts.
func (f *filter) namespace() string {
	return cmp.Or(f.config.get("metadata_namespace").text(), "envoy.filters.http.ratelimit")
}

// origin is which list a rate limit stands in.
type origin uint8

const (
	ofFilter origin = iota
	ofPerRoute
	ofRoute
	ofHost
)

// sent is a rate limit that a filter makes descriptors of.
type sent struct {
	at      value
	origin  origin
	domain  value
	entries []entry // as on the route that was looked at last
	matched bool    // by a rule, on some route
	made    bool    // some route has all of its entries
	scene   scene
}

func (s *sent) atEnd() bool { return s.at.get("apply_on_stream_done").isTrue() }

// has is the entry with a key, if there is one.
func (s *sent) has(key string) (value, bool) {
	for _, e := range s.entries {
		if e.Key == key {
			return e.at, true
		}
	}
	return value{}, false
}

// chain judges the rate limit filters of one chain on each of its routes.
func (c *checker) chain(ch *chain) {
	c.hostsOf(ch)
	supplied := map[string]bool{}
	c.early(ch, supplied)
	var own []*filter
	for _, item := range ch.filters {
		config, kind := item.get("typed_config").typed()
		if kind != httpFilter {
			supplies(item, supplied)
			continue
		}
		f := &filter{item: item, config: config, chain: ch}
		own, c.filters = append(own, f), append(c.filters, f)
		c.routesOf(f, supplied)
	}
	c.sharedReceipts(own)
	if ch.mesh && len(own) == 0 { // limits of routes without the filter that sends them
		c.partial = c.partial || len(ch.hosts) > 0
	}
	for _, h := range ch.hosts {
		for _, r := range h.routes {
			if v := r.get("route", "include_vh_rate_limits"); v.ok() {
				c.tell(v, "include-vh-deprecated", "write vh_rate_limits: INCLUDE in a RateLimitPerRoute", "include_vh_rate_limits is deprecated")
			}
		}
	}
}

// early adds the headers that are set before the filters.
func (c *checker) early(ch *chain, supplied map[string]bool) {
	for _, m := range ch.manager.get("early_header_mutation_extensions").items() {
		supplies(m, supplied)
	}
}

// supplies adds the request headers that a filter sets.
func supplies(item value, headers map[string]bool) {
	item.walk(func(v value) bool {
		for key, field := range v.fields() {
			switch key.Value {
			case "claim_to_headers", "claimToHeaders":
				for _, claim := range field.items() {
					headers[strings.ToLower(claim.get("header_name").text())] = true
				}
			case "allowed_upstream_headers", "allowedUpstreamHeaders":
				for _, p := range field.get("patterns").items() {
					headers[strings.ToLower(p.get("exact").text())] = true
				}
			case "forwarding":
				headers[strings.ToLower(field.get("header").text())] = true
			case "request_mutations", "requestMutations", "mutations":
				for _, m := range field.items() {
					headers[strings.ToLower(m.get("append", "header", "key").text())] = true
				}
			case "inline_code", "inlineCode", "inline_string", "inlineString":
				luaHeaders(field.text(), headers)
			}
		}
		return true
	})
	delete(headers, "")
}

// luaHeaders adds the headers that a Lua script sets.
func luaHeaders(script string, headers map[string]bool) {
	for _, call := range []string{":add(", ":replace("} {
		for _, after := range strings.Split(script, call)[1:] {
			if after = strings.TrimSpace(after); len(after) > 0 && (after[0] == '"' || after[0] == '\'') {
				name, _, _ := strings.Cut(after[1:], after[:1])
				headers[strings.ToLower(name)] = true
			}
		}
	}
}

// routesOf judges what a filter sends from each route.
func (c *checker) routesOf(f *filter, supplied map[string]bool) {
	ch := f.chain
	all := newSentOnce()
	look := func(h, route value) {
		limits, domain, on := c.effective(f, h, route)
		if !on {
			return
		}
		s := scene{c: c, chain: ch, host: h, route: route, supplied: supplied, config: f.config}
		var here []*sent
		for _, l := range limits {
			here = append(here, s.send(all, l, domain))
		}
		c.open(f, here)
		c.reported(f, here)
	}
	for _, h := range ch.hosts {
		if len(h.routes) == 0 {
			look(h.at, value{})
		}
		for _, r := range h.routes {
			if answered(r) {
				continue // by Envoy itself
			}
			look(h.at, r)
		}
	}
	if len(ch.hosts) == 0 {
		look(value{}, value{})
	}
	if ch.elsewhere {
		c.of(f.config.get("domain").text()).unknown = true
	}
	c.of(f.config.get("domain").text())
	for _, s := range all.list {
		c.judge(f, s)
	}
}

// answered tells of routes that lead to no upstream.
func answered(route value) bool {
	return route.get("direct_response").ok() || route.get("redirect").ok()
}

// limited is a rate limit and the list it stands in.
type limited struct {
	value
	origin
}

// effective are the rate limits that a filter looks at for a route, and the domain it
// sends.
func (c *checker) effective(f *filter, h, route value) (limits []limited, domain value, on bool) {
	on, domain = f.item.get("disabled").text() != "true", f.config.get("domain")
	own, wrapped := c.perRoute(f, h, route)
	if wrapped.ok() {
		on = wrapped.get("disabled").text() != "true"
	}
	if own.get("domain").ok() {
		domain = own.get("domain")
	}
	list := func(v value, o origin) (all []limited) {
		for _, l := range v.items() {
			all = append(all, limited{l, o})
		}
		return all
	}
	ofThis, ofAll := list(own.get("rate_limits"), ofPerRoute), list(f.config.get("rate_limits"), ofFilter)
	ofTheRoute, ofTheHost := list(route.get("route", "rate_limits"), ofRoute), list(h.get("rate_limits"), ofHost)
	switch before := "of the filter itself"; {
	case len(ofThis) > 0:
		before = "of RateLimitPerRoute"
		c.hidden(before, route.get("route", "rate_limits"), own.get("rate_limits"))
		c.hidden(before, h.get("rate_limits"), own.get("rate_limits"))
		return ofThis, domain, on
	case len(ofAll) > 0:
		c.hidden(before, route.get("route", "rate_limits"), f.config.get("rate_limits"))
		c.hidden(before, h.get("rate_limits"), f.config.get("rate_limits"))
		return ofAll, domain, on
	}
	both := own.get("vh_rate_limits").text() == "INCLUDE" || route.get("route", "include_vh_rate_limits").isTrue()
	switch {
	case len(ofTheRoute) == 0 && own.get("vh_rate_limits").text() != "IGNORE" || both:
		limits = append(ofTheRoute, ofTheHost...)
	default:
		if limits = ofTheRoute; len(ofTheHost) > 0 && len(ofTheRoute) > 0 && !own.get("vh_rate_limits").ok() {
			c.tell(h.get("rate_limits"), "vhost-limits-hidden", "write a RateLimitPerRoute with vh_rate_limits: INCLUDE on the route, or OVERRIDE if that is meant",
				"Envoy does not look at these for the route at %s, which has rate_limits of its own", route.doc.Place(route.n))
		}
	}
	stage := cmp.Or(f.config.get("stage").text(), "0")
	limits = slices.DeleteFunc(limits, func(l limited) bool { return cmp.Or(l.get("stage").text(), "0") != stage })
	return limits, domain, on
}

func (c *checker) hidden(before string, list, by value) {
	if list.ok() {
		c.tell(list, "limits-hidden", "move them there, or remove those", "Envoy ignores these rate_limits: those %s at %s stand before them", before, by.doc.Place(by.n))
	}
}

// perRoute is what a route or what it belongs to sets of a filter, and the FilterConfig
// around it.
func (c *checker) perRoute(f *filter, h, route value) (own, wrapped value) {
	name := cmp.Or(f.item.get("name").text(), "envoy.filters.http.ratelimit")
	for _, level := range []value{route, h, f.chain.config} {
		v, kind := field(level.get("typed_per_filter_config"), name).typed()
		if kind == filterConfig {
			inner, _ := v.get("config").typed()
			return inner, v
		}
		if v.ok() {
			return v, value{}
		}
	}
	return value{}, value{}
}

// sentOnce are rate limits that several routes share, each once.
type sentOnce struct {
	list []*sent
	of   map[sentKey]*sent
}

type sentKey struct {
	at     *yaml.Node
	domain string
}

func newSentOnce() *sentOnce { return &sentOnce{of: map[sentKey]*sent{}} }

// send computes the descriptor of a rate limit on a route.
func (s *scene) send(all *sentOnce, l limited, domain value) *sent {
	key := sentKey{l.n, domain.text()}
	one := all.of[key]
	if one == nil {
		one = &sent{at: l.value, origin: l.origin, domain: domain}
		all.list, all.of[key] = append(all.list, one), one
	}
	one.scene, one.entries = *s, s.entries(l.value)
	return one
}
