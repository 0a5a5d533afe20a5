package descriptors

import (
	"fmt"
	"math"

	"go.yaml.in/yaml/v4"

	"github.com/weir-rls/weir/buckets"
)

// room is the largest weight that can pass at a bucket.
type room struct {
	most   int64
	is     string // in words
	remedy string
}

var anything = room{most: math.MaxInt64}

// roomOf is the room of a bucket that admits something.
func roomOf(b buckets.Bucket) room {
	switch b.(type) {
	case buckets.TokenBucket:
		return room{b.Size(), fmt.Sprintf("the bucket's capacity of %d", b.Size()), "raise the burst or lower the weight"}
	case buckets.Slots:
		return room{b.Size(), fmt.Sprintf("the %d slots there are", b.Size()), "raise the slots or lower the weight"}
	}
	return room{b.Size(), fmt.Sprintf("the window's limit of %d", b.Size()), "raise the rate or lower the weight"}
}

// weighed is the heaviest weight of a rule and where it is stated.
type weighed struct {
	tokens int64
	at     place
}

// weight reads what one hit costs, and what it costs at most. A weight that
// could never pass is a fault.
func (w *walker) weight(f field, r room) (Weight, weighed) {
	heaviest := weighed{at: at(w.text, f.value)}
	if f.value.Kind != yaml.MappingNode {
		n, _ := w.tokens(f, "weight", r, &heaviest)
		if n == 0 && f.value.Tag == "!!int" && f.value.Value == "0" {
			w.warn(f.value, "remove the limit if that is meant", "a weight of 0 costs nothing: the limit never refuses")
		}
		return Weight{Default: n}, heaviest
	}
	weight := Weight{Default: 1, Values: map[string]int64{}}
	heaviest.tokens = 1
	fields, _ := w.fields(f.value, weightFields)
	if by, ok := fields["by"]; !ok {
		w.fail(f.value, "name the entry whose value decides, as in by: api", "the weight has no by")
	} else if weight.By, ok = w.str(by); ok && weight.By == "" {
		w.fail(by.value, "name the entry whose value decides", "by is empty")
	}
	if d, ok := fields["default"]; ok {
		heaviest.tokens = 0
		weight.Default, _ = w.tokens(d, "default", r, &heaviest)
	}
	if values, ok := fields["values"]; ok {
		w.weights(values, weight.Values, r, &heaviest)
	} else {
		w.fail(f.value, "state them, as in values: {a: 1, b: 2}", "the weight has no values")
	}
	return weight, heaviest
}

// weights reads the table of values and their weights.
func (w *walker) weights(f field, into map[string]int64, r room, heaviest *weighed) {
	free := table{what: "values"}
	if f.value.Kind != yaml.MappingNode {
		w.fail(f.value, "write value: weight pairs, as in {a: 1, b: 2}", "values must be a mapping, not %s", kindOf(f.value))
		return
	}
	found := map[string]field{}
	w.collect(f.value, free, found)
	for _, pair := range found {
		value, ok := w.value(field{key: f.key, value: resolved(pair.key)})
		if n, sound := w.tokens(pair, "the weight of "+w.told(quote(value)), r, heaviest); ok && sound {
			into[value] = n
		}
	}
}

// tokens reads a weight.
func (w *walker) tokens(f field, what string, r room, heaviest *weighed) (int64, bool) {
	n, ok := w.integer(f, 0, math.MaxInt64)
	if !ok {
		return 0, false
	}
	if n > r.most {
		w.fail(f.value, r.remedy, "%s is %d, more than %s: it could never pass", what, n, r.is)
		return 0, false
	}
	here := at(w.text, f.value)
	if n > heaviest.tokens || n == heaviest.tokens && here.before(heaviest.at) {
		*heaviest = weighed{n, here}
	}
	return n, true
}

// before orders places of one file, as maps have no order.
func (p place) before(other place) bool {
	return p.line < other.line || p.line == other.line && p.column < other.column
}
