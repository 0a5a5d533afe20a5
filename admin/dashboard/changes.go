package dashboard

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weir-rls/weir/admin"
	"github.com/weir-rls/weir/overrides"
)

var changesPage = page{
	name: "changes", path: home + "/changes", title: "Changes", menu: "Changes", icon: "history",
	shows: "what was set, by whom and why, and a way back", data: (*dashboard).changesMade,
}

// stepsShown bounds the steps on the page.
const stepsShown = 200

// changesView is what the page of changes shows.
type changesView struct {
	Steps  []step
	Set    int    // changes that are in force
	Asked  *step  // that somebody wants to take back, who is asked first
	Reason string // as typed
	Fault  string // why it was not taken back
	Done   string // what was
	More   bool   // there are older steps
	Lost   string // why the history cannot be read; Steps are then what is in force
}

// step is one step of the history.
type step struct {
	Time           time.Time
	Action, Word   string
	Author, Reason string
	Domain, Limit  string // Limit is empty for a domain as a whole
	Pool           bool   // Limit is a pool, or a named bucket
	For, Sets      string
	Before         string // what it replaced
	Expires        time.Time

	ID    string // names the step in the form that takes it back; empty: nothing can
	Back  string // what taking it back does, in words
	entry overrides.Entry
	was   *overrides.Entry // what is set again by taking it back, nil: nothing
	seen  int64            // the version that is there now
}

// told is a note of the ledger's journal, whoever wrote it.
type told struct {
	overrides.Note
	Before   json.RawMessage `json:"before"`
	Domain   string          `json:"domain"`
	Pool     string          `json:"pool"`
	Capacity json.RawMessage `json:"capacity"`
	Bucket   *struct {
		ID, Rate string
	} `json:"bucket"`
}

func (d *dashboard) changesMade(r *http.Request) (any, error) {
	v, err := d.steps(r.Context())
	if err != nil {
		return d.inForce(err), nil
	}
	if id := r.URL.Query().Get("undo"); id != "" {
		if v.Asked = v.step(id); v.Asked == nil {
			v.Fault = "This step cannot be taken back any more: something else was set since."
		}
	}
	return v, nil
}

// inForce is what this replica knows without the history: the changes that are set, latest
// first, of which nothing can be taken back.
func (d *dashboard) inForce(lost error) changesView {
	v := changesView{Lost: lost.Error()}
	for _, l := range d.Book.List() {
		v.Set++
		v.Steps = append(v.Steps, step{
			Time: l.SetAt, Action: "set", Word: "set", Author: l.Author, Reason: l.Reason, Domain: l.Domain, Limit: l.Limit,
			For: keyText(l.For), Sets: setsText(&l.Change), Expires: l.Expires,
		})
	}
	slices.SortStableFunc(v.Steps, func(a, b step) int { return b.Time.Compare(a.Time) })
	v.More = len(v.Steps) > stepsShown
	v.Steps = v.Steps[:min(len(v.Steps), stepsShown)]
	return v
}

func (v *changesView) step(id string) *step {
	for i := range v.Steps {
		if v.Steps[i].ID == id && id != "" {
			return &v.Steps[i]
		}
	}
	return nil
}

// steps are the latest of the history, and how each can be taken back.
func (d *dashboard) steps(ctx context.Context) (v changesView, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	raw, err := d.Book.History(ctx, stepsShown+1)
	if err != nil {
		return v, err
	}
	v.More = len(raw) > stepsShown
	now := map[string]int64{} // the versions that are in force, by key
	for _, listed := range d.Book.List() {
		now[listed.Key()] = listed.Version
		v.Set++
	}
	seen := map[string]bool{} // only the latest step of each can be taken back
	for _, text := range raw[:min(len(raw), stepsShown)] {
		var n told
		if json.Unmarshal(text, &n) != nil {
			continue // by a later version of weir
		}
		for _, s := range n.steps() {
			if s.entry.Version > 0 && !seen[s.entry.Key()] {
				seen[s.entry.Key()] = true
				s.wayBack(now[s.entry.Key()], time.Now())
			}
			v.Steps = append(v.Steps, s)
		}
	}
	return v, nil
}

