package decide

import (
	"math"

	"github.com/weir-rls/weir/ratelimit/stats"
)

// tally counts hits in the statistics of a limit by where they lie. before and after are
// the limit's count without the hits and with them, in hits.
//
// What is above the limit is over_limit, what is between the threshold and the limit is
// near_limit, and each hit is in one of them at most. Where nothing of the hits was
// charged, before is what it would have been had they been the last ones counted.
func tally(of *stats.Limit, before, after, limit, threshold int64, hits uint64) {
	switch {
	case after <= limit && after > threshold:
		of.NearLimit.Add(above(before, after, threshold, hits))
		fallthrough
	case after <= limit:
		of.WithinLimit.Add(hits)
	case before >= limit:
		of.OverLimit.Add(hits)
	default:
		of.OverLimit.Add(uint64(after - limit))
		of.NearLimit.Add(uint64(limit - max(threshold, before)))
	}
}

// above is how many of hits lie above a mark that the count is above.
func above(before, after, mark int64, hits uint64) uint64 {
	if before >= mark {
		return hits
	}
	return uint64(after - mark)
}

// nearThreshold is the count above which a limit is near: its part ratio, in the numbers
// of 32 bits in which the reference service counts, for 0.8 of a limit is another whole
// number in 64 bits. It is never above the limit itself.
func nearThreshold(limit int64, ratio float32) int64 {
	near := math.Floor(float64(float32(limit) * ratio))
	return int64(min(max(near, 0), float64(limit)))
}
