package envoy

import (
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-rls/weir/internal/parts/partstest"
)

// What a running Envoy says that it has is read too: in a mesh nothing else tells all.
func TestCheck_ReadsWhatARunningEnvoyHas(t *testing.T) {
	text := read(t, "testdata/sound/bootstrap/envoy.yaml") + "admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}\n"
	running := partstest.Envoy(t, []byte(strings.ReplaceAll(text, "port_value: 10000", "port_value: 0")))
	response, err := http.Get("http://" + running.Admin + "/config_dump")
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer response.Body.Close()
	dump, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file, other := filepath.Join(dir, "dump.json"), filepath.Join(dir, "rules.yaml")
	write(t, file, string(dump))
	const rules = "testdata/sound/bootstrap/rules.yaml"
	if faults := check(rules, file); len(faults) > 0 {
		t.Error(faults.Text())
	}
	write(t, other, strings.ReplaceAll(read(t, rules), "tenant", "tenants"))
	if faults := check(other, file); faults.Count(failure) == 0 {
		t.Errorf("rules of another key are no fault: %s", faults.Text())
	}
}
