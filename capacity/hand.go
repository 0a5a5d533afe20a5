package capacity

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"strings"
	"time"

	"github.com/weir-rls/weir/descriptors"
)

const maxByHand = 365 * 24 * time.Hour

// ByHand is a capacity that an operator sets for a time: a total, or so much for
// each of so many instances. It wins over all that is counted.
type ByHand struct {
	Total       int64 `json:"total,omitempty"`
	PerInstance int64 `json:"per_instance,omitempty"`
	Instances   int64 `json:"instances,omitempty"`

	TTL    time.Duration `json:"-"` // 0: until it is taken back
	Author string        `json:"-"`
	Reason string        `json:"-"`

	Expires time.Time `json:"expires,omitzero"` // answered, not asked for
}

// size is the total, however it is stated; 0 for none that could be.
func (h *ByHand) size() int64 {
	if h.Total > 0 {
		return h.Total
	}
	if h.PerInstance > 0 && h.Instances > math.MaxUint32/h.PerInstance {
		return math.MaxInt64
	}
	return h.PerInstance * h.Instances
}

func (h *ByHand) over(now time.Time) bool { return !h.Expires.IsZero() && !now.Before(h.Expires) }

// check refuses what cannot be, or what the pool's rule rules out.
func (h *ByHand) check(p descriptors.Pool) error {
	field, most, least := "total", int64(math.MaxUint32), p.Least
	if h.Total == 0 && (h.PerInstance != 0 || h.Instances != 0) {
		field = "per_instance"
	}
	if p.Instances != nil {
		least, most = p.Instances.Min, p.Instances.Max
	}
	fault := func(field, message, remedy string) error {
		return descriptors.ChangeFault{Field: field, Message: message, Remedy: remedy}
	}
	switch size := h.size(); {
	case h.Total != 0 && (h.PerInstance != 0 || h.Instances != 0):
		return fault("total", "stands beside per_instance or instances", "state the total, or the two others")
	case h.Total < 0 || h.PerInstance < 0 || h.Instances < 0 || size == 0 && field == "total":
		return fault(field, "is no capacity", "state a total, or per_instance and instances, of 1 or more")
	case size == 0:
		return fault(field, "needs instances beside it, and they it", "state both, or a total")
	case size < least || size > most:
		return fault(field, fmt.Sprintf("makes a capacity of %d, which is not from %d to %d", size, least, most), "change min or max of the pool's instances, or ask for less")
	case h.TTL != 0 && (h.TTL < minTTL || h.TTL > maxByHand):
		return fault("ttl", fmt.Sprintf("%v is not between %v and %v", h.TTL, minTTL, maxByHand), "leave it out for a capacity that holds until it is taken back")
	case len(h.Author) > mostName || len(h.Reason) > 5*mostName:
		return fault("reason", "or author is too long", fmt.Sprintf("state up to %d bytes of author and %d of reason", mostName, 5*mostName))
	}
	return nil
}

// Names of records.
const (
	handPrefix   = "pool/capacity/"
	freezePrefix = "pool/feedback/"
	sizePrefix   = "size/"
)

// nameOf names a pool in a record or key.
func nameOf(id descriptors.PoolID) string {
	return url.PathEscape(id.Domain) + "/" + url.PathEscape(id.Name)
}

// idOf reads the name of a published size.
func idOf(name string) (id descriptors.PoolID, ok bool) {
	rest, ours := strings.CutPrefix(name, sizePrefix)
	domain, pool, two := strings.Cut(rest, "/")
	var errDomain, errPool error
	id.Domain, errDomain = url.PathUnescape(domain)
	id.Name, errPool = url.PathUnescape(pool)
	return id, ours && two && errDomain == nil && errPool == nil
}

// SetByHand sets a pool's capacity, and answers it with the end of its time. A
// capacity that cannot be is a [descriptors.ChangeFault].
func (c *Controller) SetByHand(ctx context.Context, id descriptors.PoolID, h ByHand) (ByHand, error) {
	pool, err := c.find(id)
	if err == nil {
		err = h.check(pool)
	}
	if err != nil {
		return h, err
	}
	h.Expires = time.Time{}
	if h.TTL > 0 {
		h.Expires = time.Now().UTC().Add(h.TTL).Truncate(time.Millisecond)
	}
	return h, c.write(ctx, handPrefix+nameOf(id), h, note{Action: "capacity_set", PoolID: id, Capacity: &h, Author: h.Author, Reason: h.Reason})
}

// TakeBack takes back what [Controller.SetByHand] has set.
func (c *Controller) TakeBack(ctx context.Context, id descriptors.PoolID, author, reason string) error {
	if _, err := c.find(id); err != nil {
		return err
	}
	return c.write(ctx, handPrefix+nameOf(id), nil, note{Action: "capacity_taken_back", PoolID: id, Author: author, Reason: reason})
}

// frozen is what an operator says of a pool's feedback.
type frozen struct {
	Freeze bool `json:"freeze"`
}

// Freeze stops a pool's feedback where it is, or lets it go on, whatever its rule
// says.
func (c *Controller) Freeze(ctx context.Context, id descriptors.PoolID, freeze bool, author, reason string) error {
	pool, err := c.find(id)
	if err != nil {
		return err
	}
	if pool.Feedback == nil {
		return descriptors.ChangeFault{Field: "pool", Message: "the pool's size does not follow failures", Remedy: "write feedback: {} in its rule"}
	}
	action := "feedback_unfrozen"
	if freeze {
		action = "feedback_frozen"
	}
	return c.write(ctx, freezePrefix+nameOf(id), frozen{freeze}, note{Action: action, PoolID: id, Author: author, Reason: reason})
}

// note is what the journal says of it.
type note struct {
	Time   time.Time `json:"time"`
	Action string    `json:"action"`
	descriptors.PoolID
	Capacity *ByHand `json:"capacity,omitempty"`
	Author   string  `json:"author,omitempty"`
	Reason   string  `json:"reason,omitempty"`
}

// write sets a record of what is set by hand, or removes it.
func (c *Controller) write(ctx context.Context, name string, value any, n note) error {
	n.Time = time.Now().UTC().Truncate(time.Millisecond)
	text, err := json.Marshal(n)
	if err != nil {
		return err
	}
	set, remove := map[string][]byte{}, []string{name}
	if value != nil {
		raw, err := json.Marshal(value)
		if err != nil {
			return err
		}
		set[name], remove = raw, nil
	}
	for {
		version, all, err := c.o.Live.Read(ctx)
		if err != nil {
			return fmt.Errorf("read what is set by hand: %w", err)
		}
		if _, there := all[name]; !there && value == nil {
			return descriptors.ChangeFault{Field: "pool", Message: "nothing is set by hand", Unknown: true}
		}
		_, written, err := c.o.Live.Write(ctx, version, set, remove, text)
		if err != nil {
			return fmt.Errorf("write what is set by hand, which may or may not hold now: %w", err)
		}
		if written {
			return nil
		}
	}
}

// hand is what is set by hand of a pool and still holds: nil, nil for nothing.
func hand(all map[string][]byte, id descriptors.PoolID, now time.Time) (*ByHand, *frozen) {
	var h *ByHand
	var f *frozen
	if raw, set := all[handPrefix+nameOf(id)]; set {
		if h = new(ByHand); json.Unmarshal(raw, h) != nil || h.size() <= 0 || h.over(now) {
			h = nil
		}
	}
	if raw, set := all[freezePrefix+nameOf(id)]; set {
		if f = new(frozen); json.Unmarshal(raw, f) != nil {
			f = nil
		}
	}
	return h, f
}
