package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// frugal starts a server that collects garbage whenever its heap has grown by a
// tenth, and writes a line of each collection: so it soon tells what lives in it.
// Its CPU time is no measure of anything.
func frugal(start func() (*server, error)) (*server, error) {
	for name, value := range map[string]string{"GOGC": "10", "GODEBUG": "gctrace=1"} {
		before, set := os.LookupEnv(name)
		if err := os.Setenv(name, value); err != nil {
			return nil, err
		}
		if set {
			defer os.Setenv(name, before) //nolint:errcheck // it was possible above
		} else {
			defer os.Unsetenv(name) //nolint:errcheck // it was possible above
		}
	}
	return start()
}

// traced is the line of a collection: its number, and the heap in MB when it
// began, when it ended, and what of that lives.
var traced = regexp.MustCompile(`(?m)^gc (\d+) @.* \d+->\d+->(\d+) MB,`)

// liveHeaps are the MiB that lived after each collection, by their numbers. Go
// counts in units of 2^20 bytes.
func liveHeaps(output string) (numbers []int, live []int64) {
	for _, line := range traced.FindAllStringSubmatch(output, -1) {
		number, _ := strconv.Atoi(line[1]) // the pattern matches digits only
		mebibytes, _ := strconv.ParseInt(line[2], 10, 64)
		numbers, live = append(numbers, number), append(live, mebibytes)
	}
	return numbers, live
}

// settledHeap is the live heap in bytes of a frugal server that nobody else asks.
//
// Requests with a header of 50 kB bring collections about: they leave nothing
// behind, and become garbage in weir's HTTP server whatever its other parts
// allocate. They come slowly, because what is allocated during a collection counts
// as living in it; for that reason the least of three collections is taken. The
// first after the begin may have begun before, and is passed over.
func (s *server) settledHeap(ctx context.Context) (int64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.weir.HTTP+"/readyz", nil)
	if err != nil {
		return 0, err
	}
	request.Header.Set("X-Garbage", strings.Repeat("x", 50_000))
	const within, pause, wanted = time.Minute, 5 * time.Millisecond, 3
	before := 0
	if numbers, _ := liveHeaps(s.Output()); len(numbers) > 0 {
		before = numbers[len(numbers)-1]
	}
	for began := time.Now(); time.Since(began) < within; time.Sleep(pause) {
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return 0, err
		}
		if err := answer.Body.Close(); err != nil {
			return 0, err
		}
		numbers, live := liveHeaps(s.Output())
		first := slices.IndexFunc(numbers, func(n int) bool { return n > before+1 })
		if first >= 0 && len(live)-first >= wanted {
			return slices.Min(live[first:]) << 20, nil
		}
	}
	return 0, fmt.Errorf("not %d collections within %v", wanted, within)
}
