package descriptors

import (
	"math"

	"go.yaml.in/yaml/v4"
)

// weight reads what one hit costs. A weight above the bucket's capacity could
// never pass, so it is a fault if the capacity is known.
func (w *walker) weight(f field, capacity int64, sound bool) Weight {
	most := int64(math.MaxInt64)
	if sound {
		most = capacity
	}
	if f.value.Kind != yaml.MappingNode {
		n, _ := w.tokens(f, "weight", most)
		if n == 0 && f.value.Tag == "!!int" && f.value.Value == "0" {
			w.warn(f.value, "remove the limit if that is meant", "a weight of 0 costs nothing: the limit never refuses")
		}
		return Weight{Default: n}
	}
	weight := Weight{Default: 1, Values: map[string]int64{}}
	fields, _ := w.fields(f.value, weightFields)
	if by, ok := fields["by"]; !ok {
		w.fail(f.value, "name the entry whose value decides, as in by: api", "the weight has no by")
	} else if weight.By, ok = w.str(by); ok && weight.By == "" {
		w.fail(by.value, "name the entry whose value decides", "by is empty")
	}
	if values, ok := fields["values"]; ok {
		w.weights(values, weight.Values, most)
	} else {
		w.fail(f.value, "state them, as in values: {a: 1, b: 2}", "the weight has no values")
	}
	if d, ok := fields["default"]; ok {
		weight.Default, _ = w.tokens(d, "default", most)
	}
	return weight
}

// weights reads the table of values and their weights.
func (w *walker) weights(f field, into map[string]int64, most int64) {
	free := table{what: "values"}
	if f.value.Kind != yaml.MappingNode {
		w.fail(f.value, "write value: weight pairs, as in {a: 1, b: 2}", "values must be a mapping, not %s", kindOf(f.value))
		return
	}
	found := map[string]field{}
	w.collect(f.value, free, found)
	for _, pair := range found {
		value, ok := w.str(field{key: f.key, value: resolved(pair.key)})
		if n, sound := w.tokens(pair, "the weight of "+quote(value), most); ok && sound {
			into[value] = n
		}
	}
}

// tokens reads a weight of at most the capacity.
func (w *walker) tokens(f field, what string, most int64) (int64, bool) {
	n, ok := w.integer(f, 0, math.MaxInt64)
	if ok && n > most {
		w.fail(f.value, "raise the burst or lower the weight", "%s is %d, more than the bucket's capacity of %d: it could never pass", what, n, most)
		return 0, false
	}
	return n, ok
}
