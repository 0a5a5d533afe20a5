//go:build !race

package guard_test

const raceShare = 1
