// Package parts finds the real programs around weir - Envoy, Redis, Valkey and
// the weir binary itself - and runs them as child processes on loopback ports.
// The examples and every test against real parts start them through it.
//
// A part is ready when its start function returns, and gone when Stop returns.
// No part outlives the process that started it.
package parts
