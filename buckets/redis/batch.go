package redis

import (
	"context"
	"fmt"
	"strconv"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weir-rls/weir/buckets"
)

// mostCharges is how many charges one script call has. 64 token buckets hold the
// server for about 0.3 ms, in which it does nothing else.
const mostCharges = 64

// flight is the memory in which a worker forms its batches.
type flight struct {
	batch []request
	calls []*batchCall // those in use, and behind them others
	used  int
}

// next is a call for a slot, in memory that was used before.
func (f *flight) next(slot uint16, plain bool) *batchCall {
	if f.used == len(f.calls) {
		f.calls = append(f.calls, &batchCall{places: map[string]int{}})
	}
	c := f.calls[f.used]
	f.used++
	c.begin(slot, plain)
	return c
}

// board puts a request into the last call of its slot if that has room for it, so that
// requests of one script are judged in the order in which they came.
func (f *flight) board(r *request) {
	for i := f.used - 1; i >= 0; i-- {
		if c := f.calls[i]; c.slot == r.slot && c.plain == r.plain {
			if !c.fits(r) {
				break
			}
			c.add(r)
			return
		}
	}
	f.next(r.slot, r.plain).add(r)
}

// takeOff judges a batch, and answers everybody in it.
//
// There is a call for each slot, and all travel in one pipeline. A call that was not
// made is made again: its script was unknown to the server, or its windows over, or
// one of its buckets cannot be read or is moving to another node, which is nothing to
// the requests of others: then each is judged by itself.
func (s *Store) takeOff(ctx context.Context, batch []request, f *flight) {
	f.used = 0
	for i := range batch {
		f.board(&batch[i])
	}
	again := f.calls[:f.used]
	var landed func()
	for len(again) > 0 {
		for _, c := range again {
			if !c.unknown {
				c.pack(s)
			}
			c.make(ctx, s.client.whole.Load())
		}
		if s.traced != nil && landed == nil {
			landed = s.follow(again)
		}
		s.sendAll(ctx, again)
		under := again
		again = nil
		for _, c := range under {
			again = append(again, c.land(ctx, s, f)...)
		}
	}
	for _, c := range f.calls[:f.used] {
		c.forget()
	}
	if landed != nil {
		landed()
	}
}

// sendAll sends calls in one pipeline. What became of each is in its command.
func (s *Store) sendAll(ctx context.Context, calls []*batchCall) {
	if len(calls) == 1 {
		_ = s.client.Process(ctx, calls[0].command)
		return
	}
	pipeline := s.client.Pipeline()
	for _, c := range calls {
		_ = pipeline.Process(ctx, c.command)
	}
	_, _ = pipeline.Exec(ctx)
	for _, c := range calls {
		s.client.heed(ctx, c.command.Err())
	}
}

// batchCall is a script call that judges requests whose keys are in one slot.
type batchCall struct {
	slot     uint16
	plain    bool
	kinds    kindSet
	requests []*request
	charges  int

	of     []bucketOf
	places map[string]int        // of each key in of
	terms  []buckets.TokenBucket // of a plain call's buckets, different ones

	script  *script
	unknown bool  // it is, to the server: its text is sent
	stale   int   // answers that windows were over
	guess   int64 // what the server's clock may say
	args    []any
	packed  []byte

	command goredis.Cmder
	text    onceText
	ints    onceCmd
}

// bucketOf is one bucket of a call, which several requests may charge.
type bucketOf struct {
	key    *string
	bucket buckets.Bucket
	terms  int // of a plain call: the place of its own
}

func (c *batchCall) begin(slot uint16, plain bool) {
	c.slot, c.plain, c.kinds, c.charges = slot, plain, 0, 0
	c.unknown, c.stale = false, 0
}

// forget lets go of the requests.
func (c *batchCall) forget() {
	clear(c.requests)
	clear(c.args)
	clear(c.places)
	clear(c.of)
	c.requests, c.args, c.of, c.terms = c.requests[:0], c.args[:0], c.of[:0], c.terms[:0]
	c.command = nil
}

