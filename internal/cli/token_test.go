package cli

import (
	"strings"
	"testing"

	"github.com/weir-rls/weir/admin"
)

// What is printed lets the token in and tells it to nobody who reads the file.
func TestToken_PrintsARandomTokenAndTheLineThatKnowsIt(t *testing.T) {
	met := map[string]bool{}
	for _, args := range []string{"ann", "ann --role viewer", "ann --role operator"} {
		got := weir(t, nil, append([]string{"token"}, strings.Fields(args)...)...)
		lines := strings.Split(got.stdout, "\n")
		if got.code != exitOK || got.stderr != "" || len(lines) != 5 || lines[0][0] != '#' || lines[2][0] != '#' {
			t.Fatalf("%s: %+v", args, got)
		}
		secret, line := lines[1], lines[3]
		if met[secret] || len(secret) < 64 || strings.Contains(line, secret) {
			t.Errorf("%s: %q stands in %q, is short or was there before", args, secret, line)
		}
		met[secret] = true
		role := admin.Viewer
		if strings.Contains(args, "operator") {
			role = admin.Operator
		}
		known, err := admin.ParseTokens("f", []byte(line+"\n"))
		if err != nil || len(known) != 1 || known[0] != admin.NewToken(role, "ann", secret) {
			t.Errorf("%s: %q is read as %v, %v", args, line, known, err)
		}
	}
}
