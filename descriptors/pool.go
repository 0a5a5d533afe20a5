package descriptors

import (
	"sync/atomic"

	"go.yaml.in/yaml/v4"

	"github.com/weir-rls/weir/buckets"
)

// poolSpec is a pool as a file states it.
type poolSpec struct {
	limit        Settings // what those who draw from it have; the bucket as if it were nobody's pool
	stated       terms    // unless it is of slots
	terms        buckets.Terms
	rate         rate
	rateAt       place // or where the slots are stated
	splitBy      []string
	defaultClass string
	name         string
	at           place // of the name, else of the pool
	sound        bool  // the bucket is known, and admits something

	instances               *Instances
	feedback                *Feedback
	instancesAt, feedbackAt place
}

// ofSlots tells that what is in flight is shared, and not what a rate refills.
func (s *poolSpec) ofSlots() bool {
	_, slots := s.limit.Bucket.(buckets.Slots)
	return slots
}

// pools reads the buckets that several descriptors draw from.
func (w *walker) pools(f field) []*poolSpec {
	items, _ := w.items(f)
	var specs []*poolSpec
	for _, n := range items {
		if s := w.pool(n); s != nil {
			specs = append(specs, s)
		}
	}
	return specs
}

func (w *walker) pool(n *yaml.Node) *poolSpec {
	fields, ok := w.fields(n, poolFields)
	if !ok {
		return nil
	}
	l := &limitSpec{meaning: &meaning{limit: w.defaults}, at: at(w.text, n)}
	w.common(fields, l)
	s := &poolSpec{limit: l.limit, name: l.name, at: l.at}
	if _, ok := fields["name"]; !ok {
		w.fail(n, "write what draws call it", "the pool has no name")
	}
	w.poolBucket(n, fields, s)
	w.follows(fields, s)
	w.waiting(fields, &s.limit)
	if f, ok := fields["split_by"]; ok {
		s.splitBy = w.splitBy(f)
	}
	if f, ok := fields["default_class"]; ok {
		s.defaultClass = w.name(f)
	}
	return s
}

// poolBucket reads what a pool holds, tokens or slots.
func (w *walker) poolBucket(n *yaml.Node, fields map[string]field, s *poolSpec) {
	r, rated := fields["rate"]
	slots, slotted := fields["slots"]
	switch {
	case rated && slotted:
		w.fail(slots.key, "remove one of the two", "the pool has both a rate and slots")
	case slotted:
		s.rateAt = at(w.text, slots.value)
		for _, name := range []string{"burst", "max_debt"} {
			if f, stated := fields[name]; stated {
				w.fail(f.key, "remove it", "%s means nothing for a pool of slots", name)
			}
		}
		s.sound = w.slots(n, fields, &s.limit)
	case rated:
		s.rateAt = at(w.text, r.value)
		if f, stated := fields["slot_ttl"]; stated {
			w.fail(f.key, "remove it", "slot_ttl means nothing for a pool of tokens")
		}
		var ok bool
		if s.rate, ok = w.rate(r); !ok {
			return
		}
		if s.rate.period > maxRefill {
			w.fail(r.value, "state the rate of a shorter period", "a pool refills in at most 4 weeks")
			return
		}
		s.limit.Requests, s.limit.Period = s.rate.tokens, s.rate.period
		alone := map[string]field{}
		for _, name := range []string{"burst", "max_debt"} { // who waits for a pool reserves nothing of it
			if f, stated := fields[name]; stated {
				alone[name] = f
			}
		}
		s.stated.rate = s.rate
		if !w.terms(alone, &s.stated) {
			return
		}
		var flaws []flaw
		s.terms, flaws = s.stated.tokenBucket(&s.limit)
		s.sound = w.flaws(r.value, alone, flaws) && s.rate.tokens > 0
	default:
		w.fail(n, "state one, as in rate: 10/s, or slots: 20", "the pool has neither a rate nor slots")
	}
}

// maxSplits bounds the entries that a pool is split by.
const maxSplits = 8

// splitBy reads the entries for each of whose values there is one pool.
func (w *walker) splitBy(f field) []string {
	items, _ := w.items(f)
	if len(items) > maxSplits {
		w.fail(f.value, "", "%d entries to split by, more than %d", len(items), maxSplits)
	}
	var keys []string
	for _, n := range items {
		key, ok := w.str(field{key: f.key, value: n})
		if ok && key == "" {
			w.fail(n, "name the key of an entry", "split_by has an empty key")
		}
		keys = append(keys, key)
	}
	return keys
}

