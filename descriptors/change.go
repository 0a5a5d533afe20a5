package descriptors

import (
	"fmt"
	"maps"
	"slices"
)

// Change is what is set of one limit while weir runs, in place of what the files
// state. It is kept as JSON.
type Change struct {
	Domain string `json:"domain"`
	// Limit is the name of a limit, a pool or a preset; empty for the domain as a
	// whole, of which only Enabled can be set.
	Limit string `json:"limit,omitempty"`
	// For names values of the limit's own entries, by key: the change is for the one
	// bucket of these values. Empty: for all.
	For map[string]string `json:"for,omitempty"`

	// What is left out stays as it is: of one bucket what is set for all, else what
	// the files state.
	Rate      string `json:"rate,omitempty"` // as in a file: 10/s
	Burst     *int64 `json:"burst,omitempty"`
	Slots     *int64 `json:"slots,omitempty"`
	Enabled   *bool  `json:"enabled,omitempty"`
	Unlimited bool   `json:"unlimited,omitempty"` // only with For
	Blocked   bool   `json:"blocked,omitempty"`   // only with For: refuses always

	// Of a preset model_limits.
	Period  string              `json:"period,omitempty"`
	Total   *int64              `json:"total,omitempty"`
	Success *int64              `json:"success,omitempty"`
	Groups  map[string][2]int64 `json:"groups,omitzero"` // in place of the whole table
}

// ChangeFault says why a change cannot be made. It names the field by its JSON
// name, empty where it is the change as a whole.
type ChangeFault struct {
	Change  int // index in the list
	Domain  string
	Limit   string
	Field   string
	Message string
	Remedy  string
	Unknown bool // the rules have no domain or limit of that name
}

func (f ChangeFault) Error() string {
	if f.Field == "" {
		return f.Message
	}
	return fmt.Sprintf("%s: %s", f.Field, f.Message)
}

// flawed is a fault of c.
func (c *Change) flawed(field, message, remedy string) ChangeFault {
	return ChangeFault{Domain: c.Domain, Limit: c.Limit, Field: field, Message: message, Remedy: remedy}
}

// stated names what c sets, in order.
func (c *Change) stated() []string {
	var names []string
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"rate", c.Rate != ""},
		{"burst", c.Burst != nil},
		{"slots", c.Slots != nil},
		{"enabled", c.Enabled != nil},
		{"unlimited", c.Unlimited},
		{"blocked", c.Blocked},
		{"period", c.Period != ""},
		{"total", c.Total != nil},
		{"success", c.Success != nil},
		{"groups", c.Groups != nil},
	} {
		if f.set {
			names = append(names, f.name)
		}
	}
	return names
}

// check tells what is wrong with c whatever it is for.
func (c *Change) check() []ChangeFault {
	stated := c.stated()
	one := func(field, message, remedy string) []ChangeFault {
		return []ChangeFault{c.flawed(field, message, remedy)}
	}
	switch {
	case c.Domain == "":
		return one("domain", "the change names no domain", "write the domain of its rule file")
	case len(stated) == 0:
		return one("", "the change sets nothing", "set rate, burst, slots or enabled")
	case c.Limit == "" && len(c.For) > 0:
		return one("for", "a domain as a whole has no entries", "name a limit, or leave for out")
	case c.Limit == "" && stated[0] != "enabled":
		return one(stated[0], "of a domain as a whole only enabled can be set", "name a limit")
	case c.Limit == "" && len(stated) > 1:
		return one(stated[1], "of a domain as a whole only enabled can be set", "name a limit")
	}
	for _, name := range stated {
		switch {
		case name != "unlimited" && name != "blocked":
		case len(c.For) == 0:
			return one(name, name+" is for one bucket only", "name its values in for, or write enabled: false or rate: 0/s")
		case len(stated) > 1:
			return one(name, name+" leaves nothing else to set", "remove it, or what stands beside it")
		}
	}
	return nil
}

// what tells what c is for, in one text.
func (c *Change) what() string {
	b := appendItem(appendItem(nil, c.Domain), c.Limit)
	for _, key := range slices.Sorted(maps.Keys(c.For)) {
		b = appendItem(appendItem(b, key), c.For[key])
	}
	return string(b)
}
