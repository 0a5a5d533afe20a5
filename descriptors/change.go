package descriptors

import "fmt"

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

	// What is left out stays as the files state it.
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
	Groups  map[string][2]int64 `json:"groups,omitempty"` // in place of the whole table
}

// ChangeFault says why a change cannot be made. It names the field by its JSON
// name, empty where it is the change as a whole.
type ChangeFault struct {
	Change  int // index in the list
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

// SetChanges makes a list of changes live, in place of the list before. A change
// that the rules cannot take is left out and answered; it is tried again whenever
// the files change. At most one change has the same Domain, Limit and For.
func (s *Source) SetChanges(changes []Change) []ChangeFault { panic("not built") }

// TryChanges answers what [Source.SetChanges] would, and changes nothing.
func (s *Source) TryChanges(changes []Change) []ChangeFault { panic("not built") }
