package dashboard

import (
	"context"
	"math"
	"net/http"

	"github.com/weir-rls/weir/capacity"
	"github.com/weir-rls/weir/traffic"
)

var poolsPage = page{
	name: "pools", path: home + "/pools", title: "Pools", menu: "Pools", icon: "layers",
	shows: "who uses which share of each pool: guaranteed, borrowed, free",
	data:  (*dashboard).pools,
}

// pools is what the page of that name shows.
type poolsView struct {
	Pools []pool
	Fault string // of the store, which did not tell
}

// pool is one pool with its classes.
type pool struct {
	capacity.PoolState
	Link     string
	Split    bool
	Rate     float64 // tokens a second, of a pool of tokens
	Level    int64   // tokens or slots that are used of Size, of one that is not split
	Classes  []class
	Segments []segment
	Whole    float64 // what the segments are parts of: tokens a second, or slots
	Free     float64
	Borrowed float64 // in all
}

// class is one class of a pool.
type class struct {
	Share
	Link       string
	Colour     int     // of its segments, from 1
	Guarantees float64 // tokens a second, or slots
	Uses       float64 // likewise
	Borrowed   float64 // of that
	Minute     traffic.Counts
}

// segment is a part of a pool's bar, in thousandths of it.
type segment struct {
	Kind   string // guaranteed, borrowed or free
	Colour int    // of the class
	X, W   float64
	Text   string
}

// colours is how many classes have colours of their own.
const colours = 6

func (d *dashboard) pools(r *http.Request) (any, error) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*lookFor)
	defer cancel()
	states, err := d.Capacity.State(ctx)
	if err != nil {
		return poolsView{Fault: err.Error()}, nil
	}
	shares, err := d.Shares(ctx)
	v := poolsView{}
	if err != nil {
		v.Fault = err.Error()
	}
	met := map[[2]string]traffic.Limit{}
	for _, l := range d.Traffic.Overview("").Limits {
		met[[2]string{l.Domain, l.Limit}] = l
	}
	for _, state := range states {
		p := pool{PoolState: state, Link: limitLink(state.Domain, state.Name)}
		for _, s := range shares {
			if s.Domain == state.Domain && s.Pool == state.Name {
				p.add(s, met[[2]string{s.Domain, s.Class}].Minute)
			}
		}
		p.draw()
		v.Pools = append(v.Pools, p)
	}
	return v, nil
}

// add adds a class. Of a pool of tokens it is told how fast they are used, in the last
// minute on this replica; of one of slots how many are held now, in the whole fleet.
func (p *pool) add(s Share, minute traffic.Counts) {
	p.Split, p.Rate, p.Level = s.Split, s.Rate, s.Used
	c := class{Share: s, Link: limitLink(s.Domain, s.Class), Colour: len(p.Classes)%colours + 1, Minute: minute}
	if s.Slots {
		c.Guarantees, c.Uses = float64(s.Guaranteed), float64(s.GuaranteedUsed)
	} else {
		c.Guarantees, c.Uses = s.GuaranteedRate, math.Max(0, float64(minute.Tokens))/60
		c.Borrowed = math.Max(0, c.Uses-c.Guarantees)
	}
	p.Classes = append(p.Classes, c)
}

// draw makes the pool's bar: what each class uses of its own, then what it borrows,
// then what is free.
func (p *pool) draw() {
	p.Whole = p.Rate
	if p.Slots {
		p.Whole = float64(p.Size)
	}
	if p.Whole <= 0 || p.Split {
		return
	}
	at := 0.0
	part := func(kind string, colour int, size float64, text string) {
		width := math.Min(size/p.Whole*1000, 1000-at)
		if width > 0 {
			p.Segments = append(p.Segments, segment{kind, colour, at, width, text})
			at += width
		}
	}
	used := 0.0
	for _, c := range p.Classes {
		part("guaranteed", c.Colour, c.Uses-c.Borrowed, c.Class+", of its own: "+rate(c.Uses-c.Borrowed)+" "+p.unit())
		part("borrowed", c.Colour, c.Borrowed, c.Class+", borrowed: "+rate(c.Borrowed)+" "+p.unit())
		used += c.Uses
		p.Borrowed += c.Borrowed
	}
	if p.Slots { // which class has borrowed is not told
		p.Borrowed = math.Max(0, float64(p.Level)-used)
		part("borrowed", 0, p.Borrowed, "borrowed: "+rate(p.Borrowed)+" "+p.unit())
		used += p.Borrowed
	}
	p.Free = math.Max(0, p.Whole-used)
	part("free", 0, p.Free, "free: "+rate(p.Free)+" "+p.unit())
}

func (p *pool) unit() string {
	if p.Slots {
		return "slots"
	}
	return "tokens/s"
}

// Unit is what the numbers of the pool count.
func (p pool) Unit() string { return p.unit() }
