package parts

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"
)

// WeirProcess is a running `weir serve` or `weir ratelimit`, by the addresses, host:port, at
// which it serves; one that it does not serve is empty.
type WeirProcess struct {
	*Process
	GRPC    string // the rate limit service
	HTTP    string // health, and of `weir serve` metrics and the API
	Line    string // the line protocol
	Debug   string // the debug port of `weir ratelimit`
	Metrics string // Prometheus's metrics
}

// StartWeir runs `binary serve args...` and returns when it is ready to answer.
// Port 0 in its listen addresses means any free port.
func StartWeir(binary string, args ...string) (*WeirProcess, error) {
	process, err := Start(binary, "", append([]string{"serve"}, args...)...)
	if err != nil {
		return nil, err
	}
	return whenReady(process, "/readyz")
}

// StartRatelimit runs a weir whose path or arguments make it the drop-in for
// envoyproxy/ratelimit, and returns when it is healthy.
func StartRatelimit(o Program) (*WeirProcess, error) {
	process, err := o.Start()
	if err != nil {
		return nil, err
	}
	return whenReady(process, "/healthcheck")
}

// whenReady is a weir, once the page of its HTTP port says that it is ready.
func whenReady(process *Process, page string) (*WeirProcess, error) {
	w := &WeirProcess{Process: process}
	err := process.await(func(ctx context.Context) error {
		if !w.listening() {
			return errors.New("it has not logged its addresses")
		}
		_, err := get(ctx, "http://"+w.HTTP+page)
		return err
	})
	if err != nil {
		return nil, err
	}
	return w, nil
}

// listening reads the addresses from the log line that announces them. What Go's
// runtime writes, if it is told to trace, may stand in the same line before it.
func (w *WeirProcess) listening() bool {
	for _, line := range w.log.Lines() {
		var event struct {
			Msg, GRPC, HTTP, Line, Debug, Metrics string
			DropIn                                string `json:"@message"`
		}
		begin := max(0, bytes.IndexByte(line, '{'))
		if json.Unmarshal(line[begin:], &event) == nil && event.Msg+event.DropIn == "listening" {
			w.GRPC, w.HTTP, w.Line, w.Debug = event.GRPC, event.HTTP, event.Line, event.Debug
			w.Metrics = cmp.Or(event.Metrics, event.HTTP)
			return true
		}
		if at := bytes.Index(line, []byte("msg=listening ")); at >= 0 { // as the drop-in writes it
			stated := map[string]string{}
			for pair := range strings.FieldsSeq(string(line[at:])) {
				name, value, _ := strings.Cut(pair, "=")
				stated[name] = value
			}
			w.GRPC, w.HTTP, w.Debug, w.Metrics = stated["grpc"], stated["http"], stated["debug"], stated["metrics"]
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
	page, err := get(ctx, "http://"+w.Metrics+"/metrics")
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
