package descriptors

import (
	"math/bits"
	"slices"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// plan is what a pool of any size is computed from.
type plan struct {
	stated  Pool
	bucket  buckets.Bucket // of the stated size
	terms   buckets.Terms  // of a pool of tokens
	classes []buckets.ClassTerms
	weights []int64 // the heaviest of each class
	alone   bool    // the one class has the whole pool
	depth   int64   // tokens that stay used, whatever the size: those of the largest, and its debt
}

// sized is a pool of another size than is stated.
type sized struct {
	asked   int64
	bucket  buckets.Bucket
	classes []buckets.Class // none of a pool whose one class has all
}

// class is what class i has of the pool, nil where it has all.
func (s *sized) class(i int) *buckets.Class {
	if len(s.classes) == 0 {
		return nil
	}
	return &s.classes[i]
}

// planOf plans a pool whose classes are sound.
func planOf(p *pooling, domain string) *plan {
	s := p.spec
	l := &plan{bucket: s.limit.Bucket, terms: s.terms, alone: p.undivided(), stated: Pool{
		PoolID: PoolID{domain, s.name}, Size: s.limit.Bucket.Size(), Slots: s.ofSlots(), Instances: s.instances, Feedback: s.feedback,
	}}
	for _, k := range p.classes {
		l.classes, l.weights = append(l.classes, k.terms), append(l.weights, k.stated.heaviest.tokens)
	}
	l.depth = max(l.terms.MaxDebt, l.terms.Kept) + l.stated.Size
	if s.instances != nil {
		l.depth = max(l.depth, l.terms.MaxDebt+s.instances.Max)
	}
	l.stated.Least = l.least()
	return l
}

// at is the pool of a size, whose rates are num/den of what is stated.
func (l *plan) at(size, num, den int64) (*sized, bool) {
	classes := l.parts(size)
	if slots, ok := l.bucket.(buckets.Slots); ok {
		slots.Count = size
		s := &sized{bucket: slots}
		if !l.alone {
			s.classes = buckets.NewSlotPool(slots, classes)
		}
		return s, true
	}
	t := l.terms
	t.Capacity, t.Kept = size, max(0, l.depth-size)
	ok := scaleRate(&t.Tokens, &t.Period, num, den)
	if l.alone {
		bucket, err := t.TokenBucket()
		return &sized{bucket: bucket}, ok && err == nil
	}
	for i := range classes {
		ok = ok && scaleRate(&classes[i].Guarantee, &classes[i].Period, num, den)
	}
	bucket, made, err := buckets.NewPool(t, classes)
	return &sized{bucket: bucket, classes: made}, ok && err == nil
}

// parts are the classes' parts of a pool of a size. Above the stated one they are
// in proportion. Below, they shrink evenly to what they are at the smallest: a
// reserve to the class's heaviest weight, a headroom to nothing. Proportion alone
// would leave a class less than it needs, and where each is raised to its need,
// they would be more together than the pool.
func (l *plan) parts(size int64) []buckets.ClassTerms {
	classes := slices.Clone(l.classes)
	least, most := l.stated.Least, l.stated.Size
	for i := range classes {
		c := &classes[i]
		if size >= most {
			c.Headroom, c.Reserve = inProportion(c.Headroom, size, most), inProportion(c.Reserve, size, most)
			continue
		}
		lowest := min(c.Reserve, max(1, l.weights[i]))
		c.Headroom = inProportion(c.Headroom, size-least, most-least)
		c.Reserve = lowest + inProportion(c.Reserve-lowest, size-least, most-least)
	}
	return classes
}

// least is the smallest size that is sound: it holds the heaviest requests of all
// classes that have a reserve, and beside them the heaviest of those that only
// borrow.
func (l *plan) least() int64 {
	reserved, borrowed := int64(0), int64(0)
	for i, c := range l.classes {
		if c.Reserve > 0 && !l.alone {
			reserved += max(1, l.weights[i])
		} else {
			borrowed = max(borrowed, l.weights[i])
		}
	}
	return max(1, reserved+borrowed)
}

// fit is the pool of a size, at least the smallest that is sound. Where numbers
// are not exact in proportion the rates are, by less and less exact factors, a
// little slower: a millionth at first.
func (l *plan) fit(asked int64) *sized {
	for size := max(asked, l.stated.Least); size >= l.stated.Least; size /= 2 {
		if s, ok := l.at(size, size, l.stated.Size); ok {
			s.asked = asked
			return s
		}
		for digits := int64(1_000_000); digits > 0; digits /= 10 {
			num, den := rounded(size, l.stated.Size, digits)
			if s, ok := l.at(size, num, den); ok {
				s.asked = asked
				return s
			}
		}
	}
	return nil
}

// rounded is a decimal fraction of at most size/of that has as many digits as
// least has, or more.
func rounded(size, of, least int64) (num, den int64) {
	const mostDen = 1_000_000_000_000
	for den = 1; den < mostDen && inProportion(den, size, of) < least; {
		den *= 10
	}
	return inProportion(den, size, of), den
}

// scaleRate makes tokens in each period num/den as many, in lowest terms, and
// tells whether the numbers can be counted.
func scaleRate(tokens *int64, period *time.Duration, num, den int64) bool {
	if *tokens == 0 {
		return true
	}
	a := divisor(num, den)
	num, den = num/a, den/a
	b := divisor(*tokens, den)
	*tokens, den = *tokens/b, den/b
	high, low := bits.Mul64(uint64(*tokens), uint64(num))
	long, nanoseconds := bits.Mul64(uint64(*period), uint64(den))
	if num == 0 || high > 0 || low > buckets.MaxTicks || long > 0 || nanoseconds > 1<<62 {
		return false
	}
	*tokens, *period = int64(low), time.Duration(nanoseconds)
	return true
}

// inProportion is floor(n*size/of), at most [buckets.MaxTicks].
func inProportion(n, size, of int64) int64 {
	high, low := bits.Mul64(uint64(n), uint64(size))
	if high >= uint64(of) {
		return buckets.MaxTicks
	}
	quotient, _ := bits.Div64(high, low, uint64(of))
	return int64(min(quotient, buckets.MaxTicks))
}

// divisor is the greatest that two numbers have in common.
func divisor(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
