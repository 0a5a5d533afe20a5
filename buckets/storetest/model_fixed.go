package storetest

import (
	"fmt"
	"math/big"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// fixedRule is a fixed window in UTC, or aligned to the epoch. What its bounds are
// in other zones is no business of a store.
type fixedRule struct{ bucket buckets.FixedWindow }

func (r fixedRule) String() string          { return fmt.Sprintf("%+v", r.bucket) }
func (r fixedRule) product() buckets.Bucket { return r.bucket }
func (r fixedRule) capacity() *big.Rat      { return tokens(r.bucket.Limit) }
func (r fixedRule) deepest() *big.Rat       { return tokens(r.bucket.Limit + r.bucket.Debt) }
func (r fixedRule) ticks() int64            { return 1 }
func (r fixedRule) quantum() int64          { return 1 }
func (r fixedRule) remembers(account) bool  { return false }

func (r fixedRule) scale() int64 {
	start, end := r.bounds(0)
	return end - start
}

// bounds are the window that now is in, by the calendar of package time.
func (r fixedRule) bounds(now int64) (start, end int64) {
	t := time.UnixMicro(now).UTC()
	year, month, day := t.Date()
	date := func(y int, m time.Month, d int) int64 { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC).UnixMicro() }
	since := func(d time.Duration) (int64, int64) {
		first := t.Truncate(d)
		return first.UnixMicro(), first.Add(d).UnixMicro()
	}
	switch c := r.bucket.Calendar; c.Unit {
	case buckets.Aligned:
		length := c.Length.Microseconds()
		return now / length * length, (now/length + 1) * length
	case buckets.CalendarMinute:
		return since(time.Minute)
	case buckets.CalendarHour:
		return since(time.Hour)
	case buckets.CalendarDay:
		return date(year, month, day), date(year, month, day+1)
	case buckets.CalendarWeek:
		for t.Weekday() != c.WeekStart {
			t = t.AddDate(0, 0, -1)
		}
		year, month, day = t.Date()
		return date(year, month, day), date(year, month, day+7)
	case buckets.CalendarMonth:
		return date(year, month, 1), date(year, month+1, 1)
	default:
		return date(year, 1, 1), date(year+1, 1, 1)
	}
}

// fixedAccount is what was counted in a window.
type fixedAccount struct{ start, end, count int64 }

func (a *fixedAccount) same(b account) bool { return *a == *b.(*fixedAccount) }

func (r fixedRule) recall(written account, now int64) (is account, rewritten bool, forgot int64) {
	if written == nil {
		return nil, false, 0
	}
	a := written.(*fixedAccount)
	if a.end <= now {
		return nil, false, a.end
	}
	start, end := r.bounds(now)
	return &fixedAccount{start, end, a.count}, start != a.start || end != a.end, 0
}

func (r fixedRule) used(is account) *big.Rat {
	if is == nil {
		return new(big.Rat)
	}
	return tokens(is.(*fixedAccount).count)
}

// counting is an account of a count in the window of now.
func (r fixedRule) counting(count *big.Rat, now int64) account {
	if count.Sign() <= 0 {
		return nil
	}
	start, end := r.bounds(now)
	return &fixedAccount{start, end, whole(count)}
}

func (r fixedRule) take(is account, _ *buckets.Charge, amount *big.Rat, now int64) account {
	return r.counting(sum(r.used(is), amount), now)
}

// refund goes to the window that the tokens came from, or nowhere.
func (r fixedRule) refund(is account, c *buckets.Charge, amount *big.Rat, now int64) account {
	if start, end := r.bounds(now); c.At != 0 && (c.At < start || c.At >= end) {
		return is
	}
	return r.counting(sub(r.used(is), amount), now)
}

func (r fixedRule) settle(is account, c *buckets.Charge, amount *big.Rat, now int64) (account, *big.Rat) {
	taken := atMost(amount, atLeast0(sub(r.deepest(), r.used(is))))
	return r.take(is, c, taken, now), sub(amount, taken)
}

func (r fixedRule) delay(is account, _ *big.Rat, now int64) *big.Int { return r.reset(is, now) }

func (r fixedRule) reset(_ account, now int64) *big.Int {
	_, end := r.bounds(now)
	return big.NewInt(end - now)
}

func (r fixedRule) kept(a account, now int64) int64 { return a.(*fixedAccount).end - now }
