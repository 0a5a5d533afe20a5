//go:build race

package guard_test

// raceShare: the race detector makes simulations ten times as slow, so it sees one
// of twenty seeds; `make test` runs all without it.
const raceShare = 20
