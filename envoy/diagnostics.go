package envoy

import "github.com/weir-rls/weir/descriptors"

// Diagnostic is one kind of finding.
type Diagnostic struct {
	ID       string // stable
	Severity descriptors.Severity
	About    string // what is found, and what comes of it, in a line
}

const (
	failure = descriptors.Error
	warning = descriptors.Warning
	note    = descriptors.Note
)

// Diagnostics are all kinds of findings, in the order of the manual.
var Diagnostics = []Diagnostic{
	{"descriptor-unmatched", failure, "No rule meets the descriptor, whatever its values: it limits nothing."},
	{"descriptor-too-long", failure, "The rule that it means has fewer entries. All of a descriptor's entries must be met."},
	{"descriptor-too-short", failure, "The rule that it means has more entries."},
	{"descriptor-order", failure, "The rule that it means has the same keys in another order."},
	{"no-backtracking", failure, "A rule with the entry's value takes the descriptor away from one that would meet all of it."},
	{"rule-unreachable", warning, "No descriptor that is sent meets the rule."},
	{"domain-without-rules", failure, "The filter's domain has no rules: nothing is limited."},
	{"domain-not-sent", warning, "No filter sends the domain of the rules."},
	{"unreadable", failure, "The file cannot be read, or is not YAML."},
	{"no-filter", failure, "There is no rate limit filter in the files."},
	{"absent-value", warning, "A request that lacks a header or another value has no descriptor left: Envoy asks nobody, and lets it pass."},
	{"metadata-missing", failure, "No route has the metadata that the descriptor is made of: it is never sent."},
	{"metadata-number", failure, "A metadata action reads a number, and leaves out what is no text."},
	{"literal-format", warning, "A %FORMAT% in a descriptor's value stays as it is without a runtime flag."},
	{"cel-string-plus", failure, "Strings joined with + in CEL yield no descriptor."},
	{"cel-unsupported", failure, "Envoy's CEL has no such function, and refuses the configuration."},
	{"remote-address-untrusted", warning, "The address is what the client says in X-Forwarded-For."},
	{"limits-hidden", failure, "Envoy ignores these rate_limits: others stand before them."},
	{"vhost-limits-hidden", warning, "The route's own rate_limits hide those of its virtual host."},
	{"hits-ignored", failure, "Envoy sends no hits_addend from here: each call counts 1."},
	{"hits-too-early", failure, "The number of hits is not known yet when the request comes."},
	{"hits-uncharged", warning, "An Envoy before 1.40 charges nothing by a response header: --envoy-version says which one reads the file."},
	{"hits-from-client", warning, "The client says what it costs, and is not limited where it says nothing."},
	{"hits-given-back-twice", warning, "Hits are given back at the end also for requests that were refused."},
	{"field-unsupported", failure, "Envoy refuses the field here."},
	{"stream-done-charged", warning, "The descriptor is charged at the end of a stream as if it were another request."},
	{"receipt-missing", failure, "A rule needs to know how a request ended, and nothing sends the receipt back."},
	{"receipt-early", failure, "The receipt is sent before there is one."},
	{"receipt-namespace", failure, "The receipt is looked for where the filter does not put it."},
	{"receipt-status", warning, "The receipt comes back without the status of the response."},
	{"receipt-shared", failure, "Two filters put their receipts in one place."},
	{"end-early", failure, "What is used in the end would be charged when the request comes."},
	{"end-uncounted", warning, "What is used in the end counts 1."},
	{"timeout-below-wait", failure, "Envoy gives up before a rule's max_wait is over."},
	{"timeout-default", warning, "Envoy waits 20 ms for an answer if the filter has no timeout."},
	{"failure-mode-unset", note, "Requests pass while weir does not answer, and nobody said that they shall."},
	{"status-below-400", failure, "Envoy answers 429 in place of a rate_limited_status below 400."},
	{"option-unquoted", failure, "OFF without quotes is a boolean in YAML, and not the option."},
	{"retry-after-rounded", note, "Envoy's Retry-After is cut to whole seconds, and 1 where there is no hope."},
	{"cluster-missing", failure, "There is no such cluster: each call fails."},
	{"cluster-http1", failure, "gRPC needs HTTP/2, which the cluster does not speak."},
	{"cluster-health-check", warning, "Without a health check calls go to replicas that stop."},
	{"cluster-circuit-breaker", warning, "Requests that wait are calls under way, of which there may be 1024."},
	{"unknown-field", failure, "Envoy refuses a configuration with a field that it does not know."},
	{"unknown-value", failure, "Envoy refuses a word that it does not know."},
	{"include-vh-deprecated", warning, "include_vh_rate_limits is deprecated."},
	{"rlqs", warning, "weir does not serve RLQS."},
	{"rlqs-crash", failure, "A token_bucket in no_assignment_behavior crashes Envoy 1.40."},
	{"rlqs-unimplemented", failure, "Envoy 1.40 lets all requests pass: requests_per_time_unit is not implemented."},
	{"rlqs-per-route", failure, "Envoy 1.40 refuses RLQS settings of a route."},
	{"rlqs-input", failure, "A bucket of dynamic metadata is not reported, and its requests pass."},
	{"gateway-local", note, "Envoy limits by itself here, and asks nobody."},
}

var severities = func() map[string]descriptors.Severity {
	all := map[string]descriptors.Severity{}
	for _, d := range Diagnostics {
		all[d.ID] = d.Severity
	}
	return all
}()
