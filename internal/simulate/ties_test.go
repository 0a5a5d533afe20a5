package simulate

import (
	"strings"
	"testing"
	"time"
)

// shared is a pool of two classes that borrow from one another.
const shared = `
domain: shop
pools: [{name: units, rate: 8/s, burst: 10, max_wait: 3s, max_waiters: 12}]
descriptors:
  - {key: fixed, limits: [{name: fixed, algorithm: fixed_window, rate: 60000/min}]}
  - {key: class, value: gold, draw: {pool: units, guarantee: 5/s}}
  - {key: class, value: silver, draw: {pool: units, guarantee: 2/s}}
`

var loadOfClasses = strings.NewReplacer("rate=200/s", "rate=10/s",
	"kind=one-of(bucket,fixed,sliding,both,quotas,class,slow,success,slot,job)", "kind=class").Replace(everyLoad)

// Where no class borrows, nobody else takes what one was told of: the verdicts are the same,
// also where the next token is there sooner than a line lets others be that were faster.
func TestTheServiceGivesTheSameVerdicts_OfClassesThatKeepToTheirGuarantees(t *testing.T) {
	for name, of := range map[string]struct {
		scale    *strings.Replacer
		requests int
	}{
		"slow": {strings.NewReplacer(), 3000},
		// In a longer trace somebody comes in the very microsecond in which another goes.
		"fast": {strings.NewReplacer("8/s", "4000/s", "5/s", "2500/s", "2/s", "1200/s", "60000/min", "60000/s", "rate=10/s", "rate=5000/s"), 900},
	} {
		t.Run(name, func(t *testing.T) {
			apart := strings.ReplaceAll(shared, "guarantee:", "borrow: false, guarantee:")
			if denied, waited := differ(t, of.scale.Replace(apart), of.scale.Replace(loadOfClasses), of.requests); waited < 100 || denied["class=silver"] < 100 {
				t.Errorf("the trace tries too little: %d waited, refused by %v", waited, denied)
			}
		})
	}
}

// Two classes that wait for the same token are told the same instant, and whose timer fires
// first is chance: a weir that is asked the same again gives other requests the token. What
// each class gets over time is the same but for a few requests.
func TestTheServiceGivesEachClassAsMuch_WhereTwoWaitForOneToken(t *testing.T) {
	const requests = 5000
	simulated := make([]same, 2*requests)
	r := newReplay(loadRules(t, shared), time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro(), assumed{}, func(number int64, _ *Row, v Verdict) {
		simulated[number] = same{v.Admitted, v.Limit, v.Waited}
	})
	source, number := kindsOf(t, loadOfClasses, requests), int64(0)
	var classes []string
	for row, err := source.Next(); err == nil; row, err = source.Next() {
		classes = append(classes, row.Request.Descriptors[0].Entries[0].Value)
		if err := r.ask(number, row); err != nil {
			t.Fatal(err)
		}
		number++
	}
	if err := r.finish(); err != nil {
		t.Fatal(err)
	}
	served := serve(t, loadRules(t, shared), kindsOf(t, loadOfClasses, requests), int(number))
	for _, class := range []string{"gold", "silver"} {
		var admitted [2]int
		var waited [2]time.Duration
		for i, c := range classes {
			for k, v := range [2]same{simulated[i], served[i]} {
				if c == class && v.admitted {
					admitted[k]++
					waited[k] += v.waited
				}
			}
		}
		apart, apartWait := admitted[0]-admitted[1], waited[0]-waited[1]
		if admitted[1] < 1000 || max(apart, -apart) > admitted[1]*5/100 || apartWait.Abs() > waited[1]*15/100 {
			t.Errorf("%s: simulated and served, %v were admitted after %v", class, admitted, waited)
		}
	}
}
