package dashboard

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/overrides"
)

var modelsPage = page{
	name: "models", path: home + "/models", title: "Model limits", menu: "Model limits", icon: "sliders",
	shows: "how many requests users may send to models, by group", data: (*dashboard).models,
}

// modelsView are the settings of all presets of the rules.
type modelsView struct{ Forms []modelsForm }

// modelsForm is the settings of one preset: as they are, or as somebody typed them who
// has just saved them.
type modelsForm struct {
	descriptors.PresetState
	Off     bool              // the domain is switched off
	Typed   map[string]string // by field
	Enabled bool
	Faults  map[string]string // by field: what is wrong with what was typed
	Saved   *saved            // nil: nobody has just saved
	Set     *overrides.Entry  // what is set of the preset, nil if nothing is
	LeftOut []string          // why what is set is not in force
}

// saved is what became of saving.
type saved struct {
	Class, Text string
	Kept, Made  []string // fields that were not saved, and those that were
}

// The fields of the form, in its order, and what people call them.
var modelsFields = []struct{ Name, Words string }{
	{"enabled", "the switch"}, {"period", "the period"}, {"total", "the total"}, {"success", "the successful requests"}, {"groups", "the groups"},
}

func (d *dashboard) models(*http.Request) (any, error) { return d.modelsForms(), nil }

func (d *dashboard) modelsForms() modelsView {
	var v modelsView
	for _, p := range d.Rules.Presets() {
		f := modelsForm{PresetState: p, Enabled: p.Live.Enabled, Typed: typedOf(p.Live), Faults: map[string]string{}}
		for _, listed := range d.Book.List() {
			switch {
			case listed.Domain != p.Live.Domain:
			case listed.Limit == "" && listed.Enabled != nil:
				f.Off = !*listed.Enabled
			case listed.Limit == p.Live.Name:
				f.Set = &listed.Entry
				for _, fault := range listed.LeftOut {
					f.LeftOut = append(f.LeftOut, fault.Error())
				}
			}
		}
		v.Forms = append(v.Forms, f)
	}
	return v
}

// ID tells the fields of one form from those of another.
func (f modelsForm) ID() string { return f.Live.Domain + "/" + f.Live.Name }

// Rows are how many lines the field for groups has.
func (f modelsForm) Rows() int { return min(24, max(8, strings.Count(f.Typed["groups"], "\n")+2)) }

// Version is that of what is set, which a form that is saved must have seen.
func (f modelsForm) Version() int64 {
	if f.Set == nil {
		return 0
	}
	return f.Set.Version
}

// Typed texts of a preset: the period in minutes.
func typedOf(p descriptors.Preset) map[string]string {
	return map[string]string{
		"period": minutes(p.Period), "total": strconv.FormatInt(p.Total, 10), "success": strconv.FormatInt(p.Success, 10), "groups": groupsText(p.Groups),
	}
}

func minutes(d time.Duration) string {
	return strconv.FormatFloat(d.Minutes(), 'f', -1, 64)
}

// groupsText is a group table as JSON, a group on each line.
func groupsText(groups map[string][2]int64) string {
	if len(groups) == 0 {
		return "{}"
	}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		quoted, _ := json.Marshal(name) // a text
		lines = append(lines, fmt.Sprintf("  %s: [%d, %d]", quoted, groups[name][0], groups[name][1]))
	}
	return "{\n" + strings.Join(lines, ",\n") + "\n}"
}

// FileText is what the file states of a field, empty where that is what is live.
func (f modelsForm) FileText(field string) string {
	if field == "enabled" {
		return map[bool]string{true: map[bool]string{true: "on", false: "off"}[f.Stated.Enabled]}[f.Stated.Enabled != f.Live.Enabled]
	}
	if stated := typedOf(f.Stated)[field]; stated != typedOf(f.Live)[field] {
		return stated
	}
	return ""
}