// fits tells that there is room for a request, and that its buckets are as those of
// the same keys in the call: rules that change meanwhile may want one bucket two
// ways.
func (c *batchCall) fits(r *request) bool {
	if c.charges+len(r.charges) > mostCharges {
		return false
	}
	for i := range r.charges {
		charge := &r.charges[i]
		if !c.knows(charge.Key, charge.Bucket) || charge.Class != nil && !c.knows(charge.ClassKey, charge.Class.Guarantee) {
			return false
		}
	}
	return true
}

// knows tells that the call has no other bucket with a key.
func (c *batchCall) knows(key string, b buckets.Bucket) bool {
	at, there := c.places[key]
	return !there || c.of[at].bucket == b
}

func (c *batchCall) add(r *request) {
	c.requests = append(c.requests, r)
	c.charges += len(r.charges)
	c.kinds |= r.kinds
	for i := range r.charges {
		charge := &r.charges[i]
		c.learn(&charge.Key, charge.Bucket)
		if charge.Class != nil {
			c.learn(&charge.ClassKey, charge.Class.Guarantee)
		}
	}
}

func (c *batchCall) learn(key *string, b buckets.Bucket) {
	if _, there := c.places[*key]; !there {
		c.places[*key] = len(c.of)
		c.of = append(c.of, bucketOf{key: key, bucket: b})
	}
}

// pack makes the arguments of what is to be sent.
func (c *batchCall) pack(s *Store) {
	if c.stale == 0 {
		c.guess = s.clock.now()
	}
	instant := ""
	if s.now != nil {
		instant = strconv.FormatInt(s.now(), 10)
	}
	c.args = append(c.args[:0], nil, nil, 0)
	switch one := c.alone(); {
	case one != nil && c.kinds == 1<<tokens:
		c.script = &takeTokens
		c.packAlone(one, instant)
	case one != nil && c.kinds == 1<<fixed:
		c.script = &takeFixed
		c.packAlone(one, instant)
	case c.plain:
		c.script = &takeMany
		c.packTokens(instant)
	default:
		c.script = &judges[c.kinds]
		c.packCharges(instant)
	}
}

// make makes the command that is to be sent, with the whole text of the script if it
// must be.
func (c *batchCall) make(ctx context.Context, whole bool) {
	c.args[0], c.args[1] = "evalsha", &c.script.digest
	if whole || c.unknown {
		c.args[0], c.args[1] = "eval", &c.script.source
	}
	if c.inText() {
		c.text = onceText{goredis.NewStringCmd(ctx, c.args...)}
		c.command = c.text
	} else {
		c.ints = onceCmd{goredis.NewIntSliceCmd(ctx, c.args...)}
		c.command = c.ints
	}
}

// inText tells that the script answers a text, else numbers.
func (c *batchCall) inText() bool { return c.script == &takeMany }

// alone is the charge of a call that has one, which takes.
func (c *batchCall) alone() *buckets.Charge {
	if c.charges != 1 {
		return nil
	}
	for _, r := range c.requests {
		if len(r.charges) == 1 && r.charges[0].Mode == buckets.Take && r.charges[0].Class == nil {
			return &r.charges[0]
		}
	}
	return nil
}

func (c *batchCall) packAlone(one *buckets.Charge, instant string) {
	c.args[2] = 1
	c.args = append(c.args, &one.Key, instant, packCharge(one, c.guess))
}

// packCharges adds what judge.lua reads.
func (c *batchCall) packCharges(instant string) {
	counts := make([]byte, len(c.requests))
	for i, r := range c.requests {
		counts[i] = byte(len(r.charges))
		for j := range r.charges {
			charge := &r.charges[j]
			c.args = append(c.args, &charge.Key)
			if charge.Class != nil {
				c.args = append(c.args, &charge.ClassKey)
			}
		}
	}
	c.args[2] = len(c.args) - firstKey
	c.args = append(c.args, instant, counts)
	for _, r := range c.requests {
		for i := range r.charges {
			c.args = append(c.args, packCharge(&r.charges[i], c.guess))
		}
	}
}

