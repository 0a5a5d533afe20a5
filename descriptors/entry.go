package descriptors

import "go.yaml.in/yaml/v4"

// entry reads the key and values that a rule meets; it fails without a key.
func (w *walker) entry(n *yaml.Node, fields map[string]field, r *rule) bool {
	if f, several := fields["first_of"]; several {
		return w.firstOf(f, fields, r)
	}
	k, ok := fields["key"]
	if !ok || k.null() {
		w.fail(n, "write the key of an entry that Envoy sends", "the descriptor has no key")
		return false
	}
	if r.key, ok = w.str(k); !ok {
		return false
	}
	r.key = w.once(r.key)
	r.at = at(w.text, k.value)
	if r.key == "" {
		w.fail(k.value, "write the key of an entry that Envoy sends", "the key is empty")
		return false
	}
	return w.values(fields, r)
}

// ruleLimits reads what a rule limits: rate_limit or limits.
func (w *walker) ruleLimits(fields map[string]field, r *rule) {
	one, hasOne := fields["rate_limit"]
	several, hasSeveral := fields["limits"]
	if hasOne {
		if s := w.rateLimit(one); s != nil {
			r.limits = []*limitSpec{s}
		}
	}
	if hasSeveral {
		r.limits = w.limits(several)
	}
	if hasOne && hasSeveral {
		w.fail(several.key, "move the rate_limit into limits", "the descriptor has both rate_limit and limits")
	}
	w.further(fields, r)
	w.roles(fields, r)
}