// drawSpec is what a descriptor draws from a pool, as a file states it. Where it
// leaves a field out the place has no line.
type drawSpec struct {
	pool      string
	class     string
	at        place // of the pool's name, else of the draw
	heaviest  weighed
	guarantee rate
	reserve   int64
	headroom  int64
	borrow    bool

	classAt, guaranteeAt, reserveAt, headroomAt, borrowAt place
}

// draw reads what a descriptor draws from a pool.
func (w *walker) draw(f field) *limitSpec {
	fields, ok := w.fields(f.value, drawFields)
	if !ok {
		return nil
	}
	here := at(w.text, f.value)
	d := &drawSpec{at: here, heaviest: weighed{1, here}}
	s := &limitSpec{meaning: &meaning{algorithm: draw, limit: w.defaults}, at: at(w.text, f.key), draw: d}
	if p, ok := fields["pool"]; !ok {
		w.fail(f.value, "name one, as in pool: units", "the draw has no pool")
	} else {
		d.pool, d.at = w.name(p), at(w.text, p.value)
	}
	if c, ok := fields["class"]; ok {
		d.class, d.classAt = w.name(c), at(w.text, c.value)
		s.at = d.classAt
	}
	if f, ok := fields["weight"]; ok {
		s.limit.Weight, d.heaviest = w.weight(f, anything)
	}
	if f, ok := fields["enabled"]; ok {
		s.limit.Disabled = !w.enabled(f)
	}
	w.share(fields, d)
	return s
}

// share reads what the class of a draw has of the pool.
func (w *walker) share(fields map[string]field, d *drawSpec) {
	if f, ok := fields["guarantee"]; ok {
		r, ok := w.rate(f)
		if ok && r.period > maxRefill {
			w.fail(f.value, "state it of a shorter period", "a guarantee refills in at most 4 weeks")
		} else if ok {
			d.guarantee, d.guaranteeAt = r, at(w.text, f.value)
		}
	}
	if f, ok := fields["reserve"]; ok {
		if d.reserve, ok = w.integer(f, 0, buckets.MaxTicks); ok {
			d.reserveAt = at(w.text, f.value)
		}
	}
	if f, ok := fields["headroom"]; ok {
		if d.headroom, ok = w.integer(f, 0, buckets.MaxTicks); ok {
			d.headroomAt = at(w.text, f.value)
		}
	}
	if f, ok := fields["borrow"]; ok {
		if d.borrow, ok = w.boolean(f); ok {
			d.borrowAt = at(w.text, f.value)
		}
	}
}

// poolMark begins, behind a domain, what a pool's keys have and no descriptor's
// has: they go on with a comma or a slash.
const poolMark = '|'

// A pool's key is
//
//	{tag}domain|t4:name,=value,-
//
// with s instead of t for one of slots, then for each entry that it is split by
// = and the value, or - where the request has none. Its length is bounded as that
// of other keys. The key of a class's guarantee is the pool's, then / and the
// class's id.

// share is the part of a pool that one rule draws.
type share struct {
	pool   *pool
	suffix string // of the class's key
	class  int    // which of the pool's
}

// pool is what the buckets of a pool are named by.
type pool struct {
	limit   string // of charges: the pool is one limit, whoever draws
	head    string // behind the domain, with the mark
	splitBy []string

	plan  *plan                 // nil where nobody draws from it
	sized atomic.Pointer[sized] // nil: it has the size that is stated
}

func newPool(domain string, s *poolSpec) *pool {
	kind := byte('t')
	if s.ofSlots() {
		kind = 's'
	}
	head := string(appendItem([]byte{poolMark, kind}, s.name))
	return &pool{limit: domain + "\x00" + head, head: head, splitBy: s.splitBy}
}

// poolKey is the key of a pool's bucket for a request of which descriptor i
// draws.
func (d *domain) poolKey(p *pool, req *Request, i int) string {
	var space [maxKey]byte
	b := append(append(space[:0], d.head...), p.head...)
	d.tagEntity(b, p.head, "")
	for n, key := range p.splitBy {
		if value, found := req.value(i, key); found {
			start := len(b) + len(",=")
			b = d.hash.appendValue(append(b, ",="...), key, value)
			if d.hash.hides(key) { // nothing of what is hidden is told by a tag
				value = string(b[start+1:])
			}
			if n == 0 {
				d.tagEntity(b, key, value)
			}
		} else {
			b = append(b, ",-"...)
		}
	}
	if len(b)-d.tag > maxKey {
		body := string(b[d.tag:])
		b = appendHash(append(b[:d.tag], poolMark), body)
	}
	return string(b)
}
