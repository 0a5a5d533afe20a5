package envoy

import (
	"regexp"
	"strings"

	"github.com/weir-rls/weir/descriptors"
)

// endKey is the key of the entry that marks what was used in the end.
const endKey = "weir.end"

// later are formats that have no value yet when a request comes.
var later = regexp.MustCompile(`%(RESPONSE_CODE|RESPONSE_FLAGS|RESP|BYTES_SENT|BYTES_RECEIVED|DURATION|RESPONSE_DURATION|TRAILER)\b|\bresponse\.`)

var clientsHeader = regexp.MustCompile(`%REQ\(([^)?:]+|:[^)?]+)`)

// form judges a rate limit by itself.
func (c *checker) form(f *filter, s *sent) {
	c.fields(s.at, "envoy.config.route.v3.RateLimit")
	hits, atEnd := s.at.get("hits_addend"), s.atEnd()
	carried := s.origin == ofFilter || s.origin == ofPerRoute
	if hits.ok() && !carried {
		c.tell(hits, "hits-ignored", "move the rate_limits into the filter, or into a RateLimitPerRoute of the route", "Envoy sends no hits_addend from the rate_limits of a route or virtual host: each call counts 1")
	}
	if carried {
		for _, name := range []string{"stage", "disable_key"} {
			if v := s.at.get(name); v.ok() {
				c.tell(v, "field-unsupported", "remove it", "Envoy refuses %s in the rate_limits of a filter or of RateLimitPerRoute", name)
			}
		}
	}
	c.option(s.at.get("x_ratelimit_option"))
	c.amount(s, hits, atEnd)
	receipt, redeems := s.has(descriptors.ReceiptKey)
	end, settles := s.has(endKey)
	if redeems {
		c.receipt(f, s, receipt, hits)
	}
	switch {
	case atEnd && !redeems && !settles:
		c.tell(s.at.get("apply_on_stream_done"), "stream-done-charged", "add {generic_key: {descriptor_key: weir.end, descriptor_value: \"1\"}}, which charges what was used, or weir.receipt, which gives back",
			"without the entry weir.end or weir.receipt this is judged at the end of the stream like a request of its own, which nobody can refuse any more")
	case settles && !atEnd:
		c.tell(end, "end-early", "write apply_on_stream_done: true beside the actions", "weir.end charges what was used, which is not known when the request comes")
	case settles && carried && !hits.ok():
		c.tell(s.at, "end-uncounted", "write hits_addend: {format: ...} with what was used", "each stream counts 1 in the end: the descriptor has no hits_addend")
	}
	c.addresses(f, s)
}

// amount judges hits_addend.
func (c *checker) amount(s *sent, hits value, atEnd bool) {
	format := hits.get("format")
	if !atEnd && later.MatchString(format.text()) {
		c.tell(format, "hits-too-early", "write apply_on_stream_done: true, and an entry weir.end", "%s has no value yet when the request comes: Envoy sends 0 or leaves the descriptor out", quote(format.text()))
	}
	if atEnd && !c.envoy.AtLeast(Version{1, 40}) && strings.Contains(format.text(), "%RESP(") {
		c.tell(format, "hits-uncharged", "take it from metadata that header_to_metadata writes, as in {format: \"%DYNAMIC_METADATA(costs:tokens)%\"}, or say --envoy-version 1.40",
			"an Envoy before 1.40 has no response header any more when the stream has ended, and charges nothing, without a word")
	}
	if name := clientsHeader.FindStringSubmatch(format.text()); name != nil && !s.scene.supplied[strings.ToLower(name[1])] {
		c.tell(format, "hits-from-client", "write the weight in the rule, or have a filter set the header",
			"the header %s comes from the client: with a small number it pays little, and without a number Envoy leaves the descriptor out", quote(name[1]))
	}
	if _, redeems := s.has(descriptors.ReceiptKey); atEnd && hits.get("is_negative_hits").isTrue() && !redeems {
		c.tell(hits.get("is_negative_hits"), "hits-given-back-twice", "let the rule be of algorithm: concurrency or count: success, and send the receipt back",
			"Envoy gives these back at the end of requests that were refused too, and took none")
	}
}

// receipt judges how a receipt goes back.
func (c *checker) receipt(f *filter, s *sent, at, hits value) {
	if !s.atEnd() {
		c.tell(at, "receipt-early", "write apply_on_stream_done: true beside the actions", "the receipt comes with weir's answer, and is sent back when the stream has ended")
		return
	}
	f.receipts = at
	key := at.get("metadata_key")
	path := key.get("path").items()
	if namespace := key.get("key").text(); at.get("metadata_key").ok() && (namespace != f.namespace() || len(path) != 1 || path[0].get("key").text() != "receipt") {
		c.tell(key, "receipt-namespace", "write metadata_key: {key: "+clipped(f.namespace())+", path: [{key: receipt}]}", "the filter keeps receipts in %s, as receipt", quote(f.namespace()))
	}
	if hits.get("format").text() != "%RESPONSE_CODE%" && (s.origin == ofFilter || s.origin == ofPerRoute) {
		at := s.at
		if hits.ok() {
			at = hits
		}
		c.tell(at, "receipt-status", `write hits_addend: {format: "%RESPONSE_CODE%"}`, "the hits of a receipt are the status of the response, by which successes and failures are told apart")
	}
}

// reported tells where rules need to know how requests ended, and nothing tells them.
func (c *checker) reported(f *filter, here []*sent) {
	for _, s := range here {
		if _, redeems := s.has(descriptors.ReceiptKey); redeems && s.atEnd() {
			return
		}
	}
	for _, s := range here {
		expected, made := s.expected()
		if s.atEnd() || !made {
			continue
		}
		if r := c.meet(s.domain.text(), expected).reports; r != nil {
			c.unreported(f, s.at, r)
			return
		}
	}
}

func (c *checker) unreported(f *filter, at value, r *descriptors.Stated) {
	c.tell(at, "receipt-missing", "add to the filter's rate_limits: {actions: [{metadata: {descriptor_key: weir.receipt, metadata_key: {key: "+clipped(f.namespace())+
		", path: [{key: receipt}]}}}], hits_addend: {format: \"%RESPONSE_CODE%\"}, apply_on_stream_done: true}",
		"the rule %s at %s counts successes, holds slots or is a breaker, and no descriptor with weir.receipt tells it how requests end", quote(r.Name), r.Place())
}

// sharedReceipts tells of two filters with receipts in one namespace.
func (c *checker) sharedReceipts(filters []*filter) {
	for i, f := range filters {
		for _, before := range filters[:i] {
			if f.receipts.ok() && before.receipts.ok() && f.namespace() == before.namespace() {
				c.tell(f.config, "receipt-shared", "write a metadata_namespace of its own for one of them", "this filter and the one at %s both keep receipts in %s: the later one overwrites the other's",
					before.config.doc.Place(before.config.n), quote(f.namespace()))
			}
		}
	}
}

// addresses tells of addresses that clients choose.
func (c *checker) addresses(f *filter, s *sent) {
	m := f.chain.manager
	if !m.ok() || m.get("use_remote_address").isTrue() || m.get("xff_num_trusted_hops").ok() || m.get("original_ip_detection_extensions").ok() {
		return
	}
	for _, e := range s.entries {
		if e.Key == "remote_address" || e.Key == "masked_remote_address" {
			c.tell(e.at, "remote-address-untrusted", "write use_remote_address: true in the HTTP connection manager, or xff_num_trusted_hops behind a proxy",
				"the connection manager at %s believes a client's X-Forwarded-For, so that each request can have another address", m.doc.Place(m.n))
		}
	}
}
