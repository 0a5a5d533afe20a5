package envoy

import "fmt"

// service judges the cluster that a filter asks.
func (c *checker) service(f *filter) {
	grpc := f.config.get("rate_limit_service", "grpc_service")
	at := grpc.get("envoy_grpc", "cluster_name")
	if !at.ok() {
		return
	}
	cluster := c.clusters[at.text()]
	if !cluster.ok() {
		if c.dynamic || c.partial || len(c.clusters) == 0 && (f.chain == nil || f.chain.mesh) || f.chain != nil && f.chain.mesh {
			return // of the mesh, or of another file
		}
		c.tell(at, "cluster-missing", "add it to static_resources.clusters", "there is no cluster %s: each call fails, and the failure mode decides", quote(at.text()))
		return
	}
	name := cluster.get("name")
	if !speaksHTTP2(cluster) {
		c.tell(name, "cluster-http1", "add typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {\"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: {http2_protocol_options: {}}}}",
			"the filter at %s asks the cluster %s over gRPC, which needs HTTP/2", at.doc.Place(at.n), quote(name.text()))
	}
	if len(cluster.get("health_checks").items()) == 0 {
		c.tell(name, "cluster-health-check", "add health_checks: [{interval: 1s, no_traffic_interval: 1s, timeout: 1s, unhealthy_threshold: 2, healthy_threshold: 1, grpc_health_check: {}}]",
			"calls go on to a replica that stops, and fail: the cluster %s has no health check", quote(name.text()))
	}
	c.breaker(f, cluster)
}

func speaksHTTP2(cluster value) bool {
	if cluster.get("http2_protocol_options").ok() {
		return true
	}
	for _, options := range cluster.get("typed_extension_protocol_options").fields() {
		config, _ := options.typed()
		for _, form := range []string{"explicit_http_config", "use_downstream_protocol_config"} {
			if config.get(form, "http2_protocol_options").ok() {
				return true
			}
		}
		if config.get("auto_config").ok() {
			return true
		}
	}
	return false
}

// mostCalls is how many calls a cluster may have under way if nothing is said.
const mostCalls = 1024

// breaker compares the calls that a cluster may have with those that wait.
func (c *checker) breaker(f *filter, cluster value) {
	if f.waits == 0 {
		return
	}
	at, most := cluster.get("name"), uint64(mostCalls)
	for _, t := range cluster.get("circuit_breakers", "thresholds").items() {
		if p := t.get("priority").text(); p != "" && p != "DEFAULT" {
			continue
		}
		if v := t.get("max_requests"); v.ok() {
			if n, ok := v.number(); ok {
				at, most = v, n
			}
		}
	}
	if most <= mostCalls {
		c.tell(at, "cluster-circuit-breaker", "add circuit_breakers: {thresholds: [{max_requests: 100000, max_pending_requests: 100000}]}",
			"%s calls may be under way to %s, and each request that waits for the rule %s is one: the next fails, and the failure mode decides",
			fmt.Sprint(most), quote(cluster.get("name").text()), quote(f.waiting.Name))
	}
}
