package line

import (
	"strconv"
	"strings"
)

// verb is what a line asks for.
type verb string

const (
	initBucket verb = "INIT"
	check      verb = "CHECK"
	stop       verb = "STOP"
	unknown    verb = "other" // for who counts
)

// request is a line that was understood.
type request struct {
	verb   verb
	id     string // of the request: it comes back with the answer
	bucket string

	maxTokens, refillMillis int64 // of an INIT
}

// parse reads a line without its end. Where it cannot, the request has only its
// verb, and fault is the answer.
//
// The texts are those of the rlimit server (github.com/rafaquelhodev/rlimit), word
// by word, and have no request's id where that one's have none. It ends on a line
// CHECK with one field and on a period of 0, waits for ever on a bucket of 0 tokens,
// and passes over what follows the last field: what is answered to these is weir's.
func parse(line string) (r request, fault string) {
	words := strings.FieldsFunc(line, func(c rune) bool { return c == ' ' || c == '\t' || c == '\r' })
	switch {
	case len(words) == 1 && words[0] == string(stop):
		return request{verb: stop}, ""
	case len(words) < 2:
		return request{verb: unknown}, "please provide valid options"
	}
	r = request{verb: verb(words[0]), id: words[1]}
	switch r.verb {
	case initBucket:
		fault = r.readInit(words[2:])
	case check:
		if len(words) != 3 {
			fault = tooMany(words, 3, "reqID bucketID are required")
			break
		}
		r.bucket = words[2]
	default:
		return request{verb: unknown}, "please provide a valid option"
	}
	if fault != "" {
		return request{verb: r.verb}, failed(r.id, fault)
	}
	return r, ""
}

// readInit reads the bucket's id, how many tokens it holds and the period in which
// it gets one.
func (r *request) readInit(words []string) (fault string) {
	if len(words) != 3 {
		return tooMany(words, 3, "reqID bucketID maxToken refillRate required")
	}
	r.bucket = words[0]
	for i, number := range []struct {
		name string
		to   *int64
	}{{"maxTokens", &r.maxTokens}, {"refillRate", &r.refillMillis}} {
		n, err := strconv.ParseInt(words[1+i], 10, 64)
		if err != nil {
			return number.name + " should be an integer"
		}
		if n < 1 {
			return number.name + " should be at least 1"
		}
		*number.to = n
	}
	return ""
}

// tooMany is what is wrong with the number of words.
func tooMany(words []string, most int, tooFew string) string {
	if len(words) > most {
		return "too many fields"
	}
	return tooFew
}

// failed is the answer to a request that fails.
func failed(id, text string) string { return id + ": ERROR - " + text }
