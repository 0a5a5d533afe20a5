package app_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weir-rls/weir/internal/config"
	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
	"github.com/weir-rls/weir/traffic"
)

func look[T any](r *replica, path string) (answer T) {
	r.t.Helper()
	status, text := r.get(path)
	if err := json.Unmarshal([]byte(text), &answer); err != nil || status != 200 {
		r.t.Fatalf("%s: %d %s %v", path, status, text, err)
	}
	return answer
}

// What requests meet is in the live view: of the service, of the limit, of its keys, and
// still when the rules have changed.
func TestTheLiveViewTellsWhatHappens(t *testing.T) {
	r := start(t, oneRule, nil)
	hits := map[string]int{"alice": 5, "bob": 2}
	for user, n := range hits {
		for range n {
			if _, err := r.call(asks(t, nil, "user="+user)); err != nil {
				t.Fatal(err)
			}
		}
	}
	partstest.Eventually(t, 30*time.Second, "the second is over", func() bool {
		return look[traffic.Overview](r, "/api/v1/traffic").Service.Minute.Admitted == 4
	})
	o := look[traffic.Overview](r, "/api/v1/traffic")
	if s := o.Service.Minute; s.Refused != 3 || s.Errors != 0 || s.P50 <= 0 || s.P999 < s.P50 || o.Service.Store != "up" {
		t.Errorf("the service: %+v", o.Service)
	}
	d := look[traffic.Detail](r, "/api/v1/traffic/limits/per-user")
	if d.Minute.Admitted != 4 || d.Minute.Refused != 3 || d.Minute.Tokens != 4 || len(o.Limits) != 1 || o.Limits[0].Minute != d.Minute {
		t.Errorf("the limit: %+v", d.Minute)
	}
	if top := d.Keys.Top; len(top) != 2 || top[0].Text != "user=alice" || top[0].Hits != 5 || top[0].Refused != 3 || top[1].Hits != 2 || d.Keys.Hits != 7 {
		t.Errorf("the keys: %+v", d.Keys)
	}
	r.writeRules(strings.Replace(oneRule, "2/hour", "3/hour", 1) + "  - {key: ip, limits: [{name: per-ip, rate: 1/hour}]}\n")
	partstest.Eventually(t, 30*time.Second, "a limit is followed over a change of the rules, and a new one", func() bool {
		for _, text := range []string{"user=alice", "ip=1"} {
			if _, err := r.call(asks(t, nil, text)); err != nil {
				t.Fatal(err)
			}
		}
		o := look[traffic.Overview](r, "/api/v1/traffic")
		return len(o.Limits) == 2 && o.Limits[0].Limit == "per-ip" && o.Limits[0].Minute.Refused > 0 && o.Limits[1].Minute.Refused > 3
	})
}

// A store that does not answer is seen in the live view, with what was decided without it.
func TestTheLiveViewTellsThatTheStoreIsDown(t *testing.T) {
	redis := partstest.Redis(t, parts.RedisServer)
	r := start(t, oneRule, func(s *config.Settings) { s.Store, s.RedisURL = config.StoreRedis, config.RedisURL(redis.URL) })
	redis.Stop()
	partstest.Eventually(t, 30*time.Second, "it is told", func() bool {
		for range 10 {
			_, _ = r.call(asks(t, nil, "user=alice"))
		}
		s := look[traffic.Overview](r, "/api/v1/traffic").Service
		return s.Store == "down" && s.Minute.Degraded > 0 && s.Minute.StoreErrors > 0
	})
}

// Who watches does not hold up a drain.
func TestStreamsDoNotHoldUpADrain(t *testing.T) {
	r := start(t, oneRule, func(s *config.Settings) { s.DrainTimeout = time.Minute })
	var streams []io.Reader
	for range 3 {
		answer, err := http.Get("http://" + r.HTTPAddr() + "/api/v1/traffic/stream")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if answer.StatusCode != 200 {
			t.Fatal(answer.Status)
		}
		streams = append(streams, answer.Body)
	}
	r.stop()
	select {
	case err := <-r.ended:
		if err != nil {
			t.Errorf("the drain ended with %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the drain waits for who watches")
	}
	for _, stream := range streams {
		if _, err := io.ReadAll(stream); err != nil {
			t.Errorf("a stream was cut off: %v", err)
		}
	}
	r.ended <- nil
}
