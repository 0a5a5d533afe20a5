package app_test

import (
	"strings"
	"testing"
	"time"

	"github.com/weir-rls/weir/internal/config"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// Who starts weir reads in its log where to go, and what it serves.
func TestTheStartIsLoggedWithTheDashboardAndWhatIsServed(t *testing.T) {
	r := start(t, oneRule, nil)
	partstest.Eventually(t, 30*time.Second, "the log tells", func() bool { return strings.Contains(r.log.String(), `"msg":"listening"`) })
	for _, part := range []string{`"dashboard":"http://` + r.HTTPAddr() + `/dashboard"`, `"rules":"` + r.rules + `"`, `"domains":1,"limits":1`} {
		if !strings.Contains(r.log.String(), part) {
			t.Errorf("the log lacks %s:\n%s", part, r.log)
		}
	}
	if strings.Contains(r.log.String(), "not ready") {
		t.Errorf("a ready replica says that it is none:\n%s", r.log)
	}
}

// An address that stands for all is none that a browser can open.
func TestTheDashboardOfAllInterfacesIsToldAsThisMachines(t *testing.T) {
	r := start(t, oneRule, func(s *config.Settings) { s.HTTPListen = ":0" })
	partstest.Eventually(t, 30*time.Second, "the log tells", func() bool { return strings.Contains(r.log.String(), `"dashboard":"http://localhost:`) })
}

func TestAStartWithoutRulesIsLoggedAsNotReady(t *testing.T) {
	r := start(t, "domain: [", nil)
	partstest.Eventually(t, 30*time.Second, "the log says why", func() bool {
		return strings.Contains(r.log.String(), `"limits":0`) && strings.Contains(r.log.String(), `"reason":"no rules were ever loaded from `+r.rules)
	})
}
