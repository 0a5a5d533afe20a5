package admin

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/named"
)

// buckets are the paths of buckets that are made while weir runs, and of the
// levels of those that rules state.
func (a API) buckets() []endpoint {
	return []endpoint{
		{"/api/v1/buckets", "buckets made at run time; with ?domain= and ?entry=KEY=VALUE levels of those of rules", map[string]method{
			http.MethodGet:    {who: Viewer, query: []string{"domain", "entry"}, serve: a.listBuckets},
			http.MethodDelete: {who: Operator, query: []string{"domain", "entry", "limit"}, serve: a.resetLevels},
		}},
		{"/api/v1/buckets/{id...}", "one bucket made at run time", map[string]method{
			http.MethodGet:    {who: Viewer, serve: a.getBucket},
			http.MethodPut:    {who: Operator, serve: a.putBucket},
			http.MethodDelete: {who: Operator, query: []string{"version"}, serve: a.deleteBucket},
		}},
	}
}

func (a API) listBuckets(c *call) (reply, error) {
	if len(c.query) > 0 {
		return a.levels(c)
	}
	all, err := a.Buckets.List(c.Context())
	return reply{body: map[string]any{"buckets": all}}, err
}

func (a API) levels(c *call) (reply, error) {
	request, err := a.described(c)
	if err != nil {
		return reply{}, err
	}
	levels, err := a.Levels(c.Context(), request)
	return reply{body: map[string]any{"levels": levels}}, err
}

func (a API) resetLevels(c *call) (reply, error) {
	limit, err := c.one("limit")
	if err != nil {
		return reply{}, err
	}
	request, err := a.described(c)
	if err != nil {
		return reply{}, err
	}
	n, err := a.Reset(c.Context(), request, limit)
	if err == nil && n == 0 {
		err = &problem{Status: http.StatusNotFound, Field: "entry", Detail: "the entries meet no such bucket", Remedy: "GET shows what they meet"}
	}
	return reply{body: map[string]any{"reset": n}}, err
}

// described is a request of one descriptor that the query spells out.
func (a API) described(c *call) (descriptors.Request, error) {
	domain, err := c.one("domain")
	if err != nil {
		return descriptors.Request{}, err
	}
	var entries []descriptors.Entry
	for _, text := range c.query["entry"] {
		key, value, found := strings.Cut(text, "=")
		if !found || key == "" {
			return descriptors.Request{}, bad("entry", "an entry must be KEY=VALUE", "write it as in ?entry=user=alice&entry=model=gpt-4")
		}
		entries = append(entries, descriptors.Entry{Key: key, Value: value})
	}
	switch rules := a.Rules.Rules(); {
	case domain == "":
		return descriptors.Request{}, bad("domain", "the domain is missing", "name that of the rules, as in ?domain=llm")
	case len(entries) == 0:
		return descriptors.Request{}, bad("entry", "the entries are missing", "write them as in ?entry=user=alice&entry=model=gpt-4")
	case rules == nil:
		return descriptors.Request{}, errNoRules
	case !slices.Contains(rules.Domains(), domain):
		return descriptors.Request{}, noDomain(domain)
	}
	return descriptors.Request{Domain: domain, Descriptors: []descriptors.Descriptor{{Entries: entries}}}, nil
}

func noDomain(domain string) *problem {
	return &problem{
		Status: http.StatusNotFound, Field: "domain", Detail: "there are no rules of a domain " + strconv.Quote(shown(domain)), Remedy: "name the domain of a rule file",
	}
}

// bucketJSON is a bucket and where it stands.
type bucketJSON struct {
	named.Definition
	Remaining int64          `json:"remaining"` // tokens
	Reset     named.Duration `json:"reset"`     // until it is full, if nobody asks
}

func (a API) getBucket(c *call) (reply, error) {
	d, level, err := a.Buckets.Get(c.Context(), c.PathValue("id"))
	if err != nil {
		return reply{}, err
	}
	return reply{header: tagged(d.Version), body: bucketJSON{d, level.Remaining, named.Duration(level.Reset)}}, nil
}

func tagged(version int64) http.Header { return http.Header{"Etag": {etag(version)}} }

func (a API) putBucket(c *call) (reply, error) {
	body, err := readBody(c.Request)
	if err != nil {
		return reply{}, err
	}
	d, version, drip, err := readBucket(c.PathValue("id"), body)
	if err != nil {
		return reply{}, err
	}
	if err := c.expect(&version); err != nil {
		return reply{}, err
	}
	created := false
	if version != nil && *version > 0 {
		d.Version = *version
		d, err = a.Buckets.Update(c.Context(), d)
	} else {
		d, created, err = a.Buckets.Create(c.Context(), d)
		if err == nil && !created && version != nil {
			err = named.Conflict{Current: d.Version}
		}
	}
	if err != nil {
		return reply{}, inTermsOf(drip, err)
	}
	return reply{header: tagged(d.Version), body: struct {
		named.Definition
		Created bool `json:"created"`
	}{d, created}}, nil
}

// mostTokens is the largest number of tokens that a bucket is stated with.
const mostTokens = math.MaxInt64 / 2

