package ratelimit_test

// fixtures are built as the good rule files among the reference service's tests are.
var fixtures = []struct {
	name, domain, yaml string
	asks               []ask
}{
	{"its basic rules", "basics", `
# rules of one and two levels
domain: basics
descriptors:
  - key: a
    value: x
    descriptors:
      - key: sub
        rate_limit:
          unit: second
          requests_per_unit: 6
      - key: sub
        value: y
        rate_limit:
          unit: SECOND
          requests_per_unit: 9

  - key: b
    rate_limit:
      unit: minute
      requests_per_unit: 21
  - key: b
    value: x
    rate_limit:
      unit: minute
      requests_per_unit: 31
  # let through
  - key: b
    value: free

  - key: c
    rate_limit:
      unit: hour
      requests_per_unit: 2
  - key: d
    value: x
    rate_limit:
      unit: day
      requests_per_unit: 16
    descriptors:
      - key: sub
        value: y
        rate_limit:
          unit: day
          requests_per_unit: 26
  - {key: e, rate_limit: {unit: week, requests_per_unit: 1}}
  - {key: f, rate_limit: {unit: Month, requests_per_unit: 1}}
  - {key: g, rate_limit: {unit: year, requests_per_unit: 4294967295}}
`, []ask{
		{0, "a=x", "OK: OK", ""},
		{0, "a=other,sub=y", "OK: OK", ""},
		{0, "a=x,sub=any", "OK: OK 5 of 6 per SECOND", "a_x.sub"},
		{0, "a=x,sub=y", "OK: OK 8 of 9 per SECOND", "a_x.sub_y"},
		{0, "a=x,sub=y,more=z", "OK: OK", ""},
		{0, "b=any", "OK: OK 20 of 21 per MINUTE", "b"},
		{0, "b=x", "OK: OK 30 of 31 per MINUTE", "b_x"},
		{0, "b=free", "OK: OK", ""},
		{0, "c=any", "OK: OK 1 of 2 per HOUR", ""},
		{0, "d=any", "OK: OK", ""},
		{0, "d=x", "OK: OK 15 of 16 per DAY", ""},
		{0, "d=x,sub=y", "OK: OK 25 of 26 per DAY", "d_x.sub_y"},
		{0, "e=", "OK: OK 0 of 1 per WEEK", ""},
		{0, "f=", "OK: OK 0 of 1 per MONTH", ""},
		{0, "g=", "OK: OK 4294967294 of 4294967295 per YEAR", ""},
	}},
	{"its patterns", "wild", `
domain: wild
descriptors:
  - key: ends
    value: pre*
    rate_limit: {unit: minute, requests_per_unit: 20}
  - key: none
    value: pre
    rate_limit: {unit: minute, requests_per_unit: 21}
  - key: any
    rate_limit: {unit: minute, requests_per_unit: 22}
  - key: middle
    value: a*z
    rate_limit: {unit: minute, requests_per_unit: 23}
  - key: first
    value: a*
    rate_limit: {unit: minute, requests_per_unit: 24}
  - key: first
    value: ab*
    rate_limit: {unit: minute, requests_per_unit: 25}
`, []ask{
		{0, "ends=prefix", "OK: OK 19 of 20 per MINUTE", "ends_pre*"},
		{0, "ends=pre", "OK: OK 19 of 20 per MINUTE", ""},
		{0, "ends=other", "OK: OK", ""},
		{0, "none=prefix", "OK: OK", ""},
		{0, "none=pre", "OK: OK 20 of 21 per MINUTE", ""},
		{0, "any=prefix", "OK: OK 21 of 22 per MINUTE", ""},
		{0, "middle=amoz", "OK: OK 22 of 23 per MINUTE", "middle_a*z"},
		{0, "middle=az", "OK: OK 22 of 23 per MINUTE", ""},
		{0, "middle=amo", "OK: OK", ""},
		{0, "first=abc", "OK: OK 23 of 24 per MINUTE", "first_a*"},
	}},
	{"its shared thresholds", "shares", `
domain: shares
descriptors:
  - key: outer
    value: top
    descriptors:
      - key: file
        value: in/*
        share_threshold: true
        rate_limit: {unit: minute, requests_per_unit: 20}
  - key: file
    value: in/*
    share_threshold: true
    descriptors:
      - key: file
        value: in/*
        share_threshold: true
        rate_limit: {unit: minute, requests_per_unit: 30}
  - key: route
    value: api/*
    share_threshold: true
    value_to_metric: true
    descriptors:
      - key: method
        rate_limit: {unit: minute, requests_per_unit: 6}
  - key: service
    value: svc/*
    share_threshold: true
    descriptors:
      - key: endpoint
        detailed_metric: true
        rate_limit: {unit: minute, requests_per_unit: 8}
  - key: path
    value: p/*
    share_threshold: true
    descriptors:
      - key: part
        value: q/*
        share_threshold: false
        descriptors:
          - key: type
            rate_limit: {unit: minute, requests_per_unit: 12}
  - key: exact
    value: test1
    rate_limit: {unit: minute, requests_per_unit: 5}
  - key: exact
    value: test*
    share_threshold: true
    rate_limit: {unit: minute, requests_per_unit: 10}
  - key: multi
    value: a*b*c
    share_threshold: true
    rate_limit: {unit: minute, requests_per_unit: 15}
  - key: tenant
    value: t*prod
    share_threshold: true
    descriptors:
      - key: part
        value: r*v2
        share_threshold: true
        rate_limit: {unit: minute, requests_per_unit: 7}
`, []ask{
		{0, "outer=top,file=in/1", "OK: OK 19 of 20 per MINUTE", "outer_top.file_in/*"},
		{0, "outer=top,file=in/2", "OK: OK 18 of 20 per MINUTE", ""},
		{0, "file=in/1,file=in/1", "OK: OK 29 of 30 per MINUTE", "file_in/*.file_in/*"},
		{0, "file=in/2,file=in/3", "OK: OK 28 of 30 per MINUTE", ""},
		{0, "route=api/1,method=GET", "OK: OK 5 of 6 per MINUTE", "route_api/*.method"},
		{0, "route=api/2,method=GET", "OK: OK 4 of 6 per MINUTE", ""},
		{0, "route=api/2,method=PUT", "OK: OK 5 of 6 per MINUTE", ""},
		{0, "service=svc/1,endpoint=e1", "OK: OK 7 of 8 per MINUTE", "service_svc/*.endpoint_e1"},
		{0, "path=p/1,part=q/1,type=t", "OK: OK 11 of 12 per MINUTE", "path_p/*.part_q/*.type"},
		{0, "path=p/2,part=q/1,type=t", "OK: OK 10 of 12 per MINUTE", ""},
		{0, "path=p/2,part=q/2,type=t", "OK: OK 11 of 12 per MINUTE", ""},
		{0, "exact=test1", "OK: OK 4 of 5 per MINUTE", "exact_test1"},
		{0, "exact=test2", "OK: OK 9 of 10 per MINUTE", "exact_test*"},
		{0, "exact=test3", "OK: OK 8 of 10 per MINUTE", ""},
		{0, "multi=a1b2c", "OK: OK 14 of 15 per MINUTE", "multi_a*b*c"},
		{0, "multi=abc", "OK: OK 13 of 15 per MINUTE", ""},
		{0, "tenant=t1prod,part=r1v2", "OK: OK 6 of 7 per MINUTE", "tenant_t*prod.part_r*v2"},
		{0, "tenant=t2prod,part=r2v2", "OK: OK 5 of 7 per MINUTE", ""},
	}},
	{"its metadata, names and modes beside each other", "kept", `
domain: kept
descriptors:
  - key: a
    detailed_metric: true
    metadata: {team: {name: search, pages: [1, 2.5, null, true]}}
    rate_limit: {unit: hour, requests_per_unit: 5, name: alike}
  - key: b
    shadow_mode: true
    metadata: {}
    rate_limit: {unit: hour, requests_per_unit: 0, name: alike}
  - key: c
    value: x
    shadow_mode: false
    quota_mode: false
    rate_limit: {unlimited: true, name: open, replaces: [{name: alike}]}
`, []ask{
		{0, "a=1 | b=1", "OK: OK 4 of 5 per HOUR | OK 0 of 0 per HOUR", "a_1"},
		{0, "c=x | a=1", "OK: OK unlimited | OK", ""},
		{0, "a=1", "OK: OK 3 of 5 per HOUR", ""},
	}},
}
