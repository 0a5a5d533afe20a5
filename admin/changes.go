package admin

import (
	"math"
	"strconv"
	"strings"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/overrides"
)

func (a API) putLimit(c *call) (reply, error) {
	body, err := readBody(c.Request)
	if err != nil {
		return reply{}, err
	}
	change, words, err := readChange(body)
	if err != nil {
		return reply{}, err
	}
	change.Limit = c.PathValue("limit")
	if change.Domain, err = a.domainOf(c, change.Limit); err != nil {
		return reply{}, err
	}
	return a.set(c, change, words)
}

func (a API) putDomain(c *call) (reply, error) {
	body, err := readBody(c.Request)
	if err != nil {
		return reply{}, err
	}
	change, words, err := readSwitch(body)
	if err != nil {
		return reply{}, err
	}
	change.Domain = c.PathValue("domain")
	return a.set(c, change, words)
}

// setJSON is what a change answers.
type setJSON struct {
	Change  overrides.Entry  `json:"change"`
	Before  *overrides.Entry `json:"before,omitempty"`
	DryRun  bool             `json:"dry_run,omitempty"`
	Message string           `json:"message"`
}

func (a API) set(c *call, change descriptors.Change, words overrides.Words) (reply, error) {
	if err := c.addTo(&words); err != nil {
		return reply{}, err
	}
	after, before, err := a.Book.Set(c.Context(), change, words)
	if err != nil {
		return reply{}, err
	}
	return answerSet(setJSON{after, before, words.DryRun, "set"})
}

func answerSet(s setJSON) (reply, error) {
	if s.DryRun {
		s.Message = "nothing was changed: a dry run"
		return reply{body: s}, nil
	}
	return reply{body: s, header: tagged(s.Change.Version)}, nil
}

func etag(version int64) string { return strconv.Quote(strconv.FormatInt(version, 10)) }

// addTo reads what goes with a change beside its body: whether it is only tried,
// and which version the caller has seen.
func (c *call) addTo(words *overrides.Words) error {
	dry, err := c.one("dry_run")
	if err != nil {
		return err
	}
	switch dry {
	case "", "false":
	case "true":
		words.DryRun = true
	default:
		return bad("dry_run", "dry_run must be true or false", "")
	}
	if words.Author == "" {
		words.Author = AuthorOf(c.Request)
	}
	return c.expect(&words.Expect)
}

// expect reads the version that a caller has seen from the headers for it.
func (c *call) expect(version **int64) error {
	match, none := c.Header.Values("If-Match"), c.Header.Values("If-None-Match")
	var seen int64
	field := "If-None-Match"
	switch {
	case len(match)+len(none) == 0:
		return nil
	case len(match)+len(none) > 1:
		return bad("If-Match", "there is more than one condition", "send one")
	case len(none) == 1 && none[0] != "*":
		return bad(field, "only If-None-Match: * is known", "send If-Match with the version that you have seen")
	case len(match) == 1:
		field = "If-Match"
		n, err := strconv.ParseInt(strings.Trim(match[0], `"`), 10, 64)
		if err != nil || n <= 0 || match[0] != etag(n) {
			return bad(field, "If-Match must be one version in quotes", `send it as the answer has it, as in If-Match: "7"`)
		}
		seen = n
	}
	if *version != nil && **version != seen {
		return bad(field, field+" and version differ", "send one of them")
	}
	*version = &seen
	return nil
}

func (a API) deleteLimit(c *call) (reply, error) {
	name := c.PathValue("limit")
	domain, err := a.domainOf(c, name)
	if err != nil {
		return reply{}, err
	}
	only := map[string]string{}
	for _, pair := range c.query["for"] {
		key, value, found := strings.Cut(pair, "=")
		if _, twice := only[key]; twice || !found {
			return reply{}, bad("for", "for must be KEY=VALUE, each key once", "write it as in ?for=user=alice")
		}
		only[key] = value
	}
	return a.undo(c, overrides.Key(domain, name, only))
}

func (a API) deleteDomain(c *call) (reply, error) {
	return a.undo(c, overrides.Key(c.PathValue("domain"), "", nil))
}

func (a API) undo(c *call, key string) (reply, error) {
	words, err := c.words()
	if err != nil {
		return reply{}, err
	}
	if err := c.addTo(&words); err != nil {
		return reply{}, err
	}
	before, err := a.Book.Undo(c.Context(), key, words)
	if err != nil {
		return reply{}, err
	}
	message := "undone"
	if words.DryRun {
		message = "nothing was changed: a dry run"
	}
	return reply{body: setJSON{before, nil, words.DryRun, message}}, nil
}

// words reads from the query what goes with an undoing, which has no body.
func (c *call) words() (words overrides.Words, err error) {
	if words.Author, err = c.one("author"); err != nil {
		return words, err
	}
	if words.Reason, err = c.one("reason"); err != nil {
		return words, err
	}
	version, err := c.one("version")
	if err != nil || version == "" {
		return words, err
	}
	n, fault := integer("version", []byte(version), 0, math.MaxInt64)
	if fault != nil {
		return words, fault
	}
	words.Expect = &n
	return words, nil
}
