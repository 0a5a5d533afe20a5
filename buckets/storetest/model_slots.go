package storetest

import (
	"fmt"
	"math/big"
	"slices"

	"github.com/weir-rls/weir/buckets"
)

// slotRule is so many slots, which are held by leases.
type slotRule struct{ bucket buckets.Slots }

func (r slotRule) String() string          { return fmt.Sprintf("%+v", r.bucket) }
func (r slotRule) product() buckets.Bucket { return r.bucket }
func (r slotRule) capacity() *big.Rat      { return tokens(r.bucket.Count) }
func (r slotRule) deepest() *big.Rat       { return tokens(r.bucket.Count) }
func (r slotRule) ticks() int64            { return 1 }
func (r slotRule) quantum() int64          { return 1 }
func (r slotRule) scale() int64            { return r.bucket.TTL }
func (r slotRule) remembers(account) bool  { return false }

type leased struct {
	id                    string
	slots, expires, lives int64
}

// leaseAccount is a list of leases, in the order of their names.
type leaseAccount struct{ leases []leased }

func (a *leaseAccount) same(b account) bool { return slices.Equal(a.leases, b.(*leaseAccount).leases) }

func (a *leaseAccount) holds(id string) bool {
	return a != nil && id != "" && slices.ContainsFunc(a.leases, func(l leased) bool { return l.id == id })
}

// without is a list less one lease, nil if it is the last.
func without(is account, id string) (rest account, lease leased) {
	a, _ := is.(*leaseAccount)
	if a == nil {
		return nil, leased{}
	}
	left := &leaseAccount{}
	for _, l := range a.leases {
		if l.id == id {
			lease = l
		} else {
			left.leases = append(left.leases, l)
		}
	}
	if len(left.leases) == 0 {
		return nil, lease
	}
	return left, lease
}

func (r slotRule) recall(written account, now int64) (is account, rewritten bool, forgot int64) {
	if written == nil {
		return nil, false, 0
	}
	left := &leaseAccount{}
	for _, l := range written.(*leaseAccount).leases {
		if l.expires <= now {
			forgot = max(forgot, l.expires)
		} else {
			left.leases = append(left.leases, l)
		}
	}
	if len(left.leases) == 0 {
		return nil, false, forgot
	}
	return left, false, forgot
}

func (r slotRule) used(is account) *big.Rat {
	total := int64(0)
	if is != nil {
		for _, l := range is.(*leaseAccount).leases {
			total += l.slots
		}
	}
	return tokens(total)
}

func (r slotRule) take(is account, c *buckets.Charge, amount *big.Rat, now int64) account {
	lease := leased{c.Lease, whole(amount), now + r.bucket.TTL, r.bucket.TTL}
	rest, held := without(is, c.Lease)
	if held.id != "" {
		lease.slots = held.slots // renewed
	}
	all := &leaseAccount{[]leased{lease}}
	if rest != nil {
		all.leases = append(all.leases, rest.(*leaseAccount).leases...)
	}
	slices.SortFunc(all.leases, func(a, b leased) int { return slices.Compare([]byte(a.id), []byte(b.id)) })
	return all
}

func (r slotRule) refund(is account, c *buckets.Charge, _ *big.Rat, _ int64) account {
	rest, _ := without(is, c.Lease)
	return rest
}

func (r slotRule) settle(is account, _ *buckets.Charge, _ *big.Rat, _ int64) (account, *big.Rat) {
	return is, new(big.Rat)
}

func (r slotRule) delay(account, *big.Rat, int64) *big.Int { return new(big.Int) }
func (r slotRule) reset(account, int64) *big.Int           { return new(big.Int) }

// kept: a lease matters no longer than it lives, although it is said to expire
// later if the clock went back.
func (r slotRule) kept(a account, now int64) int64 {
	longest := int64(0)
	for _, l := range a.(*leaseAccount).leases {
		longest = max(longest, min(l.expires-now, l.lives))
	}
	return longest
}
