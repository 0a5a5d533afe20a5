package deploy

import "fmt"

// story is series, of one sample a minute, on which an alert fires, and others on which it
// does not.
type story struct{ fires, quiet string }

const at = `job="weir", instance="a:8080"`

// stories by the alert's name.
var stories = map[string]story{
	"WeirAbsent": {
		fires: "  up{job=\"weir\"} 0x45\n",
		quiet: `  weir_build_info{` + at + `, version="1"} 1x45` + "\n",
	},
	"WeirStoreDown": {
		fires: `  weir_store_up{` + at + `} 1x10 0x10 1x25` + "\n",
		quiet: `  weir_store_up{` + at + `} 1x10 0 1x34` + "\n", // back within the minute
	},
	"WeirStoreErrors": {
		fires: `  weir_store_errors_total{` + at + `, kind="timeout"} 0+20x45` + "\n" + `  weir_store_duration_seconds_count{` + at + `, result="ok"} 0+980x45` + "\n" +
			`  weir_store_duration_seconds_count{` + at + `, result="error"} 0+20x45` + "\n",
		quiet: `  weir_store_errors_total{` + at + `, kind="timeout"} 0+5x45` + "\n" + `  weir_store_duration_seconds_count{` + at + `, result="ok"} 0+995x45` + "\n" +
			`  weir_store_duration_seconds_count{` + at + `, result="error"} 0+5x45` + "\n",
	},
	"WeirStoreSlow": {
		fires: latency("weir_store_duration_seconds", "ok", 50),
		quiet: latency("weir_store_duration_seconds", "ok", 0) + latency("weir_store_duration_seconds", "error", 50),
	},
	"WeirDegraded": {
		fires: `  weir_degraded_decisions_total{` + at + `, by="local"} 0+3x45` + "\n",
		quiet: `  weir_degraded_decisions_total{` + at + `, by="local"} 7x10 9x35` + "\n", // once
	},
	"WeirErrors": {
		fires: `  weir_request_duration_seconds_count{` + at + `, result="ok"} 0+950x45` + "\n" + `  weir_request_duration_seconds_count{` + at + `, result="error"} 0+50x45` + "\n",
		quiet: `  weir_request_duration_seconds_count{` + at + `, result="ok"} 0+950x45` + "\n" + `  weir_request_duration_seconds_count{` + at + `, result="over_limit"} 0+500x45` + "\n" +
			`  weir_request_duration_seconds_count{` + at + `, result="error"} 0+5x45` + "\n",
	},
	"WeirSlow": {
		fires: latency("weir_request_duration_seconds", "ok", 50),
		quiet: latency("weir_request_duration_seconds", "ok", 50) + `  weir_wait_duration_seconds_count{` + at + `} 0+50x45` + "\n", // they were held
	},
	"WeirShedsLoad": {
		fires: `  weir_excess_requests_total{` + at + `, bound="in_flight"} 0+30x45` + "\n",
		quiet: `  weir_excess_requests_total{` + at + `, bound="in_flight"} 30x45` + "\n" + `  weir_excess_requests_total{` + at + `, bound="descriptors"} 0+30x45` + "\n",
	},
	"WeirExcessRequests": {
		fires: `  weir_excess_requests_total{` + at + `, bound="descriptors"} 0+30x45` + "\n",
		quiet: `  weir_excess_requests_total{` + at + `, bound="in_flight"} 0+30x45` + "\n",
	},
	"WeirRuleFaults": {
		fires: `  weir_rule_faults{` + at + `} 0x5 2x40` + "\n",
		quiet: `  weir_rule_faults{` + at + `} 0x5 2x3 0x40` + "\n",
	},
	"WeirADSDisconnected": {
		fires: `  weir_ads_connected{job="weir", instance="b:8080"} 0x45` + "\n" + `  weir_ads_last_update_timestamp_seconds{job="weir", instance="b:8080"} 0x45` + "\n" + // a new one
			`  weir_ads_connected{` + at + `} 1x45` + "\n" + `  weir_ads_last_update_timestamp_seconds{` + at + `} 1.7e9x45` + "\n",
		quiet: `  weir_ads_connected{` + at + `} 1x5 0x8 1x32` + "\n" + `  weir_ads_last_update_timestamp_seconds{` + at + `} 1.7e9x45` + "\n" + // back within minutes
			`  weir_ads_connected{job="files", instance="b:8080"} 0x45` + "\n" + `  weir_ads_last_update_timestamp_seconds{job="files", instance="b:8080"} 0x45` + "\n", // needs none
	},
	"WeirUnknownDomain": {
		fires: `  weir_unknown_domain_requests_total{` + at + `} 0+60x45` + "\n",
		quiet: `  weir_unknown_domain_requests_total{` + at + `} 0x10 60x35` + "\n",
	},
	"WeirLimitRefusesMost": {
		fires: refused(200, 100),
		quiet: refused(100, 200) + `  weir_decisions_total{` + at + `, domain="d", limit="rare", outcome="denied"} 0+5x45` + "\n", // all of a few
	},
	"WeirMemoryFull": {
		fires: `  weir_memory_overflow_charges_total{` + at + `} 0+10x45` + "\n",
		quiet: `  weir_memory_overflow_charges_total{` + at + `} 10x45` + "\n",
	},
	"WeirLedgerDown": {
		fires: `  weir_ledger_up{` + at + `} 1x5 0x40` + "\n",
		quiet: `  weir_ledger_up{` + at + `} 1x5 0x2 1x38` + "\n",
	},
	"WeirChangesLeftOut": {
		fires: `  weir_changes{` + at + `, state="left_out"} 1x45` + "\n",
		quiet: `  weir_changes{` + at + `, state="left_out"} 0x45` + "\n" + `  weir_changes{` + at + `, state="in_force"} 3x45` + "\n",
	},
	"WeirForgedReceipts": {
		fires: `  weir_receipts_total{` + at + `, result="forged"} 0+5x45` + "\n",
		quiet: `  weir_receipts_total{` + at + `, result="redeemed"} 0+500x45` + "\n" + `  weir_receipts_total{` + at + `, result="repeated"} 0+5x45` + "\n",
	},
	"WeirPanics": {
		fires: `  weir_panics_total{` + at + `} 0x10 1x35` + "\n",
		quiet: `  weir_panics_total{` + at + `} 1x45` + "\n",
	},
	"WeirEventsDropped": {
		fires: `  weir_events_dropped_total{` + at + `, sink="webhook"} 0+5x45` + "\n",
		quiet: `  weir_events_dropped_total{` + at + `, sink="decisions"} 0+500x45` + "\n", // as its bound wants it
	},
	"WeirTracesLost": {
		fires: `  weir_trace_spans_total{` + at + `, result="failed"} 0+5x45` + "\n",
		quiet: `  weir_trace_spans_total{` + at + `, result="sent"} 0+500x45` + "\n",
	},
}

// latency is that of 1,000 calls a minute, of which so many take half a second, the others
// 2 ms.
func latency(metric, result string, slow int) string {
	of := func(le string, n int) string {
		return fmt.Sprintf("  %s_bucket{%s, result=%q, le=%q} 0+%dx45\n", metric, at, result, le, n)
	}
	return of("0.001", 0) + of("0.0025", 1000-slow) + of("0.25", 1000-slow) + of("0.5", 1000) + of("+Inf", 1000)
}

// refused are the calls of one limit in each minute.
func refused(denied, allowed int) string {
	of := func(outcome string, n int) string {
		return fmt.Sprintf("  weir_decisions_total{%s, domain=\"d\", limit=\"l\", outcome=%q} 0+%dx45\n", at, outcome, n)
	}
	return of("denied", denied) + of("allowed", allowed)
}
