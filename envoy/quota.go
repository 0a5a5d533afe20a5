package envoy

import "strings"

// quota judges configuration of the quota filter, which asks for assignments instead of
// verdicts.
func (c *checker) quota(v value, kind string) {
	switch kind {
	case quotaFilter:
		c.tell(v.get("rlqs_server").or(v), "rlqs", "use envoy.filters.http.ratelimit for what weir limits", "weir does not serve RLQS: this filter must ask another service")
	case quotaPerRoute:
		c.tell(v, "rlqs-per-route", `write "@type": type.googleapis.com/envoy.config.route.v3.FilterConfig, disabled: true to turn the filter off`, "Envoy refuses RLQS settings of a route or virtual host")
	case quotaSettings:
		c.bucket(v)
	}
}

// bucket judges how a bucket is limited.
func (c *checker) bucket(v value) {
	if crash := v.get("no_assignment_behavior", "fallback_rate_limit", "token_bucket"); crash.ok() {
		c.tell(crash, "rlqs-crash", "write blanket_rule: ALLOW_ALL or DENY_ALL", "Envoy 1.40 crashes at the second request of a bucket without assignment")
	}
	v.walk(func(at value) bool {
		if u := at.get("requests_per_time_unit"); u.get("time_unit").ok() {
			c.tell(u, "rlqs-unimplemented", "write a token_bucket, or a blanket_rule where nothing is assigned", "Envoy 1.40 does not implement requests_per_time_unit, and lets all requests pass")
		}
		if _, kind := at.typed(); strings.HasSuffix(kind, "DynamicMetadataInput") {
			c.tell(at, "rlqs-input", "write the value to a header, and use HttpRequestHeaderMatchInput", "Envoy makes no bucket of dynamic metadata: its requests pass, and are not reported")
		}
		return true
	})
}
