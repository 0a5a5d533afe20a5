package service

import "time"

// Observer is told what happens. Every function is required and must be quick:
// it runs on the request path. Domains and limits are those of the rules, never
// a client's text, so their number is bounded.
type Observer struct {
	Request       func(Result, time.Duration)
	Decision      func(domain, limit string, o Outcome, tokens int64) // tokens that it charged
	Unmatched     func(domain string, descriptors int)
	UnknownDomain func()
	BadOverrides  func(domain string, count int)
	Excess        func()
	Waited        func(time.Duration) // a request was held this long
	WrittenOff    func(domain, limit string, tokens int64)
	Receipt       func(Receipt)
}

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
