package dashboard

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weir-rls/weir/admin"
	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/overrides"
)

// saveModels changes what is set of one preset to what was typed. What is wrong stays
// as it was and is told at its field, and the rest is set in one step.
func (d *dashboard) saveModels(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		d.fail(w, r, missing("the form cannot be read", "send it from the page of model limits"))
		return
	}
	view := d.modelsForms()
	id := r.PostForm.Get("preset")
	at := slices.IndexFunc(view.Forms, func(f modelsForm) bool { return f.ID() == id })
	if at < 0 {
		d.fail(w, r, missing("the rules have no such preset any more", "open the page of model limits again"))
		return
	}
	f := &view.Forms[at]
	f.take(r)
	status, outcome := d.save(r, f)
	if outcome.Class != "note-bad" && len(outcome.Kept) == 0 {
		fresh := d.modelsForms()
		if len(fresh.Forms) == len(view.Forms) {
			view = fresh
		}
	} else { // what was typed stays, beside what is now set
		for i, fresh := range d.modelsForms().Forms {
			if i == at {
				f.PresetState, f.Set, f.LeftOut = fresh.PresetState, fresh.Set, fresh.LeftOut
			}
		}
	}
	view.Forms[at].Saved = &outcome
	d.pages[modelsPage.name].write(w, r, status, view)
}

// take takes over what was typed.
func (f *modelsForm) take(r *http.Request) {
	f.Enabled = r.PostForm.Get("enabled") == "on"
	for name := range f.Typed {
		f.Typed[name] = strings.TrimSpace(strings.ReplaceAll(r.PostForm.Get(name), "\r\n", "\n"))
	}
	f.Typed["reason"] = r.PostForm.Get("reason")
}

// save sets what differs, and tells what became of it.
func (d *dashboard) save(r *http.Request, f *modelsForm) (status int, outcome saved) {
	next, changed := f.read()
	var made []string
	for _, field := range modelsFields {
		switch {
		case f.Faults[field.Name] != "":
			outcome.Kept = append(outcome.Kept, field.Words)
		case slices.Contains(changed, field.Name):
			made = append(made, field.Words)
		}
	}
	switch {
	case len(made) == 0 && len(outcome.Kept) == 0:
		return http.StatusOK, saved{Class: "", Text: "Nothing changed."}
	case len(made) == 0:
		outcome.Class, outcome.Text = "note-bad", "Not saved: "+refused(outcome.Kept)+". Nothing was changed."
		return http.StatusUnprocessableEntity, outcome
	}
	if status, why := d.set(r, f, next); why != "" {
		return status, saved{Class: "note-bad", Text: why}
	}
	if outcome.Made = made; len(outcome.Kept) == 0 {
		outcome.Class, outcome.Text = "note-good", "Saved: "+enumerated(made)+". The next request is judged by it."
		return http.StatusOK, outcome
	}
	outcome.Class = "note-warn"
	outcome.Text = "Partly failed: " + refused(outcome.Kept) + ", see there. Saved: " + enumerated(made) + "."
	return http.StatusUnprocessableEntity, outcome
}

// refused tells that fields were.
func refused(fields []string) string {
	if len(fields) == 1 && !strings.HasSuffix(fields[0], "s") {
		return fields[0] + " was refused"
	}
	return enumerated(fields) + " were refused"
}

