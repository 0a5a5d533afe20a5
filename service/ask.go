package service

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// unbounded is the wait of a caller who leaves it to the rules and his deadline.
const unbounded = time.Duration(math.MaxInt64)

// AskJSON judges a request in the JSON form of RateLimitRequest, for callers who
// are no Envoy. It is held at most for wait, and at most as long as its limits
// say; 0 or less is answered at once.
//
// The status is 200 or 429, and the headers are those that Envoy would add to the
// response. The answer is RateLimitResponse in its JSON form, without the headers
// and with the refused caller's text as body instead of rawBody. What cannot be
// judged is a problem of RFC 9457: 400 for what is wrong with the request, 404 for
// a domain without rules, which Envoy would be told is admitted, and 503 where no
// rules were loaded or the store fails.
func (s *Service) AskJSON(ctx context.Context, body []byte, wait time.Duration) (int, http.Header, []byte) {
	request, fault := s.readRequest(body)
	if fault != nil {
		return fault.answer()
	}
	answer, err := s.askMessage(ctx, request, max(0, wait))
	if err != nil {
		return faultOf(err).answer()
	}
	header := http.Header{"Content-Type": {"application/json"}}
	for _, h := range answer.ResponseHeadersToAdd {
		if h.Key != "Content-Type" { // of the refused caller's body, which stands inside of this one
			header.Add(h.Key, h.Value)
		}
	}
	code := http.StatusOK
	if answer.OverallCode == rls.RateLimitResponse_OVER_LIMIT {
		code = http.StatusTooManyRequests
	}
	return code, header, answerJSON(answer)
}

// askMessage is ask with the messages of Envoy's API.
func (s *Service) askMessage(ctx context.Context, r *rls.RateLimitRequest, wait time.Duration) (*rls.RateLimitResponse, error) {
	c := call{bounds: &s.options.Bounds}
	wire, err := proto.Marshal(r)
	if err == nil {
		err = c.read(wire)
	}
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if err := s.ask(ctx, &c, wait); err != nil {
		return nil, err
	}
	answer := &rls.RateLimitResponse{}
	return answer, proto.Unmarshal(c.verdict.appendTo(nil, s.options.Headers), answer)
}

// answerJSON is what AskJSON says of an answer.
func answerJSON(answer *rls.RateLimitResponse) []byte {
	text := string(answer.RawBody)
	answer.RawBody, answer.ResponseHeadersToAdd = nil, nil
	form, err := protojson.Marshal(answer)
	fields := map[string]json.RawMessage{}
	if err == nil {
		err = json.Unmarshal(form, &fields)
	}
	if text != "" && err == nil {
		fields["body"], err = json.Marshal(text)
	}
	if err == nil {
		form, err = json.Marshal(fields) // protojson's spaces vary from build to build
	}
	if err != nil { // an answer is made of texts that are valid, and numbers
		form = []byte("{}")
	}
	return form
}

// readRequest reads a request and names what is wrong with it.
func (s *Service) readRequest(body []byte) (*rls.RateLimitRequest, *fault) {
	r, flaw := readAsked(body)
	if flaw != nil {
		return nil, flaw
	}
	if rules := s.options.Rules(); rules != nil && !slices.Contains(rules.Domains(), r.Domain) {
		return nil, &fault{
			Status: http.StatusNotFound, Field: "domain",
			Detail: "there are no rules for the domain " + strconv.Quote(cut(r.Domain)), Remedy: "name a domain that a rule file states",
		}
	}
	return r, nil
}

// readAsked is readRequest for whichever domain.
func readAsked(body []byte) (*rls.RateLimitRequest, *fault) {
	r := &rls.RateLimitRequest{}
	if err := protojson.Unmarshal(body, r); err != nil {
		return nil, jsonFault(body, err)
	}
	if f := requestFault(r); f != nil {
		return nil, f
	}
	return r, nil
}

