package e2e

import (
	"fmt"
	"testing"
)

// The same sequence of requests is answered alike by the embedded store and by
// a Redis behind two replicas, and only the Redis is shared.
func TestM11_M24_S6_N13_RedisSharesAndBothStoresAnswerAlike(t *testing.T) {
	rules := rulesOf(slow100, "rate: 5/hour, burst: 5")
	memory := run(t, spec{envoys: 1, weirs: 1, rules: rules})
	redis := run(t, spec{envoys: 2, weirs: 2, redis: true, rules: rules})
	fromMemory, fromRedis := memory.sequence(t), redis.sequence(t)
	for i := range fromMemory {
		if fromMemory[i] != fromRedis[i] {
			t.Errorf("request %d: memory answered %q, redis %q", i+1, fromMemory[i], fromRedis[i])
		}
	}

	apart := run(t, spec{envoys: 1, weirs: 2, rules: rules})
	got, _ := apart.burst(t, 100, headers{"X-User": "u"})
	if got[200] <= 5 || got[200] > 10 {
		t.Errorf("two replicas without a Redis passed %v, want more than one bucket of 5 and at most two", got)
	}
}

// sequence sends a mixed sequence and tells of each answer what the caller sees
// of the limits: the status, what is left, and which limit.
func (top *topology) sequence(t *testing.T) []string {
	t.Helper()
	c := client(t, 1)
	got := tally{}
	var seen []string
	for i := range 80 {
		h := api([]string{"a", "b", "c"}[i%3])
		if i%4 == 0 {
			h["X-User"] = fmt.Sprint("u", i%8)
		}
		a := get(c, top.fronts[i%len(top.fronts)], h)
		got[a.status]++
		seen = append(seen, fmt.Sprint(a.status, " ", a.header.Get("X-Ratelimit-Limit"), " ", a.header.Get("X-Ratelimit-Remaining")))
	}
	if got[200] == 0 || got[429] == 0 {
		t.Errorf("%v: the sequence shows one verdict only", got)
	}
	top.judged(t, got)
	return seen
}
