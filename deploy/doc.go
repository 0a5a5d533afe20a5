// Package deploy is what an operator takes into other systems: a dashboard for Grafana,
// alerts for Prometheus. Its tests need Prometheus' own parser and engine, which stay out of
// weir by way of a module of their own.
package deploy
