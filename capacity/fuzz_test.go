package capacity

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/weir-rls/weir/descriptors"
)

// Whatever an Envoy answers, no more hosts are counted than it names, and a cluster that
// it does not name is an error, not an empty one.
func FuzzClusters(f *testing.F) {
	for _, text := range []string{
		`{"cluster_statuses": [{"name": "other"}, {"name": "backend", "host_statuses": [{"health_status": {"eds_health_status": "HEALTHY"}}, {"health_status": {"failed_active_health_check": true}}]}]}`,
		`{"cluster_statuses": [{"name": "backend", "host_statuses": [{}, {"health_status": null}, {"health_status": {"eds_health_status": 7}}]}]}`,
		`{"cluster_statuses": []}`, `{}`, `[]`, "",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		hosts, err := healthyIn(body, "backend")
		if hosts < 0 || hosts > int64(bytes.Count(body, []byte("{"))+bytes.Count(body, []byte("null"))) || err != nil && hosts != 0 {
			t.Fatalf("%q has %d hosts, %v", body, hosts, err)
		}
		if err == nil && !json.Valid(body) {
			t.Fatalf("%q is read", body)
		}
		if named := bytes.Contains(body, []byte("backend")) || bytes.Contains(body, []byte(`\u`)); err == nil && !named {
			t.Fatalf("%q has a cluster that it does not name", body)
		}
	})
}

// Whatever stands in the records of a ledger, what is read of it is a size that a pool can
// have, and a state that can go on: the one that is stated, where it is none.
func FuzzSizes(f *testing.F) {
	pool := descriptors.Pool{PoolID: descriptors.PoolID{Domain: "d", Name: "units"}, Size: 100, Instances: &descriptors.Instances{UnitsEach: 20, Min: 20, Max: 400}}
	for _, text := range []string{
		`{"level": 100000, "size": 100, "target": 100, "counted": 5, "factor": 1000000, "source": "heartbeats"}`,
		`{"total": 200}`, `{"per_instance": 20, "instances": 3, "expires": "2026-01-02T03:04:05Z"}`, `{"per_instance": 4294967296, "instances": 9223372036854775807}`,
		`{"freeze": true}`, `{"level": -1}`, `{"size": 9223372036854775807}`, "null", "",
	} {
		f.Add("size/d/units", []byte(text))
	}
	f.Add("size/%zz/units", []byte(`{"size": 1}`))
	f.Fuzz(func(t *testing.T, name string, raw []byte) {
		s, found := decode(raw, pool)
		if s.Level <= 0 || s.Factor <= 0 || s.Factor > whole || !found && s.Size != pool.Size {
			t.Fatalf("%q is the state %+v", raw, s)
		}
		for id, size := range sizesOf(map[string][]byte{name: raw}) {
			if again, ok := idOf(sizePrefix + nameOf(id)); size <= 0 || !ok || again != id {
				t.Fatalf("%q: %q is the size %d of %+v", name, raw, size, id)
			}
		}
		now := time.Now()
		h, _ := hand(map[string][]byte{handPrefix + nameOf(pool.PoolID): raw, freezePrefix + nameOf(pool.PoolID): raw}, pool.PoolID, now)
		if h == nil {
			return
		}
		if size := h.size(); size <= 0 || h.over(now) {
			t.Fatalf("%q sets %d by hand", raw, size)
		}
		if units := clamp(pool.Instances, h.size()); units < pool.Instances.Min || units > pool.Instances.Max || units > math.MaxUint32 {
			t.Fatalf("%q makes a size of %d", raw, units)
		}
	})
}
