package service

import (
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/descriptors"
)

// Observer is told what happens. Every function must be quick: it runs on the
// request path. Domains, limits and pools are those of the rules, never a client's
// text, so their number is bounded; details are not.
type Observer struct {
	// Request and Decision are told the id of the trace that the request is part of, empty
	// if it is not followed.
	Request       func(r Result, took time.Duration, traceID string)
	Decision      func(l *descriptors.Limit, o Outcome, tokens int64, traceID string) // tokens that it charged
	Unmatched     func(domain string, descriptors int)
	UnknownDomain func()
	BadOverrides  func(domain string, count int)
	Excess        func(Bound)
	Waited        func(time.Duration) // a request was held this long
	WrittenOff    func(domain, limit string, tokens int64)
	Receipt       func(Receipt)

	// What follows may be nil.

	// Met is told of each limit that a request met, after Decision: by which of its
	// buckets' keys, which is empty for an unlimited one.
	Met func(l *descriptors.Limit, key string, o Outcome, tokens int64)

	// Detailed is told of each limit that a request met whose rule asks for that, after
	// Decision: by the name that [descriptors.Limit.StatName] gives it. It is of any bytes
	// and any length, as the client sent it but for values that the domain's rules hide.
	Detailed func(l *descriptors.Limit, detail string, o Outcome, tokens int64)

	// Ended is told how a request ended that drew from a pool whose size follows
	// failures: the response's status, 0 where the client left before there was one.
	// What is no failure may be told twice, of a receipt that is sent twice.
	Ended func(domain, pool string, status int)
	// Limited is told of each refusal by such a pool.
	Limited func(domain, pool string)
	// Refusal is told of each request that was refused, but for those beyond a
	// bound: only of them the domain may be a client's text.
	Refusal func(Refusal)
	// Answer is told of each call once it is decided.
	Answer func(Answer)
	// Breaker is told the state of a circuit breaker each time that its bucket is
	// asked: closed, open or half_open. The key is that of [Level], and at the instant
	// on the store's clock, in microseconds since the epoch: calls overtake one another.
	Breaker func(domain, limit, key, state string, at int64)
}

// Refusal is a request that was refused by a limit, or because no rule admits it.
// What it says is put together when it is asked for, which must be before the
// observer returns.
type Refusal struct {
	Domain string
	Limit  string // the limit that refused, or "unmatched"

	entries   []descriptors.Entry // of the descriptor that was refused, as the client sent them
	redaction descriptors.Redaction
	verdict   *verdict
}

// Entries are those of the descriptor that was refused, as the client sent them but
// for values that the domain's rules hide.
func (r Refusal) Entries() []descriptors.Entry { return r.redaction.Entries(r.entries) }

// Message is the sentence that the caller reads, in the language of the limit's
// response.
func (r Refusal) Message() string {
	_, message := r.verdict.explain(r.verdict.response())
	return message
}

// RequestID is that of the request, safe to be logged, empty if it has none.
func (r Refusal) RequestID() string { return safeID(r.verdict.requestID) }

// Result is what became of a call.
type Result uint8

const (
	ResultOK Result = iota
	ResultOverLimit
	ResultError
)

// String is the result as a metric's label.
func (r Result) String() string { return [...]string{"ok", "over_limit", "error"}[r] }

// Outcome is what became of one limit that a request met.
type Outcome uint8

const (
	Allowed      Outcome = iota // admitted, and charged if the request was no look
	Denied                      // refused the request
	NotCharged                  // would have admitted, but another limit refused the request
	ShadowDenied                // would have refused, but is in shadow mode
	Refunded                    // was given hits back
	Settled                     // was charged what had been used already
	Borrowed                    // admitted and charged from what other classes of the pool leave
	QuotaDenied                 // refused, but another quota has room
	Waited                      // admitted and charged after a wait
)

// String is the outcome as a metric's label.
func (o Outcome) String() string {
	return [...]string{
		"allowed", "denied", "not_charged", "shadow_denied", "refunded", "settled", "borrowed", "quota_denied", "waited",
	}[o]
}

// Receipt is what became of a receipt that came back.
type Receipt uint8

const (
	ReceiptRedeemed Receipt = iota // what it says was done, if the end called for anything
	ReceiptRepeated                // it was redeemed before
	ReceiptExpired                 // it came too late
	ReceiptForged                  // it was not signed by this fleet, or is damaged
	ReceiptFailed                  // the store did not answer
)

// String is the word as a metric's label.
func (r Receipt) String() string {
	return [...]string{"redeemed", "repeated", "expired", "forged", "failed"}[r]
}

func (s *Service) observeVerdict(v *verdict, request *descriptors.Request, waited time.Duration, traceID string) {
	for i := range v.met {
		m := &v.met[i]
		outcome, tokens := v.outcomeOf(m), v.charged(m)
		s.options.Observe.Decision(m.Limit, outcome, tokens, traceID)
		if s.options.Observe.Met != nil {
			s.options.Observe.Met(m.Limit, m.Charge.Key, outcome, tokens)
		}
		if s.options.Observe.Detailed != nil && m.Limit.Detailed() {
			sent := v.redaction.Entries(request.Descriptors[m.Descriptor].Entries)
			s.options.Observe.Detailed(m.Limit, m.Limit.StatName(sent), outcome, tokens)
		}
		if m.Lost > 0 {
			s.options.Observe.WrittenOff(m.Limit.Domain, m.Limit.Name, m.Charge.Cost-tokens)
		}
		if pool, follows := m.Limit.Feedback(); follows && m.refuses {
			s.options.Observe.Limited(m.Limit.Domain, pool)
		}
	}
	if waited > 0 {
		s.options.Observe.Waited(waited)
	}
}

func (s *Service) observeResolution(domain string, found *descriptors.Resolution) {
	if !found.KnownDomain {
		s.options.Observe.UnknownDomain()
		return
	}
	if n := len(found.Unmatched); n > 0 {
		s.options.Observe.Unmatched(domain, n)
	}
	if found.BadOverrides > 0 {
		s.options.Observe.BadOverrides(domain, found.BadOverrides)
	}
}

// observeBreakers tells the states of the breakers among charges, as far as the
// store told them.
func (s *Service) observeBreakers(rules *descriptors.Rules, charges []buckets.Charge, outcomes []buckets.Outcome) {
	if s.options.Observe.Breaker == nil {
		return
	}
	for i := range charges {
		c, o := &charges[i], &outcomes[i]
		if _, breaker := c.Bucket.(buckets.Breaker); !breaker || o.Blind || o.Alone {
			continue
		}
		if l, known := rules.LimitByID(c.Limit); known {
			s.options.Observe.Breaker(l.Domain, l.Name, c.Key, circuit(o), o.Now)
		}
	}
}

func (s *Service) observeRefusal(v *verdict, request *descriptors.Request, found *descriptors.Resolution) {
	if !v.over || s.options.Observe.Refusal == nil {
		return
	}
	r := Refusal{Domain: request.Domain, Limit: v.reason, redaction: found.Redaction, verdict: v}
	if v.reason == "limit" {
		r.Limit, r.entries = v.decisive.Limit.Name, request.Descriptors[v.decisive.Descriptor].Entries
	} else if len(found.Unmatched) > 0 {
		r.entries = request.Descriptors[found.Unmatched[0]].Entries
	}
	s.options.Observe.Refusal(r)
}
