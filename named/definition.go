// Package named keeps buckets that callers create while weir runs, each under an
// id: for what they call themselves, such as another company's API that allows so
// many requests, whether Envoy stands between or not. All replicas that share a
// ledger and a bucket store know the same buckets.
package named

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/descriptors"
)

const (
	maxID             = 200 // bytes
	maxWait           = 24 * time.Hour
	defaultMaxWait    = time.Hour
	defaultMaxWaiters = 1000
	mostWaiters       = 1_000_000
)

// Definition is a token bucket as it is stated. What is left out has the value
// that its comment names.
type Definition struct {
	ID    string `json:"id"`
	Rate  string `json:"rate"`  // tokens in each period, as in 10/s or 1/4s
	Burst int64  `json:"burst"` // tokens that it holds; 0: those of the rate
	// Initial is what it has when it was never seen: full, empty, or a number of
	// tokens. Empty text: full.
	Initial    string   `json:"initial"`
	MaxWait    Duration `json:"max_wait"`    // longest wait for its tokens, at most 24h; 0: 1h
	MaxWaiters int      `json:"max_waiters"` // callers who wait at a time in one replica; 0: 1000
	// Version is that of the ledger when the bucket was stated last.
	Version int64 `json:"version"`
}

// Drip is a bucket as clients of the rlimit server state it: it holds at most
// maxTokens, gets one each so many milliseconds, and begins empty. Its callers are
// not refused because others wait, unless they would wait for a day.
func Drip(id string, maxTokens, refillMillis int64) Definition {
	return Definition{
		ID: id, Rate: "1/" + strconv.FormatInt(refillMillis, 10) + "ms", Burst: maxTokens,
		Initial: "empty", MaxWait: Duration(maxWait), MaxWaiters: 10_000,
	}
}

// Duration is a time that is text in JSON, as in 30s.
type Duration time.Duration

// MarshalText implements [encoding.TextMarshaler].
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (d *Duration) UnmarshalText(text []byte) error {
	read, err := time.ParseDuration(string(text))
	*d = Duration(read)
	return err
}

// bucket is a definition that was compiled.
type bucket struct {
	Definition
	tokens buckets.TokenBucket
}

// Fault says what is wrong with a definition, by the name of its field in JSON.
type Fault = descriptors.ChangeFault

func fault(field, message, remedy string) error {
	return Fault{Field: field, Message: message, Remedy: remedy}
}

// checkID tells what is wrong with an id.
func checkID(id string) error {
	sound := id != "" && len(id) <= maxID && utf8.ValidString(id)
	for _, r := range id {
		sound = sound && unicode.IsGraphic(r) && !unicode.IsSpace(r)
	}
	if sound {
		return nil
	}
	return fault("id", "the id of a bucket must be 1 to 200 bytes of printable characters without spaces", "choose another id")
}

// compile fills in what is left out, and checks the rest. Its error is a [Fault].
func compile(d Definition) (*bucket, error) {
	if err := checkID(d.ID); err != nil {
		return nil, err
	}
	tokens, period, err := descriptors.ParseRate(d.Rate)
	if err != nil {
		return nil, err
	}
	if tokens == 0 {
		return nil, fault("rate", "a rate of 0 would let callers wait for ever", "write at least 1 token in a period, and delete a bucket that is to be closed")
	}
	if d.Burst == 0 {
		d.Burst = tokens
	}
	if d.Initial == "" {
		d.Initial = "full"
	}
	if d.MaxWait == 0 {
		d.MaxWait = Duration(defaultMaxWait)
	}
	if d.MaxWaiters == 0 {
		d.MaxWaiters = defaultMaxWaiters
	}
	terms := buckets.Terms{Tokens: tokens, Period: period, Capacity: d.Burst, MaxWait: time.Duration(d.MaxWait)}
	if terms.Missing, err = missing(&d); err != nil {
		return nil, err
	}
	b := &bucket{Definition: d}
	switch b.tokens, err = terms.TokenBucket(); {
	case errors.Is(err, buckets.ErrInexact):
		return nil, fault("burst", fmt.Sprintf("a rate of %s with a burst of %d and a wait of %v cannot be counted exactly", d.Rate, d.Burst, time.Duration(d.MaxWait)),
			"choose a smaller burst or a rounder rate")
	case err != nil:
		return nil, fault("", err.Error(), "")
	}
	return b, nil
}

// missing is how many tokens a bucket never seen lacks. It checks what is stated
// beside the rate on the way.
func missing(d *Definition) (int64, error) {
	switch {
	case d.Burst < 1 || d.Burst > math.MaxInt64/2:
		return 0, fault("burst", "a bucket must hold at least 1 token", "write a whole number from 1 on")
	case d.MaxWait < Duration(time.Millisecond) || d.MaxWait > Duration(maxWait):
		return 0, fault("max_wait", "nobody can wait for "+time.Duration(d.MaxWait).String(), "write at least 1ms and at most 24h")
	case d.MaxWaiters < 1 || d.MaxWaiters > mostWaiters:
		return 0, fault("max_waiters", fmt.Sprintf("%d callers cannot wait", d.MaxWaiters), "write a whole number from 1 to 1000000")
	case d.Initial == "full":
		return 0, nil
	case d.Initial == "empty":
		return d.Burst, nil
	}
	level, err := strconv.ParseInt(d.Initial, 10, 64)
	if err != nil || level < 0 || level > d.Burst || strconv.FormatInt(level, 10) != d.Initial {
		return 0, fault("initial", "initial is neither full nor empty nor a number of tokens from 0 to the burst", "write full, empty, or such a number")
	}
	return d.Burst - level, nil
}

// encode is the record of a definition.
func encode(d Definition) ([]byte, error) { return json.Marshal(d) }

// decode reads a record. Fields of a newer weir are passed over.
func decode(id string, raw []byte) (*bucket, error) {
	d := Definition{}
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, err
	}
	d.ID = id
	return compile(d)
}
