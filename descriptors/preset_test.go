package descriptors

import (
	"fmt"
	"strings"
	"testing"
)

const groupTable = `
domain: llm
presets:
  - model_limits: {period: 1m, success: 1000, groups: {default: [200, 100], vip: [0, 1000]}}
`

// charged names the bucket and the limit of each charge of one descriptor, with its
// number and seconds, successes told by a star.
func charged(r *Rules, desc string) string {
	var parts []string
	for _, m := range r.Resolve(&Request{Domain: "llm", Descriptors: []Descriptor{{Entries: entries(desc)}}}).Matches {
		star := ""
		if m.Limit.CountSuccess {
			star = "*"
		}
		parts = append(parts, fmt.Sprintf("%s %d/%v%s", m.Limit.Name, m.Limit.Requests, m.Limit.Period.Seconds(), star))
	}
	return strings.Join(parts, ", ")
}

// Which of a request's groups decides, whichever of them Envoy could tell.
func TestM08_TheFirstGroupOfTheTableElseTheGlobalPair(t *testing.T) {
	r := rulesOf(t, groupTable)
	const (
		vip      = "model_limits/vip/success 1000/60*"
		ordinary = "model_limits/default/total 200/60, model_limits/default/success 100/60*"
		global   = "model_limits/success 1000/60*"
	)
	for entries, want := range map[string]string{
		"token_group=vip user_group=default user=u model=m": vip,
		"user_group=default token_group=vip user=u model=m": vip,
		"token_group=default user_group=vip user=u model=m": ordinary,
		"user_group=vip user=u model=m":                     vip,
		"token_group=vip user=u model=m":                    vip,
		"token_group=unheard user_group=vip user=u model=m": vip,
		"token_group=unheard user_group=no user=u model=m":  global,
		"token_group= user_group=vip user=u model=m":        vip,
		"user=u model=m":          global,
		"token_group=vip user=u":  "model_limits/vip/success-no-model 1000/60*",
		"user=u":                  "model_limits/success-no-model 1000/60*",
		"token_group=vip":         "",
		"token_group=vip model=m": "",
	} {
		if got := charged(r, "preset=model_limits "+entries); got != want {
			t.Errorf("%s is charged %q, want %q", entries, got, want)
		}
	}
}
