package generate

import "go.yaml.in/yaml/v4"

// istio is a pair of EnvoyFilters: one has the filters and the cluster, the other what
// is sent, by virtual host, so that hosts can differ.
func (w *writer) istio(p *planner) []output {
	context := "GATEWAY"
	if w.opts.Inbound {
		context = "SIDECAR_INBOUND"
	}
	filters := list()
	limits := object()
	for _, d := range w.domains {
		filters.Content = append(filters.Content, object("applyTo", "HTTP_FILTER", "match",
			inline(object("context", context, "listener", object("filterChain", object("filter", object(
				"name", "envoy.filters.network.http_connection_manager", "subFilter", object("name", "envoy.filters.http.router")))))),
			"patch", object("operation", noted(scalar("INSERT_BEFORE"), "behind what verifies who the client is"), "value", w.filter(d, false))))
		add(limits, w.filterName(d), object("@type", perRouteType, "rate_limits", w.rateLimits(d)))
	}
	filters.Content = append(filters.Content, object("applyTo", "CLUSTER", "match", inline(object("context", context)),
		"patch", object("operation", "ADD", "value", w.cluster())))
	match := object("context", context)
	if w.opts.Host != "" {
		add(match, "routeConfiguration", object("vhost", object("name", w.opts.Host)))
	}
	hosts := list(object("applyTo", "VIRTUAL_HOST", "match", inline(match), "patch", object(
		"operation", "MERGE",
		"value", object("typed_per_filter_config", headed(limits, "not rate_limits of the virtual host: Envoy sends no hits_addend from there")))))
	return []output{{"envoyfilters.yaml", origin + p.needs(), []*yaml.Node{w.envoyFilter("weir-filter", filters), w.envoyFilter("weir-limits", hosts)}}}
}

func (w *writer) envoyFilter(name string, patches *yaml.Node) *yaml.Node {
	spec := object()
	if len(w.opts.Selector) > 0 {
		labels := object()
		for _, l := range w.opts.Selector {
			add(labels, l.Name, l.Value)
		}
		add(spec, "workloadSelector", inline(object("labels", labels)))
	}
	add(spec, "priority", noted(literalNode("10"), "after the patches that others make without a priority"), "configPatches", patches)
	return object("apiVersion", "networking.istio.io/v1alpha3", "kind", "EnvoyFilter",
		"metadata", inline(object("name", name, "namespace", w.opts.Namespace)), "spec", spec)
}

func literalNode(text string) *yaml.Node { return scalar(literal(text)) }
