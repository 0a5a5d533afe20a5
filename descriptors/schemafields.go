package descriptors

import (
	"maps"
	"math"
	"slices"

	"github.com/weir-rls/weir/buckets"
)

// mapping is one kind of mapping as the schema has it: the parser's table, what its
// fields mean where shared says nothing or something else, and what must or must
// not stand together.
type mapping struct {
	table  table
	fields map[string]schema
	extra  schema
}

// mappings are all mappings of a rule file by the names of their definitions; "" is
// the file itself.
var mappings = map[string]mapping{
	"": {fileFields, map[string]schema{
		"domain":      filledForm.about("What Envoy's rate limit filter sends as its domain."),
		"defaults":    ref("defaults").about("For the limits of this file that state none."),
		"descriptors": listOf(ref("descriptor")).orNull().about("The rules, a tree."),
		"passive":     listOf(filledForm).about("Keys of entries that may accompany any descriptor: not matched, but a weight may depend on them."),
		"unmatched":   oneOfWords(unmatchedWords).about("The verdict on a descriptor that no rule limits; default allow."),
		"pools":       listOf(ref("pool")).about("What several descriptors draw from."),
		"presets":     listOf(ref("preset")).about("Group tables of an LLM gateway."),
		"matching":    oneOfWords(matchingWords).about("exact (default), or best: the deepest rule with a limit wins."),
		"responses":   mapOf(ref("response")).about("What refused callers read, by name."),
		"enabled":     always.about("false: the whole domain is off, nothing of it is limited; default true."),
		"hash_tag":    oneOfWords(hashTagWords).about("Which buckets are in one hash slot of a Redis Cluster: domain (default), all of them; entity, those of descriptors that begin with the same entry."),
		"keys":        ref("keys").about("Has bucket keys and logs hold hashes in place of API keys, users and addresses."),
	}, schema{"required": []string{"domain"}}},
	"defaults": {table: defaultsFields},
	"descriptor": {ruleFields, map[string]schema{
		"key":             filledForm.about("Key of an entry that Envoy sends; with *, all keys of that pattern."),
		"first_of":        upTo(maxFirstOf, filledForm).about("Instead of key: keys of entries of which the first that has a rule decides."),
		"value":           looseForm.orNull().about("This value only; with * all values of that pattern; absent, any value, with a bucket for each."),
		"value_cidr":      filledForm.about("Instead of value: the addresses of a network, as in 10.0.0.0/8 or 2001:db8::/32."),
		"value_regex":     filledForm.about("Instead of value: values that this expression (RE2) meets as a whole."),
		"rate_limit":      ref("rate_limit").orNull().about("A limit in the form of envoyproxy/ratelimit."),
		"limits":          upTo(buckets.MaxCharges, ref("limit")).about("Limits in weir's own form, all or nothing."),
		"descriptors":     listOf(ref("descriptor")).orNull().about("Rules for the next entry."),
		"shadow_mode":     toggle.about("The rule's limits are judged and counted, and never refuse."),
		"quota_mode":      toggle.about("Of all quotas that a request meets one that admits is enough."),
		"detailed_metric": toggle.about("Counted apart also by the keys and values that requests bring, up to a bound."),
		"value_to_metric": toggle.about("Counted apart also by the value of this entry, here and below, up to a bound."),
		"share_threshold": toggle.about("All values of the pattern have one bucket."),
		"metadata":        schema{"type": "object"}.orNull().about("Any map, which responses that pass repeat as dynamic metadata."),
		"draw":            ref("draw").about("What the descriptor takes from a pool."),
		"breaker":         ref("breaker").about("Refuses while the service fails."),
	}, schema{
		"anyOf": []schema{{"required": []string{"key"}}, {"required": []string{"first_of"}}},
		"allOf": notBoth([2]string{"key", "first_of"}, [2]string{"rate_limit", "limits"}, [2]string{"value", "value_cidr"}, [2]string{"value", "value_regex"}, [2]string{"value_cidr", "value_regex"}),
	}},
	"rate_limit": {rateLimitFields, map[string]schema{
		"unit":              {"anyOf": []schema{{"enum": unitWords()}, {"type": "string", "pattern": anyCase(unitWords()...)}}, "description": "The period."},
		"requests_per_unit": whole(0, maxTokens).orNull().about("N of each unit, and at most as many at once."),
		"unlimited":         toggle.about("Admits always."),
		"name":              looseForm.orNull().about("What metrics call it, and replaces."),
	}, schema{"anyOf": []schema{{"required": []string{"unit"}}, {"required": []string{"unlimited"}}}}},
	"limit": {limitFields, map[string]schema{
		"algorithm": oneOfWords(algorithms).about("token_bucket (default) for bursts, fixed_window (default from a day on) for budgets, sliding_window for any stretch of time, concurrency for what runs at once."),
		"initial":   schema{"anyOf": []schema{{"enum": []string{"full", "empty"}}, whole(0, buckets.MaxTicks)}}.about("What a bucket holds that was never seen: full (default), empty, or a number of tokens."),
		"count":     oneOfWords(countWords).about("all (default), or success: what failed is given back."),
		"lease":     schema{"anyOf": []schema{{"enum": leaseWords}, {"type": "boolean"}}}.about("off: replicas never take its tokens from the store ahead."),
	}, schema{"anyOf": []schema{
		{"required": []string{"rate"}},
		{"required": []string{"slots", "algorithm"}, "properties": schema{"algorithm": schema{"const": concurrency}}},
	}}},
	"preset": {presetFields, map[string]schema{
		modelLimits: ref(modelLimits).about("Requests of each user, by group and model, in all and successful."),
	}, schema{"required": []string{modelLimits}}},
	modelLimits: {modelLimitsFields, map[string]schema{
		"name":       filledForm.about("Default model_limits."),
		"enabled":    toggle.about("false: it limits nothing; default true."),
		"period":     durationForm.about("Length of the sliding window, 1s to 8760h; default 1m."),
		"total":      whole(0, maxCount).about("Requests of a user of no group in the table, failed ones included; 0 (default) is unlimited."),
		"success":    whole(1, maxCount).about("Successful requests of such a user; default 1000."),
		"groups":     schema{"anyOf": []schema{mapOf(groupCounts), {"type": "string"}}}.about("[TOTAL, SUCCESS] of each group, or a text that holds the table as JSON."),
		"group_from": upTo(maxFirstOf, filledForm).about("Keys of the entries that may name the group, the first wins; default token_group, user_group."),
		"user":       filledForm.about("Key of the entry that names the user; default user."),
		"model":      filledForm.about("Key of the entry that names the model; default model."),
	}, nil},
	"pool": {poolFields, map[string]schema{
		"name":          filledForm.about("What draws call it."),
		"split_by":      schema{"type": "array", "items": filledForm, "maxItems": maxSplits}.about("Entries for each of whose values there is one pool."),
		"default_class": filledForm.about("The class of draws that name none."),
		"instances":     ref("instances").about("The size follows the backends that live."),
		"feedback":      ref("feedback").about("The size shrinks while what it admits fails."),
	}, schema{
		"required": []string{"name"}, "anyOf": []schema{{"required": []string{"rate"}}, {"required": []string{"slots"}}},
		"allOf": notBoth([2]string{"rate", "slots"}, [2]string{"burst", "slots"}, [2]string{"max_debt", "slots"}, [2]string{"rate", "slot_ttl"}),
	}},
	"instances": {instancesFields, map[string]schema{
		"units_each":   whole(1, maxTokens).about("Units of an instance that states none."),
		"min":          whole(1, maxTokens).about("Least size, also with one instance or none."),
		"max":          whole(1, maxTokens).about("Largest size."),
		"step_percent": whole(1, 100).about("Largest rise in a second, of the stated size; default 10."),
		"stale_after":  durationForm.about("After so long without a word of any instance the size falls to min, 1s to 24h; default: it stays."),
		"envoy":        ref("envoy").about("Where an Envoy is asked for healthy hosts."),
	}, schema{"required": []string{"units_each", "min", "max"}}},
	"envoy": {envoySourceFields, map[string]schema{
		"admin":   {"type": "string", "pattern": "^[hH][tT][tT][pP][sS]?://", "description": "URL of the Envoy's admin interface."},
		"cluster": filledForm.about("The cluster whose healthy hosts count."),
	}, schema{"required": []string{"admin", "cluster"}}},
	"feedback": {feedbackFields, map[string]schema{
		"bad_percent": whole(0, 99).about("A second in which more of what ends has failed takes a tenth off; default 5."),
		"min_percent": whole(1, 100).about("Of the size, what failures always leave; default 30."),
		"freeze":      toggle.about("Failures change nothing."),
	}, nil},
	"draw": {drawFields, map[string]schema{
		"pool":      filledForm.about("The pool that it draws from."),
		"class":     filledForm.about("Draws that name one class share its guarantee."),
		"guarantee": rateForm.about("Tokens that are the class's own, as a rate; 0/s: none, it only borrows."),
		"reserve":   whole(0, buckets.MaxTicks).about("How much of its guarantee the class can save up, and of slots the guarantee itself."),
		"headroom":  whole(0, buckets.MaxTicks).about("What it leaves in the pool when it borrows; default 0."),
		"borrow":    toggle.about("true (default): may take what nobody is guaranteed."),
		"enabled":   always.about("false: it draws nothing; default true."),
	}, schema{"required": []string{"pool"}}},
	breaker: {breakerFields, map[string]schema{
		"failures": whole(1, 1_000_000).about("So many in a row open it; default 5."),
		"open_for": durationForm.about("How long it then refuses everything, 100ms to 24h; default 30s."),
		"probes":   whole(1, 1000).about("So many requests pass after that as a trial; default 1."),
	}, nil},
	"response": {responseFields, map[string]schema{
		"form":         oneOfWords(formNames).about("The content type and body of a response that is always there; default plain."),
		"content_type": looseForm.about("Of body; default text/plain; charset=utf-8."),
		"body":         filledForm.about("A text of your own, with variables such as {message}, {retry_after} and {name}."),
		"message":      filledForm.about("Instead of weir's own sentence, where a limit is used up or admits nothing."),
		"language":     oneOfWords(languageNames).about("Of weir's own sentences: en (default), zh, pt."),
		"headers":      schema{"type": "object", "additionalProperties": filledForm, "maxProperties": maxHeaders}.about("On refusals, beside those that weir sets."),
	}, schema{"allOf": notBoth([2]string{"body", "form"})}},
	"keys": {keysFields, map[string]schema{
		"hash":        oneOfWords(hashWords).about("What stands for a value in a bucket's key."),
		"secret_file": filledForm.about("A file with the secret, 32 to 4096 bytes; a relative path begins at the rule file's directory."),
		"entries":     upTo(maxHashed, filledForm).about("Keys of the entries whose values are hashed; default: all."),
	}, schema{"required": []string{"hash", "secret_file"}}},
	"replaces": {replacesFields, map[string]schema{"name": filledForm.about("Name of another limit.")}, schema{"required": []string{"name"}}},
	"weight": {weightFields, map[string]schema{
		"by":      filledForm.about("The entry whose value decides."),
		"values":  mapOf(whole(0, math.MaxInt64)).about("Tokens for each value."),
		"default": whole(0, math.MaxInt64).about("Tokens for any other value; default 1."),
	}, schema{"required": []string{"by", "values"}}},
}

// groupCounts are the two numbers of a group: in all, and successful.
var groupCounts = schema{"type": "array", "prefixItems": []schema{whole(0, maxCount), whole(1, maxCount)}, "minItems": 2, "maxItems": 2}

func unitWords() []string { return slices.Sorted(maps.Keys(units)) }

// notBoth forbids pairs of fields that mean the same or contradict each other.
func notBoth(pairs ...[2]string) (all []schema) {
	for _, pair := range pairs {
		all = append(all, schema{"not": schema{"required": pair}})
	}
	return all
}
