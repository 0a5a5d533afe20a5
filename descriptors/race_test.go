//go:build race

package descriptors

// raceShare: the race detector makes models ten times as slow, so it sees one of
// twenty trees; `make test` runs all without it.
const raceShare = 20
