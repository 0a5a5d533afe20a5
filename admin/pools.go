package admin

import (
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/weir-rls/weir/capacity"
	"github.com/weir-rls/weir/descriptors"
)

// pools are the paths by which the sizes of pools follow what they stand for.
func (a API) pools() []endpoint {
	domain := []string{"domain"}
	return []endpoint{
		{"/api/v1/pools", "sizes of pools, and what they follow", map[string]method{
			http.MethodGet: {who: Viewer, query: domain, serve: a.listPools},
		}},
		{"/api/v1/pools/{pool}/instances/{id}", "a backend that lives, and its units", map[string]method{
			http.MethodPut:    {who: Operator, query: domain, serve: a.putInstance},
			http.MethodDelete: {who: Operator, query: domain, serve: a.deleteInstance},
		}},
		{"/api/v1/pools/{pool}/capacity", "the size of a pool, set by hand", map[string]method{
			http.MethodPut:    {who: Operator, query: domain, serve: a.putCapacity},
			http.MethodDelete: {who: Operator, query: []string{"domain", "author", "reason"}, serve: a.deleteCapacity},
		}},
		{"/api/v1/pools/{pool}/feedback", "whether a pool's size follows failures", map[string]method{
			http.MethodPut: {who: Operator, query: domain, serve: a.putFeedback},
		}},
	}
}

func (a API) listPools(c *call) (reply, error) {
	domain, err := c.one("domain")
	if err != nil {
		return reply{}, err
	}
	all, err := a.Capacity.State(c.Context())
	shown := []capacity.PoolState{}
	for _, p := range all {
		if domain == "" || p.Domain == domain {
			shown = append(shown, p)
		}
	}
	return reply{body: map[string]any{"pools": shown}}, err
}

// pool is the pool of a path: of the domain that the query names, else of the only
// one that has it.
func (a API) pool(c *call) (id descriptors.PoolID, err error) {
	id.Name = c.PathValue("pool")
	if id.Domain, err = c.one("domain"); err != nil || id.Domain != "" {
		return id, err
	}
	rules := a.Rules.Rules()
	if rules == nil {
		return id, errNoRules
	}
	var domains []string
	for _, p := range rules.Pools() {
		if p.Name == id.Name {
			domains = append(domains, p.Domain)
		}
	}
	switch len(domains) {
	case 0:
		return id, &problem{Status: http.StatusNotFound, Field: "pool", Detail: "the rules have no pool of this name that anybody draws from", Remedy: "GET /api/v1/pools lists them"}
	case 1:
		id.Domain = domains[0]
		return id, nil
	}
	return id, bad("domain", "several domains have a pool of this name", "say which by ?domain=, one of "+shown(strings.Join(domains, ", ")))
}

func (a API) putInstance(c *call) (reply, error) {
	body, err := readBody(c.Request)
	if err != nil {
		return reply{}, err
	}
	units, ttl, err := readInstance(body)
	if err != nil {
		return reply{}, err
	}
	pool, err := a.pool(c)
	if err != nil {
		return reply{}, err
	}
	instance := c.PathValue("id")
	if err := a.Capacity.Beat(c.Context(), pool, instance, units, ttl); err != nil {
		return reply{}, err
	}
	return reply{body: map[string]any{"domain": pool.Domain, "pool": pool.Name, "instance": instance}}, nil
}

// readInstance reads what a backend says of itself: its units, 0 for those that
// the rules give each, and for how long it counts, 0 for the usual time.
func readInstance(body []byte) (units int64, ttl time.Duration, err error) {
	f := parse(body)
	if n := f.integer("units", 1, math.MaxUint32); n != nil {
		units = *n
	}
	ttl = f.duration("ttl")
	return units, ttl, f.end()
}

func (a API) deleteInstance(c *call) (reply, error) {
	pool, err := a.pool(c)
	if err != nil {
		return reply{}, err
	}
	instance := c.PathValue("id")
	return reply{body: map[string]any{"domain": pool.Domain, "pool": pool.Name, "left": instance}}, a.Capacity.Leave(c.Context(), pool, instance)
}

func (a API) putCapacity(c *call) (reply, error) {
	body, err := readBody(c.Request)
	if err != nil {
		return reply{}, err
	}
	hand, err := readCapacity(body)
	if err != nil {
		return reply{}, err
	}
	pool, err := a.pool(c)
	if err != nil {
		return reply{}, err
	}
	if hand.Author == "" {
		hand.Author = AuthorOf(c.Request)
	}
	hand, err = a.Capacity.SetByHand(c.Context(), pool, hand)
	return reply{body: map[string]any{"domain": pool.Domain, "pool": pool.Name, "capacity": hand}}, err
}

// readCapacity reads a pool's size: a total, or so much for each of so many
// instances.
func readCapacity(body []byte) (capacity.ByHand, error) {
	f := parse(body)
	var hand capacity.ByHand
	for name, into := range map[string]*int64{"total": &hand.Total, "per_instance": &hand.PerInstance, "instances": &hand.Instances} {
		if n := f.integer(name, 1, math.MaxUint32); n != nil {
			*into = *n
		}
	}
	hand.TTL, hand.Author, hand.Reason = f.duration("ttl"), f.text("author"), f.text("reason")
	return hand, f.end()
}

func (a API) deleteCapacity(c *call) (reply, error) {
	words, err := c.words()
	if err != nil {
		return reply{}, err
	}
	pool, err := a.pool(c)
	if err != nil {
		return reply{}, err
	}
	if words.Author == "" {
		words.Author = AuthorOf(c.Request)
	}
	err = a.Capacity.TakeBack(c.Context(), pool, words.Author, words.Reason)
	return reply{body: map[string]any{"domain": pool.Domain, "pool": pool.Name}}, err
}

func (a API) putFeedback(c *call) (reply, error) {
	body, err := readBody(c.Request)
	if err != nil {
		return reply{}, err
	}
	freeze, author, reason, err := readFeedback(body)
	if err != nil {
		return reply{}, err
	}
	pool, err := a.pool(c)
	if err != nil {
		return reply{}, err
	}
	if author == "" {
		author = AuthorOf(c.Request)
	}
	err = a.Capacity.Freeze(c.Context(), pool, freeze, author, reason)
	return reply{body: map[string]any{"domain": pool.Domain, "pool": pool.Name, "freeze": freeze}}, err
}

// readFeedback reads whether a pool's size is to stay as it is.
func readFeedback(body []byte) (freeze bool, author, reason string, err error) {
	f := parse(body)
	told := f.boolean("freeze")
	author, reason = f.text("author"), f.text("reason")
	if err := f.end(); err != nil {
		return false, "", "", err
	}
	if told == nil {
		return false, "", "", bad("freeze", "freeze is missing", `send {"freeze": true} or {"freeze": false}`)
	}
	return *told, author, reason, nil
}
