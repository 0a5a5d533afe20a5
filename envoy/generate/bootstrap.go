package generate

import (
	"go.yaml.in/yaml/v4"
)

// origin is what each file begins with.
const origin = "# Written by weir envoy: change the mapping or the rules, and write it again.\n"

// needs tells what of the mapping is for others to do, in lines of comment.
func (p *planner) needs() (text string) {
	kinds := map[string]bool{}
	for _, s := range p.keys {
		kinds[s.kind] = true
	}
	if kinds["header"] {
		text += "# Clients say what they like in a header: have a filter before this one set it, or remove it.\n"
	}
	if kinds["claim"] {
		text += "# Claims are those of envoy.filters.http.jwt_authn before this filter, with payload_in_metadata. What is no text there counts as absent.\n"
	}
	if kinds["address"] {
		text += "# Addresses are the clients' if the connection manager has use_remote_address: true, or xff_num_trusted_hops behind a proxy.\n"
	}
	if kinds["path"] {
		text += "# Paths read alike however they are written if the connection manager has normalize_path: true and merge_slashes: true.\n"
	}
	return text
}

// parts are the filters, for the http_filters of a connection manager, and the cluster.
func (w *writer) parts(p *planner) []output {
	filters := list()
	for _, d := range w.domains {
		filters.Content = append(filters.Content, w.filter(d, true))
	}
	return []output{
		{"http_filters.yaml", origin + "# For http_filters of the HTTP connection manager, before the router.\n" + p.needs(), []*yaml.Node{filters}},
		{"clusters.yaml", origin + "# For clusters of static_resources.\n", []*yaml.Node{list(w.cluster())}},
	}
}

// bootstrap is a whole Envoy before one upstream.
func (w *writer) bootstrap(p *planner) []output {
	const managerType = typePrefix + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
	filters := list()
	for _, d := range w.domains {
		filters.Content = append(filters.Content, w.filter(d, true))
	}
	router := object("name", "envoy.filters.http.router", "typed_config", inline(object("@type", typePrefix+"envoy.extensions.filters.http.router.v3.Router")))
	filters.Content = append(filters.Content, router)
	manager := object("@type", managerType, "stat_prefix", "front",
		"use_remote_address", noted(scalar(true), "the client is who connects; behind another proxy: xff_num_trusted_hops"),
		"normalize_path", noted(scalar(true), "one path, one bucket, however it is written"),
		"merge_slashes", true,
		"route_config", object("name", "front", "virtual_hosts", list(object("name", "all", "domains", inline(list(scalar("*"))),
			"routes", list(inline(object("match", object("prefix", "/"), "route", object("cluster", "upstream"))))))),
		"http_filters", filters)
	return []output{{"envoy.yaml", origin + p.needs(), []*yaml.Node{object(
		"admin", object("address", inline(socket(Address{"127.0.0.1", adminPort}))),
		"static_resources", object(
			"listeners", list(object("name", "front", "address", inline(socket(w.opts.Listen)), "filter_chains",
				list(object("filters", list(object("name", "envoy.filters.network.http_connection_manager", "typed_config", manager)))))),
			"clusters", list(
				object("name", "upstream", "type", "STRICT_DNS", "connect_timeout", "1s", "load_assignment", assignment("upstream", w.opts.Upstream)),
				w.cluster(),
			)))}}}
}

const adminPort = 9901
