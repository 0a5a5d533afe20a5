package ratelimit

import (
	"net/http"
	"sync"

	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// healthName is that by which grpc.health.v1 is asked for the service. The server as a
// whole, which has no name, always serves.
const healthName = "ratelimit"

// part is one of those that the service needs to be healthy.
type part uint8

const (
	partRedis  part = iota // the store
	partConfig             // rules that have a domain, if they are waited for
	partStop               // nobody asked the service to end
	parts
)

// vitals are how well the service is, which /healthcheck and grpc.health.v1 tell.
type vitals struct {
	grpc *health.Server

	mu     sync.Mutex
	unwell [parts]bool
}

// newVitals are those of a service of which some parts are unwell until they are set.
func newVitals(unwell ...part) *vitals {
	v := &vitals{grpc: health.NewServer()}
	for _, p := range unwell {
		v.unwell[p] = true
	}
	v.tell()
	return v
}

func (v *vitals) set(p part, well bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.unwell[p] = !well
	v.tell()
}

func (v *vitals) tell() {
	status := healthpb.HealthCheckResponse_SERVING
	if !v.well() {
		status = healthpb.HealthCheckResponse_NOT_SERVING
	}
	v.grpc.SetServingStatus(healthName, status)
}

func (v *vitals) well() bool { return v.unwell == [parts]bool{} }

// ServeHTTP answers /healthcheck.
func (v *vitals) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	v.mu.Lock()
	well := v.well()
	v.mu.Unlock()
	if !well {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	_, _ = w.Write([]byte("OK")) // a client that has gone needs no answer
}
