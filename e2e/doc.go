// Package e2e holds the tests that run weir as its users do: the real Envoy in
// front, a real Redis behind, everything a process on a loopback port.
package e2e
