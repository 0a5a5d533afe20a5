package descriptors

// surprises warns where matching, which does not go back, surprises its users
// most: a descriptor with a value takes its requests away from the one of the
// key alone, also those for which it has no limit itself.
func (c *compiler) surprises(rules []*rule) {
	alone := map[string]*rule{}
	for _, r := range rules {
		if r.kind == anyValue {
			alone[r.key] = r
		}
	}
	for _, r := range rules {
		general := alone[r.key]
		if general == nil || r.kind == anyValue || len(r.limits)+len(r.children) == 0 {
			continue
		}
		name, place := quote(path{hash: c.domain.hash}.to(r).text), quote(r.key)+" at "+general.at.String()
		if len(general.limits) > 0 && len(r.limits) == 0 {
			c.warn(r.at, "a request with only "+name+" meets no limit: that of "+place+" is not tried", "state a limit here too")
		}
		if key := missing(general.children, r.children); key != "" {
			c.warn(r.at, "a request with "+name+" and "+quote(key)+" meets no limit: what is below "+place+" is not tried",
				"repeat it below this descriptor")
		}
	}
}

// missing is the first key that the rules of one list have and those of the
// other have not.
func missing(wanted, has []*rule) string {
	keys := map[string]bool{}
	for _, r := range has {
		keys[r.key] = true
	}
	for _, r := range wanted {
		if !keys[r.key] {
			return r.key
		}
	}
	return ""
}
