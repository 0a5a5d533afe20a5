package app_test

import (
	"strings"
	"testing"
	"time"

	"github.com/weir-rls/weir/internal/config"
	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// While the store is away the page of changes shows what this replica knows, and says so,
// and offers nothing that cannot be done.
func TestDashboard_ChangesAreShownWithoutTheStore(t *testing.T) {
	redis := partstest.Redis(t, parts.RedisServer)
	r := start(t, oneRule, func(s *config.Settings) {
		s.Store, s.RedisURL, s.StoreTimeout = config.StoreRedis, config.RedisURL(redis.URL), 200*time.Millisecond
	})
	b := r.browser(t)
	if status, body := r.send("PUT", "/api/v1/limits/per-user", `{"rate":"4/hour","author":"ann","reason":"the sale"}`); status != 200 {
		t.Fatal(status, body)
	}
	const lost, back = `id="lost"`, `?undo=set-`
	if code, _, page := b.do("GET", "/dashboard/changes", ""); code != 200 || strings.Contains(page, lost) || !strings.Contains(page, back) {
		t.Errorf("with the store: %d\n%s", code, page)
	}
	redis.Stop()
	for _, path := range []string{"/dashboard/changes", "/dashboard/changes?undo=set-1"} {
		code, _, page := b.do("GET", path, "")
		if code != 200 || !strings.Contains(page, lost) || strings.Contains(page, back) || strings.Contains(page, `id="ask"`) {
			t.Errorf("%s without the store: %d\n%s", path, code, page)
		}
		for _, known := range []string{"per-user", "4/hour", "ann", "the sale", "1 change"} {
			if !strings.Contains(page, known) {
				t.Errorf("%s without the store does not tell %q", path, known)
			}
		}
	}
	if code, _ := b.form(t, "/dashboard/changes", "step=set-1"); code != 503 {
		t.Errorf("to take a step back without the store: %d, want 503", code)
	}
}
