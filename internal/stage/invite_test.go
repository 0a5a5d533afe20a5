package stage_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/stage"
)

// After the story of any example the user is led to a dashboard that is there, and is told
// the token without which it does not open.
func TestInvite_LeadsToTheDashboardWithItsToken(t *testing.T) {
	for token, opens := range map[string]int{"": 200, "weir_of-the-operator-of-the-example": 401} {
		e := stage.Example{Token: token}
		s, err := begin(t, "memory", stage.Options{}, func(e *stage.Example) { e.Token = token })
		if err != nil {
			t.Fatal(err)
		}
		var told strings.Builder
		s.Screen = stage.NewScreen(&told)
		stage.Invite(e, s)
		if address := "http://" + s.Weirs[0].HTTP + "/dashboard"; !strings.Contains(told.String(), "open "+address+" in a browser") {
			t.Errorf("it does not name %s:\n%s", address, told.String())
		}
		if strings.Contains(told.String(), "log in") != (token != "") || !strings.Contains(told.String(), token) {
			t.Errorf("with the token %q it tells\n%s", token, told.String())
		}
		for given, want := range map[string]int{"": opens, token: 200} {
			r, err := http.NewRequest(http.MethodGet, "http://"+s.Weirs[0].HTTP+"/api/v1/limits", nil)
			if err != nil {
				t.Fatal(err)
			}
			if given != "" {
				r.Header.Set("Authorization", "Bearer "+given)
			}
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
			if answer.StatusCode != want {
				t.Errorf("with %q for %q: %s", given, token, answer.Status)
			}
		}
		http.DefaultClient.CloseIdleConnections()
	}
}

// The README names the port of the dashboard: it is that one where nobody else has it, and
// the reader is told where somebody has.
func TestStage_ServesTheDashboardAtItsPort(t *testing.T) {
	addr, err := parts.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(addr[strings.LastIndex(addr, ":")+1:])
	if err != nil {
		t.Fatal(err)
	}
	s, err := begin(t, "redis", stage.Options{HTTP: port})
	if err != nil {
		t.Fatal(err)
	}
	if s.Weirs[0].HTTP != addr || s.Weirs[1].HTTP == addr {
		t.Errorf("the weirs serve at %s and %s, want the first at %s", s.Weirs[0].HTTP, s.Weirs[1].HTTP, addr)
	}
	if other, err := begin(t, "memory", stage.Options{HTTP: port}); err != nil || other.Weirs[0].HTTP == addr {
		t.Errorf("a second one at the same port: %v", err)
	}
}