// enumerated names things in one text.
func enumerated(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// read is the preset as it was typed, with what is live where that is wrong, and the
// fields that differ from what is live.
func (f *modelsForm) read() (next descriptors.Preset, changed []string) {
	next = f.Live
	differs := func(field string, is bool) {
		if is && f.Faults[field] == "" {
			changed = append(changed, field)
		}
	}
	next.Enabled = f.Enabled
	differs("enabled", next.Enabled != f.Live.Enabled)
	typed := descriptors.Change{Period: f.periodOf(f.Typed["period"])}
	for field, into := range map[string]**int64{"total": &typed.Total, "success": &typed.Success} {
		n, err := strconv.ParseInt(f.Typed[field], 10, 64)
		if *into = &n; err != nil {
			f.Faults[field], *into = "write a whole number in digits", nil
		}
	}
	groups, faults := descriptors.ReadGroups(f.Typed["groups"])
	if typed.Groups = groups; len(faults) > 0 {
		f.Faults["groups"] = groupsFault(faults[0])
	}
	for _, fault := range typed.PresetFaults() {
		field, _, _ := strings.Cut(fault.Field, ".")
		f.Faults[field] = cmp.Or(f.Faults[field], withRemedy(fault.Message, fault.Remedy))
	}
	if f.Faults["period"] == "" {
		next.Period, _ = time.ParseDuration(typed.Period)
	}
	if f.Faults["total"] == "" {
		next.Total = *typed.Total
	}
	if f.Faults["success"] == "" {
		next.Success = *typed.Success
	}
	if f.Faults["groups"] == "" {
		next.Groups = groups
	}
	differs("period", next.Period != f.Live.Period)
	differs("total", next.Total != f.Live.Total)
	differs("success", next.Success != f.Live.Success)
	differs("groups", !maps.Equal(next.Groups, f.Live.Groups))
	return next, changed
}

// periodOf is a number of minutes as rule files write a time, empty if it is none.
func (f *modelsForm) periodOf(text string) string {
	d, err := time.ParseDuration(text + "m")
	switch {
	case strings.Trim(text, "0123456789.") != "" || err != nil:
		f.Faults["period"] = "write a number of minutes, as in 1 or 0.5"
		return ""
	case d < time.Second || d > 8760*time.Hour:
		f.Faults["period"] = "the period must be from 1 second (0.017) to a year (525600 minutes)"
		return ""
	}
	return d.Round(time.Millisecond).String()
}

func groupsFault(f descriptors.Fault) string {
	text := f.Message
	if f.Line > 0 {
		text = fmt.Sprintf("line %d: %s", f.Line, text)
	}
	return withRemedy(text, f.Remedy)
}

func withRemedy(message, remedy string) string {
	if remedy != "" {
		message += ": " + remedy
	}
	return message
}

// set makes next what is live, as what differs from the file; nothing differs where
// what is set is undone. It tells why not, if it does not.
func (d *dashboard) set(r *http.Request, f *modelsForm, next descriptors.Preset) (status int, why string) {
	version, err := strconv.ParseInt(r.PostForm.Get("version"), 10, 64)
	if err != nil {
		return http.StatusBadRequest, "Not saved: the form has no version. Open the page again."
	}
	words := overrides.Words{Author: admin.AuthorOf(r), Reason: strings.TrimSpace(r.PostForm.Get("reason")), Expect: &version}
	change := changeTo(f.Stated, next)
	if change == nil {
		_, err = d.Book.Undo(r.Context(), overrides.Key(f.Live.Domain, f.Live.Name, nil), words)
	} else {
		_, _, err = d.Book.Set(r.Context(), *change, words)
	}
	return refusal(err, f.Faults)
}

// changeTo is what is to be set so that a preset which a file states is as next is, nil
// if nothing is.
func changeTo(stated, next descriptors.Preset) *descriptors.Change {
	c := descriptors.Change{Domain: stated.Domain, Limit: stated.Name}
	any := false
	differs := func(is bool) bool { any = any || is; return is }
	if differs(next.Enabled != stated.Enabled) {
		c.Enabled = &next.Enabled
	}
	if differs(next.Period != stated.Period) {
		c.Period = next.Period.String()
	}
	if differs(next.Total != stated.Total) {
		c.Total = &next.Total
	}
	if differs(next.Success != stated.Success) {
		c.Success = &next.Success
	}
	if differs(!maps.Equal(next.Groups, stated.Groups)) {
		c.Groups = next.Groups
	}
	if !any {
		return nil
	}
	return &c
}

// refusal is why a change was not made, empty if it was. What is wrong with a field is
// added to faults.
func refusal(err error, faults map[string]string) (status int, why string) {
	var fault descriptors.ChangeFault
	var conflict overrides.Conflict
	switch {
	case err == nil:
		return http.StatusOK, ""
	case errors.As(err, &fault):
		field, _, _ := strings.Cut(fault.Field, ".")
		faults[field] = withRemedy(fault.Message, fault.Remedy)
		return http.StatusUnprocessableEntity, "Not saved: " + withRemedy(fault.Error(), fault.Remedy)
	case errors.As(err, &conflict), errors.Is(err, overrides.ErrUnknown):
		return http.StatusConflict, "Not saved: somebody else has changed it since this page was opened. Look at what is set now, and save again if yours is still right."
	}
	return http.StatusServiceUnavailable, "It is not known whether this was saved: " + err.Error() + ". Open the page again and look."
}
