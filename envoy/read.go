package envoy

import (
	"slices"
	"strings"

	"github.com/weir-rls/weir/descriptors"
)

// Types of configuration that are looked for.
const (
	httpManager    = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
	httpFilter     = "envoy.extensions.filters.http.ratelimit.v3.RateLimit"
	perRoute       = "envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute"
	networkFilter  = "envoy.extensions.filters.network.ratelimit.v3.RateLimit"
	filterConfig   = "envoy.config.route.v3.FilterConfig"
	routeResource  = "envoy.config.route.v3.RouteConfiguration"
	clusterObject  = "envoy.config.cluster.v3.Cluster"
	quotaFilter    = "envoy.extensions.filters.http.rate_limit_quota.v3.RateLimitQuotaFilterConfig"
	quotaSettings  = "envoy.extensions.filters.http.rate_limit_quota.v3.RateLimitQuotaBucketSettings"
	quotaPerRoute  = "envoy.extensions.filters.http.rate_limit_quota.v3.RateLimitQuotaOverride"
	formatsFeature = "enable_formatter_for_ratelimit_action_descriptor_value"
)

// chain is the HTTP filters of one listener, and the routes that they see.
type chain struct {
	manager   value   // absent for what others complete
	filters   []value // in order
	config    value   // the route configuration
	hosts     []host
	elsewhere bool // routes come from where we do not look
	mesh      bool // a part of what others complete
}

// host is a virtual host with its routes, either of which may be absent.
type host struct {
	at     value
	routes []value
}

func (ch *chain) any() bool { return len(ch.filters)+len(ch.hosts) > 0 }

// read takes over what one file says.
func (c *checker) read(doc *descriptors.Document) {
	if len(doc.Roots) == 1 && of(doc, doc.Roots[0]).get("kind").text() == "EnvoyGateway" {
		return // which says that there may be patches
	}
	found := len(c.chains) + len(c.gateways)
	before := len(c.patches.filters) + len(c.patches.hosts) + len(c.clusters) + len(c.routes)
	for _, n := range doc.Roots {
		c.object(of(doc, n))
		c.everywhere(of(doc, n))
	}
	if found == len(c.chains)+len(c.gateways) && before == len(c.patches.filters)+len(c.patches.hosts)+len(c.clusters)+len(c.routes) && len(doc.Roots) > 0 && !c.hasFilter(of(doc, doc.Roots[0])) {
		c.tell(of(doc, doc.Roots[0]), "no-filter", "name a bootstrap, an EnvoyFilter or a BackendTrafficPolicy with one", "there is no rate limit filter in this file, nor anything else that is checked")
		c.partial = true
	}
}

// kinds are those of resources that say something of limits.
var kinds = []string{"EnvoyFilter", "BackendTrafficPolicy", "EnvoyPatchPolicy"}

// object reads what a document holds, by its kind: also a list, as kubectl prints it.
func (c *checker) object(root value) {
	switch root.get("kind").text() {
	case "List", "EnvoyFilterList", "BackendTrafficPolicyList", "EnvoyPatchPolicyList":
		for _, item := range root.get("items").items() {
			if slices.Contains(kinds, item.get("kind").text()) {
				c.object(item)
			}
		}
	case "EnvoyFilter":
		c.envoyFilter(root)
	case "BackendTrafficPolicy":
		c.gateways = append(c.gateways, root)
	case "EnvoyPatchPolicy":
		c.patchPolicy(root)
	default:
		c.plain(root)
	}
}

// hasFilter tells of filters outside of a chain of HTTP filters.
func (c *checker) hasFilter(root value) (has bool) {
	root.walk(func(v value) bool {
		_, kind := v.typed()
		has = has || kind == networkFilter || kind == quotaFilter
		return !has
	})
	return has
}

