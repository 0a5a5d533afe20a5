package e2e

import (
	"strconv"
	"testing"
)

const successRules = `domain: e2e
descriptors:
  - {key: user, value: fixed, limits: [{name: fixed, algorithm: fixed_window, rate: 3/year, count: success}]}
  - {key: user, limits: [{name: sliding, algorithm: sliding_window, rate: 3/hour, count: success}]}
`

// answering is a request of a user to which the upstream answers status.
func answering(user string, status int) headers {
	return headers{"X-User": user, "X-Status": strconv.Itoa(status)}
}

func TestM04_M18_OnlySuccessesCount(t *testing.T) {
	onBothStores(t, spec{rules: successRules}, func(t *testing.T, top *topology) {
		returned := 0
		for _, user := range []string{"fixed", "sliding"} {
			for i, want := range []int{503, 503, 404, 200, 200, 200, 429, 429} {
				asked := want
				if want == 429 {
					asked = 200
				}
				if got := settledOne(top.begin(t, i, answering(user, asked))); got.status != want {
					t.Errorf("%s, request %d: %d, want %d", user, i+1, got.status, want)
				}
				if want != 429 { // the end of the stream is told after the answer
					returned++
					top.reaches(t, redeemed, returned)
				}
			}
		}
	})
}

// A client who left before there was an answer had no success.
func TestM18_AClientWhoLeftIsNoSuccess(t *testing.T) {
	onBothStores(t, spec{rules: successRules}, func(t *testing.T, top *topology) {
		h := answering("u", 200)
		h["X-Hold"] = "answer"
		gone := top.beginAll(t, 3, h)
		top.holds(t, 3)
		for _, c := range gone {
			c.leave()
		}
		top.reaches(t, redeemed, 3)
		got := tally{}
		for i := range 4 {
			got[settledOne(top.begin(t, i, answering("u", 200))).status]++
		}
		if got[200] != 3 || got[429] != 1 {
			t.Errorf("%v after three who left, want 3 of 4 passed", got)
		}
	})
}

// The limit is taken before the answer is known, so that many at once cannot
// pass together, and given back where it failed.
func TestM18_ManyAtOnceNeverSucceedMoreOftenThanTheLimit(t *testing.T) {
	onBothStores(t, spec{rules: successRules}, func(t *testing.T, top *topology) {
		for _, user := range []string{"fixed", "sliding"} {
			var calls []*call
			for range 10 {
				calls = append(calls, top.beginAll(t, 3, answering(user, 503))...)
				calls = append(calls, top.beginAll(t, 1, answering(user, 200))...)
			}
			got := settled(calls...)
			if got[200] > 3 || got[503]+got[200]+got[429] != 40 {
				t.Errorf("%s: %v, want at most 3 of 10 successes", user, got)
			}
			t.Logf("%s: at once %v", user, got)
			// What failed comes back, so that exactly three succeed in the end.
			eventually(t, "three have succeeded", func() bool {
				got[settledOne(top.begin(t, got[429], answering(user, 200))).status]++
				return got[200] >= 3
			})
			more := settled(top.beginAll(t, 6, answering(user, 200))...)
			if got[200] != 3 || more[429] != 6 {
				t.Errorf("%s: %v, then %v; want 3 successes in all", user, got, more)
			}
		}
	})
}

// The loose form looks first and charges the success when it is known: what runs
// side by side passes together, and is charged all the same.
func TestM18_TheLooseFormLetsParallelRequestsPassTogether(t *testing.T) {
	rules := "domain: e2e\ndescriptors: [{key: loose, limits: [{name: loose, algorithm: sliding_window, rate: 3/hour}]}]\n"
	onBothStores(t, spec{rules: rules}, func(t *testing.T, top *topology) {
		settledLoose := func() int { return top.metric(t, `weir_decisions_total{domain="e2e",limit="loose",outcome="settled"}`) }
		for i, want := range []int{503, 200, 200, 404} {
			if got := settledOne(top.begin(t, i, headers{"X-Loose": "l", "X-Status": strconv.Itoa(want)})); got.status != want {
				t.Errorf("request %d: %d, want %d", i+1, got.status, want)
			}
			eventually(t, "its end is told", func() bool { return settledLoose() == i+1 })
		}
		held := top.beginAll(t, 4, headers{"X-Loose": "l", "X-Hold": "answer"})
		top.holds(t, 4)
		top.letGo(t, 4)
		if got := settled(held...); got[200] != 4 {
			t.Errorf("%v, want all four that looked at the last token passed", got)
		}
		eventually(t, "their ends are told", func() bool { return settledLoose() == 8 })
		if got := settledOne(top.begin(t, 0, headers{"X-Loose": "l"})); got.status != 429 {
			t.Errorf("after six successes of three: %d", got.status)
		}
	})
}
