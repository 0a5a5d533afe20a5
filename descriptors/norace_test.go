//go:build !race

package descriptors

const raceShare = 1
