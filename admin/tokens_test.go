package admin_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/weir-rls/weir/admin"
)

// A role decides what a token may do: reading for a viewer, all for an operator.
// Taking tokens is a change.
func TestRoles_AViewerReadsAndAnOperatorChanges(t *testing.T) {
	const viewer, operator = "v-secret", "o-secret"
	told := map[string]int{}
	w := guarded(t, admin.Guard{
		Tokens:  tokens(admin.NewToken(admin.Viewer, "dashboard", viewer), admin.NewToken(admin.Operator, "ann", operator)),
		Refused: func(_ *http.Request, status int, why string) { told[fmt.Sprint(status, " ", why)]++ },
	})
	do := func(token, method, path, body string) answer {
		r := request(method, path, body)
		r.RemoteAddr, r.Host = "10.0.0.7:1", "weir.example"
		r.Header.Set("Authorization", "Bearer "+token)
		return w.do(r)
	}
	for _, c := range []struct{ method, path, body string }{
		{"PUT", "/api/v1/limits/vip", `{"rate": "1/s"}`},
		{"DELETE", "/api/v1/limits/vip", ""},
		{"POST", "/api/v1/check", `{"domain": "llm", "descriptors": [{"entries": [{"key": "user", "value": "u"}]}]}`},
	} {
		before := w.version()
		got := do(viewer, c.method, c.path, c.body)
		if got.Code != 403 || got.Header().Get("Content-Type") != "application/problem+json" || w.version() != before {
			t.Errorf("a viewer's %s %s: %d %s", c.method, c.path, got.Code, got.Body)
		}
		if got := do(operator, c.method, c.path, c.body); got.Code != 200 {
			t.Errorf("an operator's %s %s: %d %s", c.method, c.path, got.Code, got.Body)
		}
		for _, secret := range []string{viewer, operator, "dashboard"} {
			if strings.Contains(got.Body.String(), secret) {
				t.Errorf("%s is told: %s", secret, got.Body)
			}
		}
	}
	for _, method := range []string{"GET", "HEAD"} {
		if got := do(viewer, method, "/api/v1/limits", ""); got.Code != 200 {
			t.Errorf("a viewer's %s: %d %s", method, got.Code, got.Body)
		}
	}
	do("another", "GET", "/api/v1/limits", "")
	if told["401 the token is wrong"] != 1 || told["403 the token is a viewer's, which may read and nothing else"] != 3 || len(told) != 2 {
		t.Errorf("told of refusals: %v", told)
	}
}

// Who changed something stands in the history, without being asked for it.
func TestTheNameOfATokenIsTheAuthor(t *testing.T) {
	const operator = "the token of an operator"
	w := guarded(t, admin.Guard{Tokens: tokens(admin.NewToken(admin.Operator, "ann", operator))})
	for _, r := range []*http.Request{request("PUT", "/api/v1/limits/vip", `{"rate": "1/s"}`), request("GET", "/api/v1/history", "")} {
		r.Header.Set("Authorization", "Bearer "+operator)
		if got := w.do(r); got.at("change", "author") != "ann" && got.at("history", "author") != "ann" {
			t.Errorf("%s %s: %s", r.Method, r.URL, got.Body)
		}
	}
}

// A hash that is nearly that of a token opens nothing.
func TestATokenIsKnownByTheWholeOfItsHash(t *testing.T) {
	const sent = "the token of an operator"
	for i := range 32 {
		token := admin.NewToken(admin.Operator, "ann", sent)
		token.Hash[i] ^= 1
		r := request("GET", "/", "")
		r.Header.Set("Authorization", "Bearer "+sent)
		if got := guarded(t, admin.Guard{Tokens: tokens(token)}).do(r); got.Code != 401 {
			t.Fatalf("byte %d differs: %d", i, got.Code)
		}
	}
}

func TestTokensFile_IsReadStrictly(t *testing.T) {
	hash := strings.Repeat("0a", 32)
	good := "viewer ann sha256:" + hash
	for name, c := range map[string]struct{ text, want string }{
		"nothing":            {"", ""},
		"comments":           {"# who\n\n  # " + hash + "\r\n", ""},
		"one":                {good, ""},
		"blanks and capital": {"\t viewer   ann  sha256:" + strings.ToUpper(hash) + " \r\n", ""},
		"two of a name":      {good + "\noperator ann sha256:" + strings.Repeat("0b", 32), ""},
		"a token twice":      {"\n" + good + "\noperator bob sha256:" + hash, "f:3: the token is that of line 2"},
		"a token itself":     {"weir_secretsecret", "f:1: the line has 1 parts, not 3"},
		"a comment behind":   {good + " # ann", "f:1: the line has 5 parts"},
		"no name":            {"viewer sha256:" + hash, "f:1: the line has 2 parts"},
		"another role":       {"# x\nadmin ann sha256:" + hash, "f:2: the role is neither viewer nor operator"},
		"a role in capitals": {"Viewer ann sha256:" + hash, "f:1: the role is neither"},
		"a route's role":     {"everyone ann sha256:" + hash, "f:1: the role is neither"},
		"a name in color":    {"viewer \x1b[31m sha256:" + hash, "f:1: a name has 1 to 64"},
		"a long name":        {"viewer " + strings.Repeat("n", 65) + " sha256:" + hash, "f:1: a name has 1 to 64"},
		"no algorithm":       {"viewer ann " + hash, "f:1: the hash is not"},
		"another algorithm":  {"viewer ann md5:" + hash, "f:1: the hash is not"},
		"a short hash":       {"viewer ann sha256:" + hash[2:], "f:1: the hash is not"},
		"a long hash":        {"viewer ann sha256:" + hash + "00", "f:1: the hash is not"},
		"a token for a hash": {"viewer ann sha256:weir_" + hash[5:], "f:1: the hash is not"},
		"a bad line amid":    {good + "\nx\n" + good, "f:2: "},
		"too large":          {strings.Repeat("#", admin.MaxTokensFile+1), "f: the file has more than"},
	} {
		all, err := admin.ParseTokens("f", []byte(c.text))
		switch {
		case c.want == "" && err != nil, c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want) || all != nil):
			t.Errorf("%s: %v, %v, want %q", name, all, err, c.want)
		case err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), hash[5:]) || strings.Contains(err.Error(), "\x1b")):
			t.Errorf("%s: the fault repeats the line: %v", name, err)
		}
	}
}

func FuzzTokensFile(f *testing.F) {
	f.Add("# a\nviewer ann sha256:" + strings.Repeat("0a", 32) + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := admin.ParseTokens("f", []byte(text))
		if err != nil {
			return
		}
		var lines []string
		for _, token := range all {
			lines = append(lines, token.Line())
		}
		again, err := admin.ParseTokens("f", []byte(strings.Join(lines, "\n")))
		if err != nil || !slices.Equal(all, again) {
			t.Errorf("%q is read as %v, which is written and read as %v, %v", text, all, again, err)
		}
	})
}
