package parts

import (
	"context"
	"encoding/json"
	"errors"
)

// WeirProcess is a running `weir serve`.
type WeirProcess struct {
	*Process
	GRPC string // host:port of the rate limit service
	HTTP string // host:port of health and metrics
}

// StartWeir runs `binary serve args...` and returns when it is ready to answer.
// Port 0 in its listen addresses means any free port.
func StartWeir(binary string, args ...string) (*WeirProcess, error) {
	process, err := Start(binary, "", append([]string{"serve"}, args...)...)
	if err != nil {
		return nil, err
	}
	w := &WeirProcess{Process: process}
	if err := process.await(w.ready); err != nil {
		return nil, err
	}
	return w, nil
}

func (w *WeirProcess) ready(ctx context.Context) error {
	if !w.listening() {
		return errors.New("it has not logged its addresses")
	}
	_, err := get(ctx, "http://"+w.HTTP+"/readyz")
	return err
}

// listening reads the addresses from the log line that announces them.
func (w *WeirProcess) listening() bool {
	for _, line := range w.log.Lines() {
		var event struct{ Msg, GRPC, HTTP string }
		if json.Unmarshal(line, &event) == nil && event.Msg == "listening" {
			w.GRPC, w.HTTP = event.GRPC, event.HTTP
			return true
		}
	}
	return false
}