// steps are those of one note.
func (n *told) steps() (all []step) {
	base := step{Time: n.Time, Action: n.Action, Word: strings.ReplaceAll(n.Action, "_", " "), Author: n.Author, Reason: n.Reason}
	var before *overrides.Entry
	if len(n.Before) > 0 && len(n.Changes) > 0 && json.Unmarshal(n.Before, &before) != nil {
		before = nil
	}
	for _, e := range n.Changes {
		s := base
		s.Domain, s.Limit, s.For, s.Sets, s.Expires, s.entry = e.Domain, e.Limit, keyText(e.For), setsText(&e.Change), e.Expires, e
		if before != nil {
			s.Before, s.was = setsText(&before.Change), before
		}
		all = append(all, s)
	}
	switch {
	case len(all) > 0:
	case n.Pool != "":
		base.Domain, base.Limit, base.Pool, base.Sets = n.Domain, n.Pool, true, string(n.Capacity)
		all = append(all, base)
	case n.Bucket != nil:
		base.Limit, base.Pool, base.Sets = n.Bucket.ID, true, "rate "+n.Bucket.Rate
		all = append(all, base)
	default:
		all = append(all, base)
	}
	return all
}

// wayBack tells how the step can be taken back, if it is what is there now.
func (s *step) wayBack(version int64, now time.Time) {
	over := func(e *overrides.Entry) bool { return !e.Expires.IsZero() && !now.Before(e.Expires) }
	switch {
	case s.Action == "set" && version == s.entry.Version && s.was != nil && !over(s.was):
		s.Back = "what was set before is set again: " + s.Before
	case s.Action == "set" && version == s.entry.Version:
		s.Back, s.was = "it is again as the rule files state", nil
	case s.Action == "undone" && version == 0 && !over(&s.entry):
		s.Back, s.was = "it is set again: "+s.Sets, &s.entry
	default:
		return
	}
	s.seen, s.ID = version, s.Action+"-"+strconv.FormatInt(s.entry.Version, 10)
}

// undo takes a step back, which is a step itself.
func (d *dashboard) undo(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		d.fail(w, r, missing("the form cannot be read", "send it from the page of changes"))
		return
	}
	v, err := d.steps(r.Context())
	if err != nil {
		d.fail(w, r, err)
		return
	}
	s := v.step(r.PostForm.Get("step"))
	if s == nil {
		v.Fault = "Nothing was changed: this step cannot be taken back any more, for something else was set since."
		d.pages[changesPage.name].write(w, r, http.StatusConflict, v)
		return
	}
	reason := strings.TrimSpace(r.PostForm.Get("reason"))
	words := overrides.Words{Author: admin.AuthorOf(r), Reason: reason, Expect: &s.seen}
	if s.was == nil {
		_, err = d.Book.Undo(r.Context(), s.entry.Key(), words)
	} else {
		if !s.was.Expires.IsZero() {
			words.TTL = max(time.Second, time.Until(s.was.Expires))
		}
		_, _, err = d.Book.Set(r.Context(), s.was.Change, words)
	}
	status, why := refusal(err, map[string]string{})
	what := cmp.Or(s.Limit, "the domain "+s.Domain)
	fresh, failed := d.steps(r.Context())
	if failed == nil {
		v = fresh
	}
	if why != "" {
		v.Fault, v.Reason = why, reason
		if at := slices.IndexFunc(v.Steps, func(o step) bool { return o.ID == s.ID }); at >= 0 {
			v.Asked = &v.Steps[at]
		}
	} else {
		v.Done = "Taken back: " + what + ". " + strings.ToUpper(s.Back[:1]) + s.Back[1:] + "."
	}
	d.pages[changesPage.name].write(w, r, status, v)
}