// packTokens adds what tokens.lua reads.
func (c *batchCall) packTokens(instant string) {
	c.terms = c.terms[:0]
	for i := range c.of {
		c.of[i].terms = c.term(c.of[i].bucket.(buckets.TokenBucket))
		c.args = append(c.args, c.of[i].key)
	}
	c.packed = appendNumber(c.packed[:0], int64(len(c.terms)))
	for i := range c.terms {
		b := &c.terms[i]
		for _, n := range [termNumbers]int64{b.Full(), b.Deepest(), b.Missing, b.TicksPerToken, b.TicksPerQuantum, b.Quantum} {
			c.packed = appendNumber(c.packed, n)
		}
	}
	for i := range c.of {
		c.packed = appendNumber(c.packed, int64(2+termNumbers*c.of[i].terms))
	}
	for _, r := range c.requests {
		c.packed = appendNumber(c.packed, int64(len(r.charges)))
		for i := range r.charges {
			c.packed = appendNumber(c.packed, int64(c.places[r.charges[i].Key]+1))
			c.packed = appendNumber(c.packed, r.charges[i].Ticks())
		}
	}
	c.args[2] = len(c.of)
	c.args = append(c.args, instant, c.packed)
}

const (
	termNumbers = 6 // that tokens.lua reads of a bucket
	firstKey    = 3 // among a command's arguments
)

// term is the place of a bucket among the different ones of the call. They are few.
func (c *batchCall) term(b buckets.TokenBucket) int {
	for i := range c.terms {
		if c.terms[i] == b {
			return i
		}
	}
	c.terms = append(c.terms, b)
	return len(c.terms) - 1
}

// land answers the requests of a call whose answer has come, or tells the calls that
// are to be made because this one was not.
func (c *batchCall) land(ctx context.Context, s *Store, f *flight) (again []*batchCall) {
	err := c.command.Err()
	switch {
	case digestRefused(err) && !c.unknown:
		c.unknown = true
		return []*batchCall{c}
	case err != nil && ofOneBucket(err) && len(c.requests) > 1:
		for _, r := range c.requests {
			alone := f.next(c.slot, c.plain)
			alone.add(r)
			again = append(again, alone)
		}
		return again
	case err != nil:
		c.answer(nil, c.takeError(ctx, err))
		return nil
	}
	outcomes, stale, err := c.read(s)
	c.unknown = false
	if c.stale++; stale && c.stale < mostAttempts {
		return []*batchCall{c}
	}
	if stale {
		err = fmt.Errorf("take from Redis: the server's clock left the window that it named %d times: check that it does not jump", mostAttempts)
	}
	c.answer(outcomes, err)
	return nil
}

// ofOneBucket tells that an error before which nothing was written need not be that of
// all requests in a call: the script met a bucket that it cannot read, or some keys are
// on their way to another node of a Cluster and others not yet.
func ofOneBucket(err error) bool {
	return goredis.HasErrorPrefix(err, "WEIRFORMAT") || goredis.HasErrorPrefix(err, "WRONGTYPE") || goredis.IsTryAgainError(err)
}

func (c *batchCall) takeError(ctx context.Context, err error) error {
	var number int // of the key; Redis 7 adds the script and its line
	if _, scanned := fmt.Sscanf(err.Error(), "WEIRFORMAT %d", &number); scanned == nil && number >= 1 && number <= c.args[2].(int) {
		return fmt.Errorf("take from Redis: %w: upgrade weir or delete the key %q", ErrFormat, *c.args[firstKey+number-1].(*string))
	}
	return fmt.Errorf("take from Redis: %w", withDeadline(ctx, err))
}

// answer tells everybody in a call his outcomes.
func (c *batchCall) answer(outcomes []buckets.Outcome, err error) {
	for _, r := range c.requests {
		if err != nil {
			answer(r, nil, err)
			continue
		}
		own := outcomes[:len(r.charges):len(r.charges)]
		outcomes = outcomes[len(r.charges):]
		answer(r, own, nil)
	}
}