// readBucket reads what a bucket is to be: by rate and burst, or, as drip tells, by
// max_tokens and refill_period_ms as clients of the rlimit server know them. The
// version is nil if the caller has seen none.
func readBucket(id string, body []byte) (d named.Definition, version *int64, drip bool, err error) {
	f := parse(body)
	rate, burst := f.text("rate"), f.integer("burst", 1, mostTokens)
	most, period := f.integer("max_tokens", 1, mostTokens), f.integer("refill_period_ms", 1, (365*24*time.Hour).Milliseconds())
	initial := f.initial()
	wait, waiters := f.duration("max_wait"), f.integer("max_waiters", 1, math.MaxInt32)
	version = f.integer("version", 0, math.MaxInt64)
	if err := f.end(); err != nil {
		return d, nil, false, err
	}
	switch {
	case most == nil && period == nil && f.of["rate"] == nil:
		return d, nil, false, bad("rate", "the rate is missing", "write it as in 10/s, or max_tokens and refill_period_ms")
	case most == nil && period == nil:
		d = named.Definition{ID: id, Rate: rate}
		if burst != nil {
			d.Burst = *burst
		}
	case f.of["rate"] != nil || burst != nil:
		return d, nil, false, bad("max_tokens", "max_tokens and refill_period_ms say what rate and burst do", "send one pair")
	case most == nil:
		return d, nil, false, bad("max_tokens", "max_tokens is missing", "send it beside refill_period_ms")
	case period == nil:
		return d, nil, false, bad("refill_period_ms", "refill_period_ms is missing", "send it beside max_tokens")
	default:
		d, drip = named.Drip(id, *most, *period), true
	}
	if initial != "" {
		d.Initial = initial
	}
	if wait > 0 {
		d.MaxWait = named.Duration(wait)
	}
	if waiters != nil {
		d.MaxWaiters = int(*waiters)
	}
	return d, version, drip, nil
}

// initial reads what a bucket has that was never seen: a word or a number.
func (f *fields) initial() string {
	if raw := f.of["initial"]; raw != nil && kindOf(raw) == "a number" {
		if n := f.integer("initial", 0, mostTokens); n != nil {
			return strconv.FormatInt(*n, 10)
		}
		return ""
	}
	return f.text("initial")
}

// inTermsOf names the fields that the caller sent in a fault of what they mean.
func inTermsOf(drip bool, err error) error {
	var fault descriptors.ChangeFault
	if drip && errors.As(err, &fault) {
		switch fault.Field {
		case "rate":
			fault.Field = "refill_period_ms"
		case "burst":
			fault.Field = "max_tokens"
		}
		return fault
	}
	return err
}

func (a API) deleteBucket(c *call) (reply, error) {
	words, err := c.words()
	if err == nil {
		err = c.expect(&words.Expect)
	}
	if err != nil {
		return reply{}, err
	}
	version := int64(0)
	if words.Expect != nil {
		if version = *words.Expect; version == 0 {
			return reply{}, bad("version", "version must be above 0", "send the version that you have seen")
		}
	}
	id := c.PathValue("id")
	return reply{body: map[string]any{"deleted": id}}, a.Buckets.Delete(c.Context(), id, version)
}

// takeJSON is what a caller is told who asked a bucket for tokens.
type takeJSON struct {
	Bucket     string          `json:"bucket"`
	Allowed    bool            `json:"allowed"`
	Never      bool            `json:"never,omitempty"` // more tokens than the bucket can hold
	Remaining  int64           `json:"remaining"`
	RetryAfter *named.Duration `json:"retry_after,omitempty"`
	Waited     named.Duration  `json:"waited"`
	Alone      bool            `json:"alone,omitempty"` // judged without the store
}

// readTake reads of which bucket how many tokens are asked for, one if the body
// does not say.
func readTake(body []byte) (id string, tokens int64, err error) {
	f := parse(body)
	id, tokens = f.text("bucket"), 1
	if n := f.integer("tokens", 1, mostTokens); n != nil {
		tokens = *n
	}
	if f.fault == nil && id == "" {
		f.fail(bad("bucket", "the bucket is missing", `send its id, as in {"bucket": "partner"}, or a RateLimitRequest with domain and descriptors`))
	}
	return id, tokens, f.end()
}

// take asks a bucket for tokens.
func (a API) take(c *call, body []byte, wait time.Duration) (reply, error) {
	id, tokens, err := readTake(body)
	if err != nil {
		return reply{}, err
	}
	answer, err := a.Buckets.Take(c.Context(), id, tokens, wait)
	if err != nil {
		return reply{}, err
	}
	told := takeJSON{Bucket: id, Allowed: answer.Admitted, Never: answer.Never, Remaining: answer.Remaining, Waited: named.Duration(answer.Waited), Alone: answer.Alone}
	if answer.Admitted {
		return reply{body: told}, nil
	}
	header := http.Header{}
	if !answer.Never {
		told.RetryAfter = new(named.Duration(answer.Delay))
		header.Set("Retry-After", fmt.Sprint(int64((answer.Delay+time.Second-1)/time.Second)))
	}
	return reply{status: http.StatusTooManyRequests, header: header, body: told}, nil
}
