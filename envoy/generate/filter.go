package generate

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

const (
	filterName   = "envoy.filters.http.ratelimit"
	filterType   = typePrefix + "envoy.extensions.filters.http.ratelimit.v3.RateLimit"
	perRouteType = typePrefix + "envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute"
	clusterName  = "weir"
)

// writer makes configuration of domains.
type writer struct {
	domains []*domain
	opts    Options
}

// filterName is the name of a domain's filter: Envoy's own where there is one.
func (w *writer) filterName(d *domain) string {
	if len(w.domains) == 1 {
		return filterName
	}
	return "weir." + d.name
}

// namespace is where the filter of a domain keeps its receipts.
func (w *writer) namespace(d *domain) string {
	if len(w.domains) == 1 {
		return filterName
	}
	return "weir." + d.name
}

// filter is the HTTP filter of a domain, with what it sends, if that is not apart.
func (w *writer) filter(d *domain, limits bool) *yaml.Node {
	timeout, why := 500*time.Millisecond, "Envoy's default of 20 ms lets requests pass unjudged when a machine is busy"
	if d.wait != nil {
		timeout, why = d.wait.Waits+time.Second, "above the max_wait of "+quote(d.wait.Name)
	}
	deny, status, whyDeny := true, (*yaml.Node)(nil), "without an answer from weir Envoy refuses; false admits"
	if d.breaks {
		deny, whyDeny = false, "calls go on while weir does not answer"
		status = noted(inline(object("code", literal("503"))), "what a breaker refuses with")
	}
	config := object("@type", filterType, "domain", d.name,
		"timeout", noted(scalar(seconds(timeout)), why),
		"failure_mode_deny", noted(scalar(deny), whyDeny),
		"rate_limited_status", status)
	if len(w.domains) > 1 {
		add(config, "stat_prefix", d.name)
		if d.receipts != nil {
			add(config, "metadata_namespace", noted(scalar(w.namespace(d)), "its receipts beside those of the other filters"))
		}
	}
	add(config, "rate_limit_service", object("transport_api_version", "V3", "grpc_service", inline(object("envoy_grpc", object("cluster_name", clusterName)))))
	if limits {
		add(config, "rate_limits", w.rateLimits(d))
	}
	n := object("name", w.filterName(d), "typed_config", config)
	if d.mixed != nil {
		headed(n, "the breaker "+quote(d.mixed.Name)+" refuses with 429 here: in a domain of its own it has 503.")
	}
	return n
}

func add(n *yaml.Node, pairs ...any) { n.Content = append(n.Content, object(pairs...).Content...) }

// seconds is a time as protocol buffers have it.
func seconds(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + "s"
}

// rateLimits is what a domain's filter sends.
func (w *writer) rateLimits(d *domain) *yaml.Node {
	limits := list()
	for _, s := range d.sent {
		for i, actions := range s.actions() {
			one := object("actions", list(actions...))
			if s.cost != nil && s.cost.atEnd {
				add(one, "hits_addend", noted(inline(object("number", literal("0"))), "only look: what it costs is known at the end"))
			} else if s.cost != nil {
				add(one, "hits_addend", headed(object("format", s.cost.format), "a filter before this one must set the header, else clients name their price"))
			}
			if i == 0 {
				headed(one, s.title())
			}
			limits.Content = append(limits.Content, one)
		}
	}
	for _, s := range d.alone {
		for _, actions := range s.actions() {
			one := object("actions", list(actions...))
			headed(one, s.entries[0].key+" is passive: it limits nothing, and is told in answers and events")
			limits.Content = append(limits.Content, one)
		}
	}
	limits.Content = append(limits.Content, w.ends(d)...)
	return limits
}

// ends is what a domain's filter sends when a stream has ended.
func (w *writer) ends(d *domain) (all []*yaml.Node) {
	if d.receipts != nil {
		one := object("actions", list(inline(object("metadata", object("descriptor_key", "weir.receipt", "metadata_key",
			object("key", w.namespace(d), "path", list(object("key", "receipt"))))))),
			"hits_addend", inline(object("format", "%RESPONSE_CODE%")), "apply_on_stream_done", true)
		all = append(all, headed(one, "the receipt goes back, by which "+quote(d.receipts.Name)+" learns how the request ended"))
	}
	for _, s := range d.sent {
		if s.cost == nil || !s.cost.atEnd {
			continue
		}
		for _, actions := range s.actions() {
			one := object("actions", list(append(actions, constant("weir.end", "1"))...),
				"hits_addend", headed(inline(object("format", s.cost.format)), "without a number nothing is charged"), "apply_on_stream_done", true)
			all = append(all, headed(one, "what was used is charged to "+quote(s.cost.rule)))
		}
	}
	return all
}

