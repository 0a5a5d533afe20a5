// Package generate writes what Envoy must be told so that rules mean what they say: its
// filters and its cluster, alone, in a bootstrap, or as Istio or Envoy Gateway take
// them.
//
// A mapping (mapping.go) says which part of a request feeds which key of the rules
// (source.go). From both a plan is made, the descriptors that are to be sent (plan.go),
// which must reach every rule (reach.go), then the filters (filter.go) and what is
// around them (bootstrap.go, istio.go, gateway.go). [descriptors] tells where a mistake
// stands.
package generate
