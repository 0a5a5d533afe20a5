package generate

import "go.yaml.in/yaml/v4"

// gateway is what lets Envoy Gateway take patches, and the patches. A
// BackendTrafficPolicy can say none of it: its global limits are sent to a rate limit
// service that Envoy Gateway starts itself, with descriptors of its own making.
func (w *writer) gateway(p *planner) []output {
	const (
		version  = "gateway.envoyproxy.io/v1alpha1"
		listener = typePrefix + "envoy.config.listener.v3.Listener"
		cluster  = typePrefix + "envoy.config.cluster.v3.Cluster"
	)
	patches := list()
	for _, d := range w.domains {
		patches.Content = append(patches.Content, object("type", listener, "name", w.opts.Namespace+"/"+w.opts.Gateway+"/"+w.opts.Listener, "operation", object(
			"op", "add",
			"jsonPath", noted(scalar("..http_filters[?(@.name=='envoy.filters.http.router')]"), "before the router, behind what verifies who the client is"),
			"value", w.filter(d, true))))
	}
	patches.Content = append(patches.Content, object("type", cluster, "name", clusterName, "operation", object(
		"op", "add", "path", "", "value", w.cluster())))
	policy := object("apiVersion", version, "kind", "EnvoyPatchPolicy",
		"metadata", inline(object("name", "weir", "namespace", w.opts.Namespace)),
		"spec", object(
			"targetRef", inline(object("group", "gateway.networking.k8s.io", "kind", "Gateway", "name", w.opts.Gateway)),
			"type", "JSONPatch", "jsonPatches", patches))
	config := object("apiVersion", version, "kind", "EnvoyGateway",
		"extensionApis", object("enableEnvoyPatchPolicy", noted(scalar(true), "else the patches below are left alone")))
	return []output{
		{"envoy-gateway.yaml", origin + "# For envoy-gateway.yaml in the ConfigMap envoy-gateway-config of Envoy Gateway, beside what is there; then restart it.\n", []*yaml.Node{config}},
		{"envoypatchpolicy.yaml", origin + "# A BackendTrafficPolicy cannot say this: its global limits go to Envoy Gateway's own rate limit service.\n" + p.needs(), []*yaml.Node{policy}},
	}
}
