package descriptors

import (
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/weir-rls/weir/buckets"
)

// Words of fields that have several, as the parser and the schema know them.
var (
	unmatchedWords  = []string{"allow", "deny"}
	matchingWords   = []string{"exact", "best"}
	storeErrorWords = []string{"local", "allow", "deny", "error"}
	countWords      = []string{"all", "success"}
	leaseWords      = []string{"on", "off"}
	hashWords       = []string{"hmac-sha256"}
	hashTagWords    = []string{"domain", "entity"}
)

// schema is a part of a JSON Schema.
type schema map[string]any

// about is s with what an editor shows beside the field.
func (s schema) about(text string) schema {
	s = maps.Clone(s)
	s["description"] = text
	return s
}

// orNull is s or nothing, where the parser takes that with a warning.
func (s schema) orNull() schema { return schema{"anyOf": []schema{s, {"type": "null"}}} }

var (
	// looseForm is taken from what YAML reads as something else, too, as it is written.
	looseForm = schema{"type": []string{"string", "number", "boolean"}}
	// filledForm is a text that is not empty.
	filledForm = schema{"type": looseForm["type"], "minLength": 1}
	// toggle has the words of YAML 1.1, which a reader of YAML 1.2 takes for texts,
	// and nothing, which is false.
	toggle = schema{"anyOf": []schema{{"type": "boolean"}, {"type": "null"}, {"pattern": anyCase(slices.Sorted(maps.Keys(words11))...), "type": "string"}}}
	// always is a toggle that nothing does not turn off by an oversight.
	always = schema{"anyOf": []schema{{"type": "boolean"}, toggle["anyOf"].([]schema)[2]}}

	rateForm     = schema{"type": "string", "pattern": `^(0|[1-9][0-9]{0,9})/(month|year|([1-9][0-9]*)?(ms|s|min|hour|day|week))$`, "examples": []string{"10/s", "60/min", "10000/day"}}
	durationForm = schema{"type": "string", "pattern": `^[+-]?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$`, "examples": []string{"500ms", "30s", "10m"}}
)

// anyCase is the pattern of words however they are written: JSON Schema has no
// flag for it.
func anyCase(words ...string) string {
	var alternatives []string
	for _, word := range words {
		var b strings.Builder
		for _, letter := range word {
			b.WriteString("[" + string(letter) + strings.ToUpper(string(letter)) + "]")
		}
		alternatives = append(alternatives, b.String())
	}
	return "^(" + strings.Join(alternatives, "|") + ")$"
}

func oneOfWords(words []string) schema { return schema{"enum": words} }

// whole is a whole number from least to most.
func whole(least, most int64) schema {
	s := schema{"type": "integer", "minimum": least}
	if most < math.MaxInt64 {
		s["maximum"] = most
	}
	return s
}

func listOf(item schema) schema { return schema{"type": "array", "items": item} }

// upTo is a list of one item to most.
func upTo(most int, item schema) schema {
	return schema{"type": "array", "items": item, "minItems": 1, "maxItems": most}
}

// mapOf is a mapping whose names the file chooses.
func mapOf(value schema) schema { return schema{"type": "object", "additionalProperties": value} }

func ref(name string) schema { return schema{"$ref": "#/$defs/" + name} }

// shared are fields that several kinds of mappings have, and what they mean in each.
var shared = map[string]schema{
	"name":            filledForm.about("What metrics, bodies and metadata call it; unique in the domain."),
	"enabled":         always.about("false: it is as if it were not there; default true."),
	"shadow_mode":     toggle.about("Judged and counted, never refuses."),
	"on_store_error":  oneOfWords(storeErrorWords).about("When the store does not answer: local (default) judges in memory, each replica its share of the limit; error leaves it to Envoy's failure mode."),
	"response":        filledForm.about("What a refused caller reads: plain (default), openai, azure, problem, or one of responses."),
	"rate":            rateForm.about("N/PERIOD, as in 10/s, 60/min, N/month or 7/1500ms; 0/s refuses always."),
	"burst":           whole(1, buckets.MaxTicks).about("The capacity in tokens; default: N of the rate."),
	"max_debt":        whole(0, maxDebt).about("How far charges at a stream's end may go below nothing, in tokens; default: the burst, or N of a window."),
	"max_wait":        durationForm.about("Hold a request that would be refused up to so long, 1ms to 24h, until it is admitted."),
	"max_waiters":     whole(1, mostWaiters).about("How many may wait on one replica; default 1000."),
	"slots":           whole(1, maxTokens).about("How many may be in flight."),
	"slot_ttl":        durationForm.about("When a slot that nobody gave back is free again, 1s to 24h; default 10m."),
	"time_zone":       looseForm.about("Where days begin: a name of the time zone database, as in Europe/Berlin; default UTC."),
	"week_start":      oneOfWords(weekdays).about("The day on which a week begins; default monday."),
	"replaces":        listOf(ref("replaces")).orNull().about("Limits that are neither judged nor charged where both are met."),
	"enforce_percent": whole(0, 100).about("Enforced for this share of its buckets, for the others as in shadow mode; default 100."),
	"weight": schema{"anyOf": []schema{whole(0, math.MaxInt64), ref("weight")}}.about(
		"Tokens, or slots, for one hit: a number, or {by: ENTRY, values: {VALUE: N}, default: N}; default 1."),
}
