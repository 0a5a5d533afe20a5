package admin_test

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/weir-rls/weir/admin"
)

// Each command of the reference page does what it says, one after the other.
func TestTheCommandsOfThePageRun(t *testing.T) {
	page, err := os.ReadFile("../docs/reference/api.md")
	if err != nil {
		t.Fatal(err)
	}
	rules := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(page)[1]
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "rules.yaml"), rules, 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorldOf(t, admin.Guard{}, inMemory(t), dir, nil)
	server := httptest.NewServer(w)
	defer server.Close()
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllSubmatch(page, -1) {
		for command := range strings.Lines(string(block[1])) {
			run := exec.Command("sh", "-c", strings.ReplaceAll(command, "localhost:8080", server.Listener.Addr().String()))
			if said, err := run.CombinedOutput(); err != nil || !strings.HasPrefix(string(said), "{") {
				t.Errorf("%s%v: %s", command, err, said)
			}
		}
	}
	shown := regexp.MustCompile("(?s)```json\n(.*?)```").FindSubmatch(page)[1]
	if got := w.ask("PUT", "/api/v1/limits/per-user", `{"rate": "10"}`).Body.String(); got != string(shown) {
		t.Errorf("a problem is shown as\n%sbut is\n%s", shown, got)
	}
}
