package bench

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	commonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/protobuf/proto"
)

// requests are the encoded requests for all keys, one after the other, so that
// sending one costs the client no more than its transport. A million requests
// of one descriptor take some 40 MB; a slice for each would add 24.
type requests struct {
	bytes []byte
	ends  []int // ends[n] is where the request for key n ends
}

// of is the encoded request for key n.
func (r requests) of(n int) []byte {
	start := 0
	if n > 0 {
		start = r.ends[n-1]
	}
	return r.bytes[start:r.ends[n]:r.ends[n]]
}

// encode makes the requests of a load that was checked.
func encode(l Load) (requests, error) {
	descriptors := make([][]entry, len(l.Descriptors))
	for i, text := range l.Descriptors {
		var err error
		if descriptors[i], err = parseDescriptor(text); err != nil {
			return requests{}, err
		}
	}
	all := requests{ends: make([]int, l.Keys)}
	for n := range l.Keys {
		request := &rlsv3.RateLimitRequest{Domain: l.Domain, HitsAddend: l.Hits}
		for _, entries := range descriptors {
			descriptor := &commonv3.RateLimitDescriptor{}
			for _, e := range entries {
				descriptor.Entries = append(descriptor.Entries, &commonv3.RateLimitDescriptor_Entry{Key: e.key, Value: e.value(n)})
			}
			request.Descriptors = append(request.Descriptors, descriptor)
		}
		var err error
		if all.bytes, err = (proto.MarshalOptions{}).MarshalAppend(all.bytes, request); err != nil {
			return requests{}, fmt.Errorf("encode the request for key %d: %w", n, err)
		}
		all.ends[n] = len(all.bytes)
	}
	return all, nil
}

// entry is a descriptor entry whose value may hold the number of the key.
type entry struct{ key, template string }

// number is where a template holds the number of the key: %d, or %{10} for the
// number modulo 10.
var number = regexp.MustCompile(`%d|%\{[1-9][0-9]{0,8}\}`)

// value is the entry's value in the request for key n.
func (e entry) value(n int) string {
	return number.ReplaceAllStringFunc(e.template, func(place string) string {
		if place == "%d" {
			return strconv.Itoa(n)
		}
		modulus, _ := strconv.Atoi(place[2 : len(place)-1]) // the pattern matches digits only
		return strconv.Itoa(n % modulus)
	})
}

// parseDescriptor reads "key=value,key=value".
func parseDescriptor(text string) ([]entry, error) {
	var entries []entry
	for part := range strings.SplitSeq(text, ",") {
		key, value, found := strings.Cut(part, "=")
		if !found || key == "" {
			return nil, fmt.Errorf("--descriptor: %q is not KEY=VALUE: write user=u%%d, or tenant=t1,user=u%%d for two entries", part)
		}
		entries = append(entries, entry{key, value})
	}
	return entries, nil
}
