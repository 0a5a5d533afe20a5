package simulate

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-rls/weir/descriptors"
)

func loadRules(t testing.TB, text string) *descriptors.Rules {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	rules, faults := descriptors.Load([]string{path}, descriptors.Options{})
	if rules == nil || len(faults) > 0 {
		t.Fatal(faults.Text())
	}
	return rules
}

const userRules = `
domain: shop
descriptors: [{key: user, limits: [{name: per-user, rate: 60/min, burst: 20}]}]
`

// One limit a request, of an Envoy's access log and made up.
func BenchmarkRequest(b *testing.B) {
	b.Run("generated", func(b *testing.B) {
		b.ReportAllocs()
		l, err := Generate(fmt.Sprintf("rate=500/s,for=%dms,user=zipf(1000)", 2*b.N), 1, &Format{Domain: "shop"})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := Run(b.Context(), Options{Trace: l, Rules: loadRules(b, userRules)}); err != nil {
			b.Fatal(err)
		}
	})
	b.Run("access log", func(b *testing.B) {
		b.ReportAllocs()
		var lines strings.Builder
		for i := range b.N {
			fmt.Fprintf(&lines, `{"start_time":"%s","method":"GET","path":"/api/v1/items/%d","response_code":200,"response_flags":"-","duration":12,"x_user":"user-%d","bytes_sent":1234,"upstream":null}`+"\n",
				micros(1_800_000_000_000_000+int64(i)*2000).Format("2006-01-02T15:04:05.000Z"), i, i*i%1000)
		}
		f := &Format{Domain: "shop", Map: []descriptors.Descriptor{{Entries: []descriptors.Entry{{Key: "user", Value: "x_user"}}}}}
		b.ResetTimer()
		if _, err := Run(b.Context(), Options{Trace: JSONLines(f, bufio.NewReader(strings.NewReader(lines.String()))), Reorder: 5e9, Rules: loadRules(b, userRules)}); err != nil {
			b.Fatal(err)
		}
	})
}
