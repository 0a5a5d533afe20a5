package limiter

import (
	"fmt"
	"strconv"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// Option states a number of a call. Without options a bucket holds 10 tokens, one
// comes back each second, and a call asks for one.
type Option func(*terms)

// WithCapacity is how many tokens a full bucket holds, at least 1: so many calls at
// once get through after a pause. The default is 10.
func WithCapacity(tokens int64) Option { return func(t *terms) { t.capacity = tokens } }

// WithRate is how many tokens come back each second, at least 1. The default is 1.
func WithRate(tokens int64) Option { return WithRatePer(tokens, time.Second) }

// WithRatePer is how many tokens come back in each period, evenly: of 60 a minute
// one each second. The period is a whole number of microseconds.
func WithRatePer(tokens int64, period time.Duration) Option {
	return func(t *terms) { t.tokens, t.period = tokens, period }
}

// WithRequested is how many tokens the call asks for, 0 or more. The default is 1.
// Who asks for 0 takes nothing and learns how the bucket stands.
func WithRequested(tokens int64) Option { return func(t *terms) { t.requested = tokens } }

// Validate tells what is wrong with options that are always used together, naming
// the option: one that no call would accept, or that they ask for more than the
// capacity, which no call would ever get.
func Validate(opts ...Option) error {
	_, err := compileFixed(opts)
	return err
}

// terms are what the options of one call state.
type terms struct {
	capacity, tokens, requested int64
	period                      time.Duration
}

// limit is compiled terms.
type limit struct {
	name      string // one for each capacity and rate
	bucket    buckets.TokenBucket
	requested int64
}

// compile makes a limit of options. The error names the option that is wrong.
func compile(opts []Option) (limit, error) {
	t := terms{capacity: 10, tokens: 1, requested: 1, period: time.Second}
	for _, option := range opts {
		option(&t)
	}
	switch {
	case t.capacity < 1:
		return limit{}, fmt.Errorf("limiter: WithCapacity(%d): a bucket holds at least 1 token", t.capacity)
	case t.tokens < 1:
		return limit{}, fmt.Errorf("limiter: %s: at least 1 token comes back; for fewer, give a longer period", t.rate())
	case t.period <= 0 || t.period%time.Microsecond != 0:
		return limit{}, fmt.Errorf("limiter: %s: the period must be a positive number of whole microseconds", t.rate())
	case t.requested < 0:
		return limit{}, fmt.Errorf("limiter: WithRequested(%d): a call asks for 0 tokens or more", t.requested)
	}
	// Every bucket knows how far ahead callers may reserve, those that nobody waits for
	// as well: to a bucket without that, what others have reserved would be too deep a
	// level, to be forgotten.
	b, err := buckets.Terms{Tokens: t.tokens, Period: t.period, Capacity: t.capacity, MaxWait: MaxWait}.TokenBucket()
	if err != nil {
		return limit{}, fmt.Errorf("limiter: WithCapacity(%d) and %s: %w", t.capacity, t.rate(), err)
	}
	return limit{name: t.name(), bucket: b, requested: t.requested}, nil
}

// compileFixed is compile for options that are used for all calls, which are to
// succeed.
func compileFixed(opts []Option) (limit, error) {
	want, err := compile(opts)
	if err == nil && want.requested > want.bucket.Capacity {
		err = fmt.Errorf("limiter: WithRequested(%d) asks for more than WithCapacity(%d) holds", want.requested, want.bucket.Capacity)
	}
	return want, err
}

// rate is the option that states the rate, as its caller may have written it.
func (t *terms) rate() string {
	if t.period == time.Second {
		return fmt.Sprintf("WithRate(%d)", t.tokens)
	}
	return fmt.Sprintf("WithRatePer(%d, %v)", t.tokens, t.period)
}

func (t *terms) name() string {
	b := append(make([]byte, 0, 64), "limiter "...)
	b = strconv.AppendInt(b, t.capacity, 10)
	b = strconv.AppendInt(append(b, ' '), t.tokens, 10)
	return string(strconv.AppendInt(append(b, '/'), int64(t.period), 10))
}
