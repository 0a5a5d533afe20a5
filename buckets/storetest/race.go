//go:build race

package storetest

// raceShare: the race detector makes the comparison with the model five times as
// slow and finds nothing in it, for each history has one caller. So it then runs a
// quarter of the histories; what races could do is for the concurrent ones.
const raceShare = 4
