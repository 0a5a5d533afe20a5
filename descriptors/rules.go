package descriptors

import (
	"time"

	"github.com/weir-rls/weir/buckets"
)

// Limit is one compiled limit of a rule, or of an override.
type Limit struct {
	Name   string // unique in its domain for `limits`; what metrics, headers and metadata call it
	Domain string

	// Requests in each Period, as configured, for texts and Envoy's
	// current_limit. Period is 0 for an unlimited rule.
	Requests int64
	Period   time.Duration
	Bucket   buckets.TokenBucket

	Unlimited    bool
	Shadow       bool
	OnStoreError buckets.OnStoreError
	Response     Response
	Weight       Weight
}

// Response is the template of what a refused caller sees.
type Response uint8

const (
	PlainResponse Response = iota
	OpenAIResponse
)

// Weight is how many tokens one hit costs: Default, or what Values says of the
// value of the entry By, where the request has one.
type Weight struct {
	By      string // empty: always Default
	Values  map[string]int64
	Default int64
}
