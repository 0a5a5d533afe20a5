package redis

import (
	"fmt"
	"net/url"
	"strconv"
)

// mostCount bounds what a parameter of a URL counts: connections and bytes of buffers. With
// less than none go-redis panics, and with many more the process runs out of memory.
const mostCount = 1 << 20

var countedParameters = []string{
	"pool_size", "min_idle_conns", "max_idle_conns", "max_active_conns", "max_concurrent_dials",
	"pipeline_pool_size", "pipeline_read_buffer_size", "pipeline_write_buffer_size",
}

// checkCounts refuses a count that cannot be. One that is no number go-redis refuses.
func checkCounts(query url.Values) error {
	for _, name := range countedParameters {
		for _, text := range query[name] {
			if n, err := strconv.Atoi(text); err == nil && (n < 0 || n > mostCount) {
				return fmt.Errorf("%s is %d: write a number from 0 to %d, or leave it out", name, n, mostCount)
			}
		}
	}
	return nil
}