// plain reads a bootstrap, a resource or a snippet.
func (c *checker) plain(root value) {
	if root.get("dynamic_resources", "cds_config").ok() || root.get("dynamic_resources", "ads_config").ok() {
		c.dynamic = true
	}
	for _, cluster := range root.get("static_resources", "clusters").items() {
		c.cluster(cluster)
	}
	if root.get("static_resources").ok() {
		return
	}
	for _, one := range append([]value{root}, root.items()...) {
		_, kind := one.get("typed_config").typed()
		switch {
		case one.get("load_assignment").ok() || one.get("connect_timeout").ok() && one.get("name").ok():
			c.cluster(one)
		case kind != "" && kind != httpManager && kind != networkFilter && one.get("name").ok():
			c.patches.filters = append(c.patches.filters, one)
		case one.get("match").ok() && (one.get("route").ok() || one.get("typed_per_filter_config").ok()):
			c.patches.hosts = append(c.patches.hosts, host{routes: []value{one}})
		}
	}
}

// everywhere finds what has a type, wherever it stands.
func (c *checker) everywhere(root value) {
	root.walk(func(v value) bool {
		config, kind := v.typed()
		switch kind {
		case httpManager:
			c.manager(config)
		case routeResource:
			c.routes[config.get("name").text()] = config
		case clusterObject:
			c.cluster(config)
		case networkFilter:
			c.filters = append(c.filters, &filter{config: config, network: true})
		case quotaFilter, quotaPerRoute, quotaSettings:
			c.quota(config, kind)
		}
		for key, field := range v.fields() {
			if strings.HasSuffix(key.Value, formatsFeature) && field.isTrue() {
				c.formats = true
			}
		}
		c.numberRules(v)
		c.dumpOf(v)
		return true
	})
}

func (c *checker) cluster(v value) {
	if name := v.get("name").text(); name != "" {
		c.clusters[name] = v
	}
}

func (c *checker) manager(v value) {
	c.chains = append(c.chains, &chain{manager: v, filters: v.get("http_filters").items(), config: v.get("route_config")})
}

// hostsOf finds the routes of a chain, once all files are read.
func (c *checker) hostsOf(ch *chain) {
	if !ch.mesh && !ch.config.ok() {
		name := ch.manager.get("rds", "route_config_name").text()
		if ch.config = c.routes[name]; !ch.config.ok() {
			ch.elsewhere = true
			return
		}
	}
	for _, h := range ch.config.get("virtual_hosts").items() {
		ch.hosts = append(ch.hosts, host{h, h.get("routes").items()})
	}
	ch.elsewhere = ch.mesh && len(ch.hosts) == 0 || ch.config.get("vhds").ok()
}

// envoyFilter reads patches of Istio's.
func (c *checker) envoyFilter(root value) {
	for _, p := range root.get("spec", "config_patches").items() {
		v := p.get("patch", "value")
		switch p.get("apply_to").text() {
		case "HTTP_FILTER":
			c.patches.filters = append(c.patches.filters, v)
		case "VIRTUAL_HOST":
			c.patches.hosts = append(c.patches.hosts, host{at: v})
		case "HTTP_ROUTE":
			c.patches.hosts = append(c.patches.hosts, host{routes: []value{v}})
		case "ROUTE_CONFIGURATION":
			c.patches.config = v
		case "CLUSTER":
			c.cluster(v)
		}
	}
}

// patchPolicy reads what an Envoy Gateway's policy adds: filters and clusters, as a whole.
func (c *checker) patchPolicy(root value) {
	for _, p := range root.get("spec", "json_patches").items() {
		v := p.get("operation", "value")
		if p.get("operation", "op").text() != "add" {
			continue
		}
		switch _, kind := v.get("typed_config").typed(); {
		case afterSlash(p.get("type").text()) == clusterObject:
			c.cluster(v)
		case strings.HasPrefix(kind, "envoy.extensions.filters.http."):
			c.patches.filters = append(c.patches.filters, v)
		}
	}
}

// numberRules notes metadata that is written as a number.
func (c *checker) numberRules(v value) {
	for _, when := range []string{"on_present", "on_missing"} {
		if to := v.get(when); to.get("type").text() == "NUMBER" {
			c.numbers[to.get("metadata_namespace").text()+"\x00"+to.get("key").text()] = to
		}
	}
}
