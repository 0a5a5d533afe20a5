// Package ruletest tries rules without a server: requests are judged as a replica of
// weir judges them, on buckets in memory and by a clock that its user moves.
package ruletest

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/buckets/waiting"
	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/service"
)

// bounds are those of weir serve by default, docs/reference/overload.md; nothing else is under way
// here.
var bounds = service.Bounds{MessageBytes: 2 << 20, Descriptors: 32, Entries: 64, KeyBytes: 4 << 10, ValueBytes: 64 << 10}

// Replica is a weir that nobody but its user asks. Nobody is held in it.
type Replica struct {
	judge *service.Service
	now   time.Time
}

// Options are what a replica may have beside its rules. The zero value is usable.
type Options struct {
	Start   time.Time                                                          // of its clock
	Observe *service.Observer                                                  // is told what happens; nil: nobody is
	Between func(rules *descriptors.Rules, memory buckets.Store) buckets.Store // stands between its room and its memory; nil: nothing does
}

// New returns a replica with rules and full buckets.
func New(rules *descriptors.Rules, o Options) *Replica {
	r := &Replica{now: o.Start}
	var store buckets.Store = memory.New(memory.Options{Now: r.Now})
	if o.Between != nil {
		store = o.Between(rules, store)
	}
	if o.Observe == nil {
		o.Observe = &nobody
	}
	r.judge = service.New(service.Options{
		Rules: func() *descriptors.Rules { return rules },
		Room:  waiting.New(waiting.Options{Store: store}),
		Keys:  service.NewKeys([]byte("receipts that nobody else reads...")), Now: r.Now,
		Observe: *o.Observe, Bounds: bounds,
	})
	return r
}

// Now is the time by the replica's clock.
func (r *Replica) Now() time.Time { return r.now }

// Move sets the replica's clock, which must not go back.
func (r *Replica) Move(to time.Time) { r.now = to }

// Judge decides a request, and takes what it costs if it passes. It may be held for
// wait where what stands between the room and the memory lets it.
func (r *Replica) Judge(request *descriptors.Request, wait time.Duration) (service.Judgement, error) {
	return r.judge.Judge(context.Background(), request, wait)
}

var nobody = service.Observer{
	Request: func(service.Result, time.Duration, string) {}, Decision: func(*descriptors.Limit, service.Outcome, int64, string) {},
	Unmatched: func(string, int) {}, UnknownDomain: func() {}, BadOverrides: func(string, int) {}, Excess: func(service.Bound) {},
	Waited: func(time.Duration) {}, WrittenOff: func(string, string, int64) {}, Receipt: func(service.Receipt) {},
}

// Explain tells what would be answered now, and why. It takes nothing.
func (r *Replica) Explain(request descriptors.Request) (descriptors.Explanation, error) {
	return r.judge.Explain(context.Background(), &request)
}

// answer is what a request was told.
type answer struct {
	admitted   bool
	retryAfter time.Duration // in whole seconds; 0: it was not told
	receipt    string        // empty: how it ends changes nothing
}

// ask judges a request, and takes what it costs if it passes.
func (r *Replica) ask(request descriptors.Request) (answer, error) {
	status, header, text := r.judge.AskJSON(context.Background(), Body(request), 0)
	var told struct {
		Detail          string
		DynamicMetadata struct{ Receipt string }
	}
	if err := json.Unmarshal(text, &told); err != nil {
		return answer{}, err
	}
	if status != http.StatusOK && status != http.StatusTooManyRequests {
		return answer{}, problem(told.Detail)
	}
	seconds, _ := strconv.Atoi(header.Get("Retry-After")) // 0 where there is none
	return answer{status == http.StatusOK, time.Duration(seconds) * time.Second, told.DynamicMetadata.Receipt}, nil
}

type problem string

func (p problem) Error() string { return string(p) }

// End tells how a request ended: the status of its response.
func (r *Replica) End(domain, receipt string, status int64) error {
	_, err := r.Judge(&descriptors.Request{Domain: domain, Descriptors: []descriptors.Descriptor{
		{Entries: []descriptors.Entry{{Key: descriptors.ReceiptKey, Value: receipt}}, HasHits: true, Hits: uint64(status)},
	}}, 0)
	return err
}

// Body is a request as the HTTP API reads it: Envoy's RateLimitRequest as JSON. Hits
// that are given back and limits that come with a descriptor are left out.
func Body(request descriptors.Request) []byte {
	type entry struct {
		Key   string `json:"key"`
		Value string `json:"value"`
	}
	type descriptor struct {
		Entries []entry `json:"entries"`
		Hits    *uint64 `json:"hitsAddend,omitempty"`
	}
	body := struct {
		Domain      string       `json:"domain"`
		Descriptors []descriptor `json:"descriptors"`
		Hits        uint64       `json:"hitsAddend,omitempty"`
	}{Domain: request.Domain, Hits: request.Hits}
	for _, d := range request.Descriptors {
		out := descriptor{Entries: []entry{}}
		for _, e := range d.Entries {
			out.Entries = append(out.Entries, entry(e))
		}
		if d.HasHits {
			out.Hits = &d.Hits
		}
		body.Descriptors = append(body.Descriptors, out)
	}
	text, err := json.Marshal(body)
	if err != nil { // texts and numbers
		return nil
	}
	return text
}