// actions are those of each descriptor that is made of s, of which every request has
// at most one.
func (s *descriptor) actions() (all [][]*yaml.Node) {
	for i, form := range s.forms() {
		if i < len(s.vain) && s.vain[i] {
			continue
		}
		var actions []*yaml.Node
		for _, one := range form {
			if one.missable && (slices.Contains(s.vain, true) || s.optional()) {
				noted(one.action, "weir:allow absent-value (no rule is for requests without it)")
			}
			actions = append(actions, one.action)
		}
		all = append(all, actions)
	}
	return all
}

// optional tells of a descriptor that may have no entry at all.
func (s *descriptor) optional() bool {
	return !slices.ContainsFunc(s.entries, func(e entry) bool { return !e.optional })
}

// choice is one of the ways in which an entry is made.
type choice struct {
	action   *yaml.Node
	value    string // that it has; empty: it depends on the request
	missable bool   // a request may not have it
}

// forms are the descriptors that are made of s, of which a request has one.
func (s *descriptor) forms() [][]choice {
	all := [][]choice{nil}
	for _, e := range s.entries {
		all = product(all, e.choices()...)
	}
	return all
}

func (e *entry) choices() (all [][]choice) {
	switch {
	case e.fixed:
		return [][]choice{{{action: constant(e.key, e.value)}}}
	case e.optional:
		return [][]choice{{{action: e.from.optional(), missable: e.from.lacking()}}}
	}
	for i, action := range e.from.actions() {
		one := choice{action: action, missable: e.from.kind == "query" && i == 0}
		if i > 0 {
			one.value = e.from.fallback
		}
		all = append(all, []choice{one})
	}
	return all
}

// title tells for which rules a descriptor is.
func (s *descriptor) title() string {
	var names []string
	for _, r := range s.rules {
		for _, l := range r.Limits {
			if !slices.Contains(names, l.Name) {
				names = append(names, l.Name)
			}
		}
	}
	text := strings.Join(names[:min(len(names), mostTitled)], ", ")
	if more := len(names) - mostTitled; more > 0 {
		text += " and " + strconv.Itoa(more) + " more"
	}
	quoted := quote(text)
	return "limits: " + quoted[1:len(quoted)-1]
}

// mostTitled bounds the limits that a comment names.
const mostTitled = 4

// cluster is where Envoy finds weir.
func (w *writer) cluster() *yaml.Node {
	const options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
	c := object("name", clusterName, "type", noted(scalar("STRICT_DNS"), "all addresses of the name: with a headless Service, all replicas"), "connect_timeout", "1s",
		"typed_extension_protocol_options", object(options, object("@type", typePrefix+options,
			"explicit_http_config", noted(inline(object("http2_protocol_options", object())), "gRPC needs HTTP/2"))))
	for _, d := range w.domains {
		if d.wait != nil {
			add(c, "circuit_breakers", headed(inline(object("thresholds", list(object("max_requests", literal("100000"), "max_pending_requests", literal("100000"))))),
				"each request that waits is a call under way, of which there may be 1024 by default"))
			break
		}
	}
	add(c,
		"outlier_detection", headed(inline(object("consecutive_5xx", literal("3"), "base_ejection_time", "1s", "max_ejection_percent", literal("50"))), "leaves a replica that died after three calls"),
		"health_checks", list(headed(inline(object("interval", "1s", "no_traffic_interval", "1s", "timeout", "1s", "unhealthy_threshold", literal("2"), "healthy_threshold", literal("1"), "grpc_health_check", object())),
			"leaves a replica that is about to stop before it stops")),
		"load_assignment", assignment(clusterName, w.opts.Weir))
	return c
}

func assignment(cluster string, at Address) *yaml.Node {
	return object("cluster_name", cluster, "endpoints", list(object("lb_endpoints", list(object("endpoint", inline(object("address", socket(at))))))))
}

func socket(at Address) *yaml.Node {
	return object("socket_address", object("address", at.Host, "port_value", literal(strconv.Itoa(int(at.Port)))))
}
