package parts

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"
)

// WeirProcess is a running `weir serve`, or a drop-in that logs JSON.
type WeirProcess struct {
	*Process
	GRPC string // host:port of the rate limit service
	HTTP string // host:port of health, metrics and the API
	Line string // host:port of the line protocol, empty where it is not served
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

// listening reads the addresses from the log line that announces them. What Go's
// runtime writes, if it is told to trace, may stand in the same line before it.
func (w *WeirProcess) listening() bool {
	for _, line := range w.log.Lines() {
		var event struct {
			Msg, GRPC, HTTP, Line string
			DropIn                string `json:"@message"`
		}
		begin := max(0, bytes.IndexByte(line, '{'))
		if json.Unmarshal(line[begin:], &event) == nil && event.Msg+event.DropIn == "listening" {
			w.GRPC, w.HTTP, w.Line = event.GRPC, event.HTTP, event.Line
			return true
		}
	}
	return false
}

// Metric is the value of a series, with its labels as /metrics writes them, such
// as weir_receipts_total{result="redeemed"}. As with [EnvoyProcess.Stat] one that
// is absent is 0.
func (w *WeirProcess) Metric(series string) (int64, error) {
	// With 100,000 limits the page has 11 MB, and a busy machine needs seconds.
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	page, err := get(ctx, "http://"+w.HTTP+"/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(page)) {
		if value, found := strings.CutPrefix(line, series+" "); found {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64) // Prometheus writes 1e+06
			return int64(n), err
		}
	}
	return 0, nil
}
