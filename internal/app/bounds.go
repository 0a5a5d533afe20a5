package app

import (
	"github.com/weir-rls/weir/internal/config"
	"github.com/weir-rls/weir/service"
)

const (
	// recvFactor is how many times as large as what is judged a message may be that
	// gRPC receives. One beyond it is an error, which Envoy admits. Envoy's headers
	// have at most 60 KiB by default: 32 descriptors that each repeat them make 1.9 of
	// the 2 MiB that are judged, and 16 MiB are 273 copies.
	recvFactor = 8

	// excessesPerSecond is how many requests beyond one bound are logged in a second.
	excessesPerSecond = 1
)

func boundsOf(s config.Settings) service.Bounds {
	return service.Bounds{
		MessageBytes: s.MaxMessageBytes, Descriptors: s.MaxDescriptors, Entries: s.MaxEntries, KeyBytes: s.MaxKeyBytes, ValueBytes: s.MaxValueBytes,
		InFlight: s.MaxInFlight, InFlightBytes: s.MaxInFlightBytes,
	}
}

// excess is told of each request beyond a bound. The log has no word of the request:
// its domain may be a client's text.
func (a *App) excess(bound string) {
	a.metrics.Excess(bound)
	if suppressed, tell := a.excesses.Sample("", bound); tell {
		a.log.Warn("a request was not judged, because it is beyond a bound", "bound", bound, "verdict", a.excessVerdict(bound), "more", suppressed)
	}
}

// excessVerdict is what becomes of a request beyond a bound.
func (a *App) excessVerdict(bound string) string {
	if bound == "waiters" {
		return config.ExcessDeny
	}
	return a.settings.OnExcess
}
