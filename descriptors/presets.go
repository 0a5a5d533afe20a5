package descriptors

import (
	"maps"
	"slices"
	"time"

	"go.yaml.in/yaml/v4"
)

// Preset is a group table of the rules, for who shows or changes it: what an LLM
// gateway admits of each user in a period. A total of 0 is unlimited.
type Preset struct {
	Domain, Name   string
	File           string // where it stands
	Line           int
	Enabled        bool
	Period         time.Duration
	Total, Success int64 // of users whose group is not in the table
	Groups         map[string][2]int64
	User, Model    string // keys of the entries that name them
	GroupFrom      []string
}

// PresetState is a preset as its file states it, and as it is with what is set while
// weir runs.
type PresetState struct{ Stated, Live Preset }

// Presets are those of all domains, in order of domains and files.
func (s *Source) Presets() []PresetState {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []PresetState
	for _, name := range slices.Sorted(maps.Keys(s.domains)) {
		live := s.domains[name].presets
		if c := s.changed[name]; c != nil {
			live = c.domain.presets
		}
		for i, p := range s.domains[name].presets {
			all = append(all, PresetState{p.shown(name), live[i].shown(name)})
		}
	}
	return all
}

func (p *presetSpec) shown(domain string) Preset {
	shown := Preset{
		Domain: domain, Name: p.name, File: printable(p.at.text.file, maxShown), Line: int(p.at.line), Enabled: p.enabled, Period: p.period,
		Total: p.global.total, Success: p.global.success, Groups: map[string][2]int64{}, User: p.user, Model: p.model, GroupFrom: slices.Clone(p.groupFrom),
	}
	for name, n := range p.groups {
		shown.Groups[name] = [2]int64{n.total, n.success}
	}
	return shown
}

// PresetFaults is all that is wrong with what c sets of any preset; a [Source] may
// find more, for it knows the other rules.
func (c Change) PresetFaults() []ChangeFault {
	_, faults := (&presetSpec{}).changed(&c)
	return faults
}

// ReadGroups reads the JSON of a group table, as in {"vip": [0, 1000]}, with the checks
// of a rule file. Faults tell lines of the text.
func ReadGroups(text string) (map[string][2]int64, Faults) {
	w := newWalker(newText("groups", []byte(text)))
	groups := w.groups(field{
		key:   &yaml.Node{Kind: yaml.ScalarNode, Value: "groups", Line: 1, Column: 1},
		value: &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text, Line: 1, Column: 1},
	})
	if len(w.faults) > 0 {
		return nil, w.faults.tidy()
	}
	read := map[string][2]int64{}
	for name, n := range groups {
		read[name] = [2]int64{n.total, n.success}
	}
	return read, nil
}
