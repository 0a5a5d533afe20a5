package stats

import (
	"encoding/json"
	"expvar"
	"fmt"
	"net/http"
)

// StatsHandler serves a JSON object: what the process has in expvar and, under "ratelimit",
// everything that is counted, by its dotted name.
func (s *Stats) StatsHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		all := map[string]uint64{}
		s.read(func(v value) bool { all[v.name] = v.n; return true })
		text, _ := json.Marshal(all) // names are valid UTF-8, and the rest are numbers
		fmt.Fprintf(w, "{\n\"ratelimit\": %s", text)
		expvar.Do(func(v expvar.KeyValue) { fmt.Fprintf(w, ",\n%q: %s", v.Key, v.Value) })
		fmt.Fprint(w, "\n}\n")
	})
}
