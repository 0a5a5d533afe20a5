package ratelimit_test

import (
	"testing"

	"github.com/weir-rls/weir/descriptors"
)

// ask is a request and its answer.
type ask struct {
	hits uint32 // 0 stands for 1
	ask  string
	want string
	stat string // what the first limit is called in the statistics, if that is looked at
}

// examples are rule files built as those in the reference service's documentation and
// among its examples are, and answers that follow from what it says of them.
var examples = []struct {
	name, domain, yaml string
	asks               []ask
}{
	{"example 1: limits of stated values", "stores", `
domain: stores
descriptors:
  - key: table
    value: carts
    rate_limit:
      unit: second
      requests_per_unit: 40

  - key: table
    value: orders
    rate_limit:
      unit: second
      requests_per_unit: 60
`, []ask{
		{0, "table=carts", "OK: OK 39 of 40 per SECOND", "table_carts"},
		{39, "table=carts", "OK: OK 0 of 40 per SECOND", ""},
		{0, "table=carts", "OVER_LIMIT: OVER_LIMIT 0 of 40 per SECOND", ""},
		{0, "table=orders", "OK: OK 59 of 60 per SECOND", "table_orders"},
		{0, "table=other", "OK: OK", ""},
	}},
	{"example 2: a nested limit, and two descriptors of which one refuses", "mail", `
domain: mail
descriptors:
  # three newsletters a day to each
  - key: kind
    value: newsletter
    descriptors:
      - key: recipient
        rate_limit:
          unit: day
          requests_per_unit: 3

  - key: recipient
    rate_limit:
      unit: day
      requests_per_unit: 50
`, []ask{
		{0, "kind=newsletter,recipient=ann | recipient=ann", "OK: OK 2 of 3 per DAY | OK 49 of 50 per DAY", "kind_newsletter.recipient"},
		{2, "kind=newsletter,recipient=ann | recipient=ann", "OK: OK 0 of 3 per DAY | OK 47 of 50 per DAY", ""},
		{0, "kind=newsletter,recipient=ann | recipient=ann", "OVER_LIMIT: OVER_LIMIT 0 of 3 per DAY | OK 46 of 50 per DAY", ""},
		{0, "kind=newsletter,recipient=bob", "OK: OK 2 of 3 per DAY", ""},
		{0, "recipient=ann", "OK: OK 45 of 50 per DAY", "recipient"},
		{0, "kind=invoice,recipient=ann", "OK: OK", ""},
		{0, "kind=newsletter", "OK: OK", ""},
	}},
	{"example 3: a value before its key alone", "edge", `
domain: edge
descriptors:
  - key: remote_address
    rate_limit:
      unit: second
      requests_per_unit: 4

  # shut out
  - key: remote_address
    value: 192.0.2.9
    rate_limit:
      unit: second
      requests_per_unit: 0
`, []ask{
		{0, "remote_address=192.0.2.1", "OK: OK 3 of 4 per SECOND", "remote_address"},
		{0, "remote_address=192.0.2.2", "OK: OK 3 of 4 per SECOND", ""},
		{0, "remote_address=192.0.2.9", "OVER_LIMIT: OVER_LIMIT 0 of 0 per SECOND", "remote_address_192.0.2.9"},
	}},
	{"example 4: a rule that is less deep than the request", "flat", `
domain: flat
descriptors:
  - key: tenant
    value: acme
    rate_limit:
      requests_per_unit: 30
      unit: second
`, []ask{
		{0, "tenant=acme,user=ann", "OK: OK", ""},
		{0, "tenant=acme", "OK: OK 29 of 30 per SECOND", ""},
	}},
	{"example 4: a rule as deep as the request", "deep", `
domain: deep
descriptors:
  - key: tenant
    value: acme
    descriptors:
      - key: user
        rate_limit:
          requests_per_unit: 30
          unit: second
`, []ask{
		{0, "tenant=acme,user=ann", "OK: OK 29 of 30 per SECOND", "tenant_acme.user"},
		{0, "tenant=acme", "OK: OK", ""},
	}},
	{"example 5: without a limit", "inside", `
domain: inside
descriptors:
  - key: directory
    rate_limit:
      unlimited: true

  - key: cloud
    rate_limit:
      unit: minute
      requests_per_unit: 25
`, []ask{
		{0, "directory=x", "OK: OK unlimited", "directory"},
		{0, "cloud=x", "OK: OK 24 of 25 per MINUTE", "cloud"},
		{0, "neither=x", "OK: OK", ""},
	}},
	{"example 6: shadow mode", "quiet", `
domain: quiet
descriptors:
  - key: app
    descriptors:
      - key: user
        value: ann
        rate_limit:
          requests_per_unit: 5
          unit: second
        shadow_mode: true
      - key: user
        value: bob
        rate_limit:
          requests_per_unit: 6
          unit: second
`, []ask{
		{50, "app=login,user=ann", "OK: OK 0 of 5 per SECOND", "app.user_ann"},
		{0, "app=login,user=ann", "OK: OK 0 of 5 per SECOND", ""},
		{6, "app=login,user=bob", "OK: OK 0 of 6 per SECOND", "app.user_bob"},
		{0, "app=login,user=bob", "OVER_LIMIT: OVER_LIMIT 0 of 6 per SECOND", ""},
	}},
	{"example 7: one limit in place of another", "instead", `
domain: instead
descriptors:
  - key: reads
    value: all
    descriptors:
      - key: user
        value: ann
        rate_limit:
          name: every_read
          requests_per_unit: 7
          unit: second
  - key: report
    value: daily
    descriptors:
      - key: user
        value: ann
        rate_limit:
          replaces:
            - name: every_read
          requests_per_unit: 20
          unit: second
`, []ask{
		{0, "reads=all,user=ann", "OK: OK 6 of 7 per SECOND", ""},
		{0, "report=daily,user=ann", "OK: OK 19 of 20 per SECOND", ""},
		{0, "reads=all,user=ann | report=daily,user=ann", "OK: OK | OK 18 of 20 per SECOND", ""},
		{0, "reads=all,user=ann", "OK: OK 5 of 7 per SECOND", ""},
	}},
	{"example 8: statistics of each value", "detailed", `
domain: detailed
descriptors:
  - key: plan
    detailed_metric: true
    rate_limit:
      unit: minute
      requests_per_unit: 11
  - key: plan
    value: gold
    rate_limit:
      unit: minute
      requests_per_unit: 22
`, []ask{
		{0, "plan=tin", "OK: OK 10 of 11 per MINUTE", "plan_tin"},
		{0, "plan=lead", "OK: OK 10 of 11 per MINUTE", "plan_lead"},
		{0, "plan=gold", "OK: OK 21 of 22 per MINUTE", "plan_gold"},
	}},
	{"example 9: a pattern", "pattern", `
domain: pattern
descriptors:
  - key: path
    value: /v1/*
    rate_limit:
      unit: minute
      requests_per_unit: 12
`, []ask{
		{0, "path=/v1/a", "OK: OK 11 of 12 per MINUTE", "path_/v1/*"},
		{0, "path=/v1/b", "OK: OK 11 of 12 per MINUTE", ""},
		{0, "path=/v1/", "OK: OK 11 of 12 per MINUTE", ""},
		{0, "path=/v2/a", "OK: OK", ""},
	}},
	{"example 10: values in statistics", "telling", `
domain: telling
descriptors:
  - key: route
    value_to_metric: true
    descriptors:
      - key: method
        value_to_metric: true
        descriptors:
          - key: subject
            rate_limit:
              unit: minute
              requests_per_unit: 33
  - key: route
    value: shop/*
    value_to_metric: true
    descriptors:
      - key: method
        rate_limit:
          unit: minute
          requests_per_unit: 44
`, []ask{
		{0, "route=api,method=GET,subject=7", "OK: OK 32 of 33 per MINUTE", "route_api.method_GET.subject"},
		{0, "route=web,method=PUT,subject=8", "OK: OK 32 of 33 per MINUTE", "route_web.method_PUT.subject"},
		{0, "route=shop/cart,method=GET", "OK: OK 43 of 44 per MINUTE", "route_shop/cart.method"},
	}},
	{"a threshold that is shared", "sharing", `
domain: sharing
descriptors:
  - key: file
    value: docs/*
    share_threshold: true
    rate_limit:
      unit: hour
      requests_per_unit: 3
  - key: own
    value: docs/*
    rate_limit:
      unit: hour
      requests_per_unit: 3
`, []ask{
		{2, "file=docs/a", "OK: OK 1 of 3 per HOUR", "file_docs/*"},
		{0, "file=docs/b", "OK: OK 0 of 3 per HOUR", "file_docs/*"},
		{0, "file=docs/c", "OVER_LIMIT: OVER_LIMIT 0 of 3 per HOUR", ""},
		{2, "own=docs/a", "OK: OK 1 of 3 per HOUR", ""},
		{0, "own=docs/b", "OK: OK 2 of 3 per HOUR", ""},
	}},
	{"the rules of the example with Envoy", "demo", `
---
domain: demo
descriptors:
  - key: source_cluster
    value: front
    descriptors:
      - key: destination_cluster
        value: back
        rate_limit:
          unit: minute
          requests_per_unit: 2
  - key: one
    rate_limit:
      unit: minute
      requests_per_unit: 3
    descriptors:
      - key: two
        rate_limit:
          unit: minute
          requests_per_unit: 4
      - key: two
        value: shut
        rate_limit:
          unit: minute
          requests_per_unit: 0
      - key: three
        rate_limit:
          unit: second
          requests_per_unit: 1
      - key: four
        rate_limit:
          unlimited: true
      - key: three
        value: watched
        rate_limit:
          unit: minute
          requests_per_unit: 1
        shadow_mode: true
  - key: open
    rate_limit:
      unlimited: true
`, []ask{
		{0, "source_cluster=front,destination_cluster=back", "OK: OK 1 of 2 per MINUTE", ""},
		{0, "one=x", "OK: OK 2 of 3 per MINUTE", "one"},
		{0, "one=x,two=y", "OK: OK 3 of 4 per MINUTE", "one.two"},
		{0, "one=x,two=shut", "OVER_LIMIT: OVER_LIMIT 0 of 0 per MINUTE", "one.two_shut"},
		{0, "one=x,three=y", "OK: OK 0 of 1 per SECOND", ""},
		{0, "one=x,three=y", "OVER_LIMIT: OVER_LIMIT 0 of 1 per SECOND", ""},
		{9, "one=x,three=watched", "OK: OK 0 of 1 per MINUTE", "one.three_watched"},
		{0, "one=x,four=y", "OK: OK unlimited", ""},
		{0, "open=x | one=x", "OK: OK unlimited | OK 1 of 3 per MINUTE", ""},
	}},
	{"the quotas of the example with Envoy", "quotas", `
---
domain: quotas
descriptors:
  - key: backend
    value: east
    quota_mode: true
    rate_limit:
      unit: minute
      requests_per_unit: 2
  - key: backend
    value: west
    quota_mode: true
    rate_limit:
      unit: minute
      requests_per_unit: 3
`, []ask{
		{2, "backend=east | backend=west", "OK: OK 0 of 2 per MINUTE | OK 1 of 3 per MINUTE", ""},
		{0, "backend=east | backend=west", "OK: OVER_LIMIT 0 of 2 per MINUTE | OK 0 of 3 per MINUTE", ""},
		{0, "backend=east | backend=west", "OVER_LIMIT: OVER_LIMIT 0 of 2 per MINUTE | OVER_LIMIT 0 of 3 per MINUTE", ""},
	}},
}

func TestExamples_AsTheReferenceServiceDocumentsThem(t *testing.T) {
	for _, e := range append(examples, fixtures...) {
		t.Run(e.name, func(t *testing.T) {
			source, report := loaded(t, map[string]string{"rules.yaml": e.yaml}, descriptors.Options{})
			if report.Faults.Failed() {
				t.Fatal(report.Faults.Text())
			}
			s := deciding(t, source)
			for _, a := range e.asks {
				r := request(e.domain, a.ask, a.hits)
				if got := answer(t, s, r); got != a.want {
					t.Errorf("%s (%d hits): %s, want %s", a.ask, a.hits, got, a.want)
				}
				if got := statName(source, r); a.stat != "" && got != a.stat {
					t.Errorf("%s: is called %q, want %q", a.ask, got, a.stat)
				}
			}
		})
	}
}
