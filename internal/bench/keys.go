package bench

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// How requests spread over the keys.
const (
	Uniform  = "uniform"  // every key as often as any other, in random order
	Hot      = "hot"      // nine requests of ten for the first key, the others uniform
	Zipf     = "zipf"     // the key of rank k as often as 1/k^1.1
	Sequence = "sequence" // one key after the other, so that each is met
)

// Distributions are the names that [Load.Distribution] may have.
var Distributions = []string{Uniform, Hot, Zipf, Sequence}

// zipfExponent is above 1, which the generator needs; requests for web pages had
// 0.64 to 0.83 (Breslau et al., 1999), which is less steep. Of 10,000 keys the
// first gets 15 % of requests.
const zipfExponent = 1.1

// keyChooser answers a function that draws key numbers below keys for one
// worker. The same seed and worker draw the same numbers. issued is the number
// of the request within the run.
func keyChooser(distribution string, keys int, seed uint64, worker int) (func(issued int64) int, error) {
	random := rand.New(rand.NewPCG(seed, uint64(worker)))
	switch distribution {
	case Uniform:
		return func(int64) int { return random.IntN(keys) }, nil
	case Hot:
		return func(int64) int {
			if random.IntN(10) > 0 {
				return 0
			}
			return random.IntN(keys)
		}, nil
	case Zipf:
		zipf := rand.NewZipf(random, zipfExponent, 1, uint64(keys-1))
		return func(int64) int { return int(zipf.Uint64()) }, nil
	case Sequence:
		return func(issued int64) int { return int(issued % int64(keys)) }, nil
	}
	return nil, fmt.Errorf("--distribution: %q is none of %s", distribution, strings.Join(Distributions, ", "))
}
