package service

import (
	"encoding/json"
	"slices"
)

// problem is a problem of RFC 9457. Its status is left out: it is that of Envoy's
// filter, which weir does not know.
type problem struct {
	Type     string   `json:"type"`
	Title    string   `json:"title,omitempty"`
	Detail   string   `json:"detail"`
	Violated []string `json:"violated-policies,omitempty"`
}

// The types of draft-ietf-httpapi-ratelimit-headers-10, section 5.
const (
	quotaExceeded   = "https://iana.org/assignments/http-problem-types#quota-exceeded"
	reducedCapacity = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"
)

// problem says why the request was refused: which limits it exceeds; that there is
// no capacity for it, where it exceeds none; or nothing but its message, where no
// limit refused it.
func (v *verdict) problem(message string) []byte {
	p := problem{Type: "about:blank", Detail: message}
	if v.reason == "limit" {
		p.Type, p.Title = reducedCapacity, "Request cannot be satisfied due to temporary server capacity constraints"
		for i := range v.met {
			if m := &v.met[i]; m.refuses && m.hasQuota() && !m.Blind && !slices.Contains(p.Violated, m.Limit.Name) {
				p.Type, p.Title = quotaExceeded, "Request cannot be satisfied as assigned quota has been exceeded"
				p.Violated = append(p.Violated, m.Limit.Name)
			}
		}
	}
	body, err := json.Marshal(p)
	if err != nil { // texts always marshal
		return nil
	}
	return body
}
