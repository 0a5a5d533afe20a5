package stats

import (
	"encoding/json"
	"expvar"
	"fmt"
	"net/http"
)

// StatsHandler serves what the process has in expvar, a line of name and JSON each, as the
// reference does, and under "ratelimit" everything that is counted, by its dotted name.
func (s *Stats) StatsHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		expvar.Do(func(v expvar.KeyValue) { fmt.Fprintf(w, "%s: %s\n", v.Key, v.Value) })
		all := map[string]uint64{}
		s.read(func(v number) bool { all[v.name()] = v.n; return true })
		text, _ := json.Marshal(all) // names are valid UTF-8, and the rest are numbers
		fmt.Fprintf(w, "ratelimit: %s\n", text)
	})
}
