package envoy

import (
	"strings"
	"time"

	"github.com/weir-rls/weir/descriptors"
)

// defaultTimeout is how long Envoy waits for an answer if nothing is said.
const defaultTimeout = 20 * time.Millisecond

// filter judges a filter as a whole.
func (c *checker) filter(f *filter) {
	if f.network {
		c.connections(f)
	}
	c.fields(f.config, map[bool]string{true: networkFilter, false: httpFilter}[f.network])
	c.undefined(f.config.get("domain"))
	c.timeout(f)
	if !f.config.get("failure_mode_deny").ok() && !f.config.get("failure_mode_deny_percent").ok() {
		c.tell(f.config.get("domain").or(f.config), "failure-mode-unset", "write failure_mode_deny: true to refuse them, or false to say that it is meant",
			"requests pass unlimited while weir does not answer: the filter has no failure_mode_deny")
	}
	if code := f.config.get("rate_limited_status", "code"); code.ok() {
		if n, ok := code.number(); ok && n < 400 {
			c.tell(code, "status-below-400", "write 400 or more, or leave it out", "Envoy answers 429 in place of %d", n)
		}
	}
	c.option(f.config.get("enable_x_ratelimit_headers"))
	if v := f.config.get("enable_retry_after_header"); v.isTrue() {
		c.tell(v, "retry-after-rounded", "leave it out: weir sends Retry-After, rounded up", "Envoy cuts the time to whole seconds, and says 1 where a request can never pass")
	}
	c.service(f)
}

// or is v, or another place where v is absent.
func (v value) or(other value) value {
	if v.ok() {
		return v
	}
	return other
}

// timeout compares how long the filter and the rules wait.
func (c *checker) timeout(f *filter) {
	at, limit := f.config.get("timeout"), defaultTimeout
	if at.ok() {
		stated, ok := at.duration()
		if !ok || stated == 0 {
			return // for as long as it takes, or not to be read
		}
		limit = stated
	}
	switch {
	case f.waits > 0 && limit <= f.waits:
		c.tell(at.or(f.config.get("domain")).or(f.config), "timeout-below-wait", "write a timeout above "+f.waits.String(),
			"Envoy gives up after %v, and the rule %s at %s lets requests wait for %v: they are refused or pass unlimited, as the failure mode says", limit, quote(f.waiting.Name), f.waiting.Place(), f.waits)
	case !at.ok():
		c.tell(f.config.get("domain").or(f.config), "timeout-default", "write timeout: 0.5s", "Envoy waits 20 ms for an answer, and on a busy machine treats requests as if weir did not answer: the filter has no timeout")
	}
}

// option tells of OFF that is no text.
func (c *checker) option(v value) {
	if v.ok() && v.n.Style == 0 && strings.EqualFold(v.text(), "off") {
		c.tell(v, "option-unquoted", `write "OFF"`, "Envoy's YAML reads %s as the boolean false, and refuses the configuration", v.text())
	}
}

// connections judges a filter of connections, which states its descriptors itself.
func (c *checker) connections(f *filter) {
	domain := f.config.get("domain")
	for _, at := range f.config.get("descriptors").items() {
		for _, name := range []string{"limit", "hits_addend"} {
			if v := at.get(name); v.ok() {
				c.tell(v, "hits-ignored", "remove it: rules say it", "a filter of connections sends entries alone, and no %s", name)
			}
		}
		var expected []descriptors.Expected
		for _, e := range at.get("entries").items() {
			one := descriptors.Expected{Key: e.get("key").text()}
			if text := e.get("value").text(); !formatting.MatchString(text) {
				one.Values = []string{text}
			}
			expected = append(expected, one)
		}
		m := c.meet(domain.text(), expected)
		if m.waits != nil {
			f.waitFor(m.waits)
		}
		if r := m.reports; r != nil {
			c.tell(at, "receipt-missing", "limit how often connections are opened instead", "the rule %s at %s needs to know how requests end, which a filter of connections does not tell", quote(r.Name), r.Place())
		}
		if len(m.Rules) == 0 && !m.Passive && len(expected) > 0 && len(c.rules.Rules(domain.text())) > 0 {
			c.unmatched(at, domain.text(), expected)
		}
	}
	c.of(domain.text())
}
