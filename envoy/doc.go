// Package envoy is about what Envoy must be told so that rules mean what they say:
// it checks its configuration against rule files.
package envoy