// requestFault is what no rule could meet: Envoy never sends it.
func requestFault(r *rls.RateLimitRequest) *fault {
	switch {
	case r.GetDomain() == "":
		return &fault{Field: "domain", Detail: "the domain is empty", Remedy: "name the domain of the rules"}
	case len(r.GetDescriptors()) == 0:
		return &fault{Field: "descriptors", Detail: "there are no descriptors", Remedy: `send at least one, as in [{"entries": [{"key": "user", "value": "u1"}]}]`}
	}
	for i, d := range r.GetDescriptors() {
		if len(d.GetEntries()) == 0 {
			return &fault{
				Field: fmt.Sprintf("descriptors[%d].entries", i), Detail: "the descriptor has no entries",
				Remedy: "send at least one, with a key and a value",
			}
		}
		for j, e := range d.GetEntries() {
			if e.GetKey() == "" {
				return &fault{Field: fmt.Sprintf("descriptors[%d].entries[%d].key", i, j), Detail: "the key is empty", Remedy: "name the key that a rule states"}
			}
		}
	}
	return nil
}

// fault says why a request cannot be judged. As JSON it is a problem of RFC 9457.
type fault struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"` // 0: 400
	Detail string `json:"detail"`
	Field  string `json:"field,omitempty"`
	Remedy string `json:"remedy,omitempty"`
}

func (f *fault) answer() (int, http.Header, []byte) {
	if f.Status == 0 {
		f.Status = http.StatusBadRequest
	}
	f.Type, f.Title = "about:blank", http.StatusText(f.Status)
	form, err := json.Marshal(f)
	if err != nil { // texts and a number
		form = []byte("{}")
	}
	return f.Status, http.Header{"Content-Type": {"application/problem+json"}}, form
}

// faultOf is the fault of a call that failed.
func faultOf(err error) *fault {
	told := status.Convert(err)
	f := &fault{Status: http.StatusServiceUnavailable, Detail: told.Message(), Remedy: "try again later"}
	if told.Code() == codes.InvalidArgument {
		f.Status, f.Remedy = http.StatusBadRequest, ""
	}
	return f
}

// place is where protojson says that a fault is.
var place = regexp.MustCompile(`\(line (\d+):(\d+)\): (.*)`)

// jsonFault is the fault of a body that is no request, with the field that is
// wrong. protojson tells the place of a fault, and names the field only of some.
func jsonFault(body []byte, err error) *fault {
	text := strings.ReplaceAll(err.Error(), "\u00a0", " ") // it varies from build to build
	f := &fault{Detail: cut(strings.TrimPrefix(text, "proto: ")), Remedy: "send a RateLimitRequest in its JSON form"}
	if found := place.FindStringSubmatch(text); found != nil {
		line, _ := strconv.Atoi(found[1])
		column, _ := strconv.Atoi(found[2])
		f.Field = fieldAt(body, offsetOf(body, line, column))
	}
	return f
}

// offsetOf is the byte at a line and column, which count from 1, columns by
// characters.
func offsetOf(body []byte, line, column int) int {
	at := 0
	for ; line > 1; line-- {
		at += bytes.IndexByte(body[at:], '\n') + 1
	}
	for ; column > 1 && at < len(body); column-- {
		_, size := utf8.DecodeRune(body[at:])
		at += size
	}
	return at
}

// fieldAt is the path of the value or name that begins at or reaches beyond an
// offset, as in descriptors[0].entries[1].value.
func fieldAt(body []byte, offset int) string {
	type level struct {
		name  string
		index int
		list  bool
		named bool // name is that of the value to come
	}
	var way []level
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	for {
		token, err := decoder.Token()
		top := len(way) - 1
		if top >= 0 && way[top].list && token != json.Delim(']') {
			way[top].index++
		}
		if name, text := token.(string); text && top >= 0 && !way[top].list && !way[top].named {
			way[top].name, way[top].named = name, true
			continue // a fault in the name is found at its value
		}
		if top >= 0 {
			way[top].named = false
		}
		if err != nil || int(decoder.InputOffset()) > offset {
			break
		}
		switch token {
		case json.Delim('{'):
			way = append(way, level{})
		case json.Delim('['):
			way = append(way, level{list: true, index: -1})
		case json.Delim('}'), json.Delim(']'):
			way = way[:top]
		}
	}
	var path strings.Builder
	for i, l := range way {
		switch {
		case l.list:
			fmt.Fprintf(&path, "[%d]", max(0, l.index))
		case i > 0 && l.name != "":
			path.WriteString("." + cut(l.name))
		default:
			path.WriteString(cut(l.name))
		}
	}
	return path.String()
}

// maxTold bounds a text of the caller's that an error repeats.
const maxTold = 200

// cut is a text of the caller's, short enough to be repeated.
func cut(s string) string {
	if len(s) <= maxTold {
		return s
	}
	return strings.ToValidUTF8(s[:maxTold], "") + "..."
}
