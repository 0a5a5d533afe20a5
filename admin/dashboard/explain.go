package dashboard

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-rls/weir/descriptors"
)

// question is a request that is to be explained, as it was typed, and the answer.
type question struct {
	Domain, Text, Hits string
	Faults             map[string]string // by the field at fault
	Fault              string            // of no field
	Answer             *descriptors.Explanation
}

// explain answers the page of rules with an explanation of the request in its box. That
// is no link: values of requests do not belong into addresses.
func (d *dashboard) explain(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		d.fail(w, r, missing("the form cannot be read", "send it from the page of rules"))
		return
	}
	q := question{Domain: r.PostForm.Get("domain"), Text: strings.ReplaceAll(r.PostForm.Get("descriptors"), "\r\n", "\n"), Hits: r.PostForm.Get("hits"), Faults: map[string]string{}}
	status := http.StatusOK
	if body := q.body(); len(q.Faults) > 0 {
		status = http.StatusUnprocessableEntity
	} else if status = q.ask(d, r, body); status != http.StatusOK && status != http.StatusServiceUnavailable {
		status = http.StatusUnprocessableEntity
	}
	v, err := d.rulesOf(q.Domain, r.PostForm.Get("search"), q)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	d.pages[rulesPage.name].write(w, r, status, v)
}

// Bounds of a request that is to be explained. Envoy sends a few descriptors.
const (
	mostAsked      = 64 << 10 // bytes
	mostAskedLines = 100
)

// body is the request in the form of the API. What cannot be read becomes a fault.
func (q *question) body() []byte {
	var wire struct {
		Domain string           `json:"domain"`
		Sent   []map[string]any `json:"descriptors"`
		Hits   uint64           `json:"hitsAddend"`
	}
	wire.Domain = q.Domain
	lines := strings.SplitN(q.Text, "\n", mostAskedLines+2)
	if len(q.Text) > mostAsked || len(lines) > mostAskedLines+1 {
		q.Faults["descriptors"] = fmt.Sprintf("write at most %d descriptors, of %d bytes together", mostAskedLines, mostAsked)
		q.Text, lines = "", nil
	}
	for i, line := range lines {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		parsed, ok := descriptors.ParseDescriptor(line)
		if !ok && q.Faults["descriptors"] == "" {
			q.Faults["descriptors"] = fmt.Sprintf("line %d: %q is not KEY=VALUE,KEY=VALUE", i+1, line)
		}
		var entries []map[string]string
		for _, e := range parsed.Entries {
			entries = append(entries, map[string]string{"key": e.Key, "value": e.Value})
		}
		wire.Sent = append(wire.Sent, map[string]any{"entries": entries})
	}
	if len(wire.Sent) == 0 && q.Faults["descriptors"] == "" {
		q.Faults["descriptors"] = "write at least one descriptor, as in user=alice,api=c"
	}
	hits, err := strconv.ParseUint(strings.TrimSpace(q.Hits), 10, 32)
	if wire.Hits = hits; err != nil {
		q.Faults["hits"] = "hits must be a whole number from 0 to 4294967295"
	}
	text, err := json.Marshal(wire)
	if err != nil { // texts and a number
		q.Fault = err.Error()
	}
	return text
}

// ask asks what the API is asked, and tells the status of its answer.
func (q *question) ask(d *dashboard, r *http.Request, body []byte) int {
	status, _, answer := d.Explain(r.Context(), body)
	if status == http.StatusOK {
		q.Answer = &descriptors.Explanation{}
		if err := json.Unmarshal(answer, q.Answer); err == nil {
			return status
		}
	}
	q.Answer = nil
	var told struct{ Field, Detail, Remedy string }
	_ = json.Unmarshal(answer, &told) // else it is told that there is no answer
	if told.Detail == "" {
		told.Detail, told.Remedy = "there is no answer", "try again in a moment"
	}
	if q.Fault = told.Detail; told.Remedy != "" {
		q.Fault += ": " + told.Remedy
	}
	return status
}

// met tells whether the request meets a limit of a name.
func (q *question) met(limit string) bool {
	if q.Answer == nil {
		return false
	}
	for i := range q.Answer.Descriptors {
		for k := range q.Answer.Descriptors[i].Limits {
			if q.Answer.Descriptors[i].Limits[k].Limit == limit {
				return true
			}
		}
	}
	return false
}

// meets tells whether the request meets a limit of a rule, or of one below it.
func (q *question) meets(r descriptors.OutlinedRule) bool {
	return slices.ContainsFunc(r.Limits, func(l descriptors.OutlinedLimit) bool { return q.met(l.Name) }) || slices.ContainsFunc(r.Rules, q.meets)
}

func (q *question) decides(limit string) bool {
	return q.Answer != nil && q.Answer.Answer != nil && q.Answer.Answer.Limit == limit && limit != ""
}

// Decides tells that a limit of a descriptor decided.
func (q question) Decides(descriptor int, limit string) bool {
	return q.decides(limit) && q.Answer.Answer.Descriptor == descriptor
}

// Verdict is the answer in one word, and how it is shown.
func (q question) Verdict() mark {
	if q.Answer.Answer == nil {
		return mark{Text: "unknown", Class: "badge-warn", Why: "the bucket store does not answer"}
	}
	class := map[descriptors.Verdict]string{descriptors.Allowed: "badge-good", descriptors.Denied: "badge-bad", descriptors.Waits: "badge-warn"}
	return mark{Text: string(q.Answer.Answer.Verdict), Class: class[q.Answer.Answer.Verdict]}
}
