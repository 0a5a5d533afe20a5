package cli

import (
	"os"
	"testing"
)

func TestSchema_PrintsTheCommittedFile(t *testing.T) {
	want, err := os.ReadFile("../../docs/rules.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if got := weir(t, nil, "schema"); got.code != exitOK || got.stderr != "" || got.stdout != string(want) {
		t.Errorf("exit code %d, stderr %q, or the schema is not docs/rules.schema.json", got.code, got.stderr)
	}
}
