// Package stats counts what the drop-in decides under the names of the reference service,
// and shows it as statsd lines, as dogstatsd lines or to Prometheus, so that dashboards and
// pipelines that were made for the reference go on as they are.
//
// What is counted for one limit is found by [Stats.Limit], without a lock and without an
// allocation once it is known. Clients can make names, by overrides and detailed metrics, so
// there is a bound: beyond it is counted under "other" of the domain.
package stats
