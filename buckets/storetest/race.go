//go:build race

package storetest

// Share is what the race detector sees of n cases with one caller: the part-th of them. It
// makes them five to ten times as slow and finds nothing in them, for what races could do
// is for the concurrent ones. `make test` runs all of them without it.
func Share(n, part int) int { return max(1, n/part) }
