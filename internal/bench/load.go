package bench

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Load is what is sent, to whom, and how much of it at once.
type Load struct {
	Target       string   // HOST:PORT of the service
	Domain       string   // of every request
	Descriptors  []string // each "key=value,key=value"; %d in a value is the number of the key, %{10} that modulo 10
	Keys         int      // how many different requests there are
	Distribution string   // one of [Distributions]
	Seed         uint64   // of the random choice of keys
	Hits         uint32   // hits_addend of every request; 0 leaves it out

	InFlight    int           // requests under way at most
	Connections int           // that they share; never more are opened than InFlight
	Rate        int           // requests to send in a second (open loop); 0: each answer is followed by the next request (closed loop)
	Timeout     time.Duration // deadline of a request, sent with it as Envoy does
}

const (
	maxInFlight    = 10_000
	maxConnections = 1_000
	maxRequests    = 8_000_000 // keys times descriptors that are kept encoded: some 300 MB
	maxRate        = 1_000_000
)

// Check tells every fault of a load by the name of the flag of weir bench that
// sets it, with the remedy.
func (l Load) Check() error {
	var faults []error
	within := func(flag string, value, least, most int) {
		if value < least || value > most {
			faults = append(faults, fmt.Errorf("--%s: %d is not from %d to %d", flag, value, least, most))
		}
	}
	if l.Target == "" {
		faults = append(faults, errors.New("--target is empty: write HOST:PORT of a rate limit service"))
	}
	if l.Domain == "" {
		faults = append(faults, errors.New("--domain is empty: write the domain of the rules that are to be met"))
	}
	if len(l.Descriptors) == 0 {
		faults = append(faults, errors.New("--descriptor is empty: write user=u%d"))
	}
	for _, text := range l.Descriptors {
		if _, err := parseDescriptor(text); err != nil {
			faults = append(faults, err)
		}
	}
	if !slices.Contains(Distributions, l.Distribution) {
		faults = append(faults, fmt.Errorf("--distribution: %q is none of %s", l.Distribution, strings.Join(Distributions, ", ")))
	}
	within("keys", l.Keys, 1, maxRequests/max(1, len(l.Descriptors)))
	within("in-flight", l.InFlight, 1, maxInFlight)
	within("connections", l.Connections, 1, maxConnections)
	within("rate", l.Rate, 0, maxRate)
	if l.Timeout <= 0 {
		faults = append(faults, fmt.Errorf("--timeout: %v is not above 0: a server that hangs would hang the load", l.Timeout))
	}
	return errors.Join(faults...)
}
