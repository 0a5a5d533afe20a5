package service

import (
	"encoding/json"
	"fmt"

	"github.com/weir-rls/weir/descriptors"
)

// message says in one sentence why the request was refused. It holds nothing
// that the client sent: names and numbers are those of the rules.
func (v *verdict) message() string {
	switch v.reason {
	case "unmatched":
		return "no rate limit rule admits this request"
	case "excess":
		return "the request meets more rate limit descriptors than are allowed"
	}
	m := v.decisive
	switch {
	case m.Blind:
		return fmt.Sprintf("rate limit %q cannot be checked at the moment", m.Limit.Name)
	case m.Charge.Bucket.Capacity == 0:
		return fmt.Sprintf("rate limit %q admits no requests", m.Limit.Name)
	case m.hopeless:
		return fmt.Sprintf("the request needs more than the %d tokens that rate limit %q can hold", m.Charge.Bucket.Capacity, m.Limit.Name)
	}
	message := fmt.Sprintf("rate limit %q of %d per %s exceeded", m.Limit.Name, m.Limit.Requests, m.Limit.PeriodText())
	if delay, hope := v.retryAfter(); hope {
		message += fmt.Sprintf(", retry after %d s", wholeSeconds(delay))
	}
	return message
}

// render puts a message into the form of a response template. The openai form
// is that of the errors of OpenAI's API, which its client libraries parse.
func render(template descriptors.Response, message string) (contentType string, body []byte) {
	if template != descriptors.OpenAIResponse {
		return "text/plain; charset=utf-8", []byte(message + "\n")
	}
	type problem struct {
		Message string `json:"message"`
		Type    string `json:"type"`
		Code    string `json:"code"`
	}
	body, err := json.Marshal(map[string]problem{"error": {message, "requests", "rate_limit_exceeded"}})
	if err != nil { // a struct of strings always marshals
		body = []byte(`{"error":{"message":"rate limit exceeded","type":"requests","code":"rate_limit_exceeded"}}`)
	}
	return "application/json", body
}
