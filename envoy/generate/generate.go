package generate

import (
	"fmt"
	"net"
	"strconv"

	"go.yaml.in/yaml/v4"

	"github.com/weir-rls/weir/descriptors"
)

// Forms are the words for what is written, in the order of the manual.
var Forms = []string{"envoy", "istio", "envoy-gateway"}

// Address is a host, by name or number, and a port.
type Address struct {
	Host string
	Port uint16
}

// ParseAddress reads HOST:PORT.
func ParseAddress(text string) (Address, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return Address{}, fmt.Errorf("%q is no HOST:PORT", text)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return Address{}, fmt.Errorf("%q has no port from 0 to 65535", text)
	}
	return Address{host, uint16(n)}, nil
}

// Options say what is written.
type Options struct {
	Form string  // one of Forms
	Weir Address // where weir serves gRPC

	// Of the form envoy.
	Complete bool // a whole bootstrap instead of its parts
	Listen   Address
	Upstream Address

	// Of the others.
	Namespace string
	Selector  []Label // of the workloads; empty: all of the namespace
	Inbound   bool    // at the sidecars that receive a request, not at a gateway
	Host      string  // Istio's name of one virtual host, such as shop.example.com:80; empty: all
	Gateway   string  // Envoy Gateway's
	Listener  string  // of that
}

// Label is a label of Kubernetes.
type Label struct{ Name, Value string }

// File is a file of what is written.
type File struct {
	Name    string // without a directory
	Content []byte
}

// Generate writes what goes with rules, by a mapping file. With a fault that is an
// error it answers no files.
func Generate(rules *descriptors.Survey, mapping string, opts Options) ([]File, descriptors.Faults) {
	m := readMapping(mapping)
	if m.faults.Failed() {
		return nil, m.faults.Tidy()
	}
	p := &planner{mapping: m, survey: rules, used: map[string]bool{}}
	w := &writer{domains: p.plan(), opts: opts}
	if m.faults.Failed() {
		return nil, m.faults.Tidy()
	}
	var files []File
	for _, f := range w.files(p) {
		content, err := document(f)
		if err != nil {
			p.fail(m.doc.Roots[0], "", "what it asks for cannot be written: %v", err)
			return nil, m.faults.Tidy()
		}
		files = append(files, File{f.name, content})
	}
	return files, m.faults.Tidy()
}

// mostAlternatives bounds the descriptors of which a request has one, and mostSent
// those that it has: weir judges no more at a time.
const (
	mostAlternatives = 64
	mostSent         = 32
)

// bound tells where a request would have too many descriptors, and finds the forms of
// descriptors that no rule meets, because a value is absent.
func (p *planner) bound(d *domain) {
	for _, s := range d.sent {
		n := 1
		for _, e := range s.entries {
			if e.from != nil && !e.fixed && !e.optional && e.from.kind == "query" {
				n *= 2
			}
		}
		if n > mostAlternatives {
			p.fail(s.entries[0].from.at, "have a filter write them into metadata, and map that", "a descriptor of so many query parameters needs %d forms, more than %d", n, mostAlternatives)
			continue
		}
		for _, form := range s.forms() {
			all := s.expected()
			for i, one := range form {
				if one.value != "" {
					all[i].Values = []string{one.value}
				}
			}
			s.vain = append(s.vain, !p.survey.Refuses(d.name) && len(p.survey.Meet(d.name, all).Rules) == 0)
		}
	}
	if n := len(d.sent) + len(d.alone); n > mostSent {
		p.fail(p.doc.Roots[0], "divide the domain, or start weir with a higher --max-descriptors and write the filter by hand", "a request to the domain %s has %d descriptors, and weir judges %d", quote(d.name), n, mostSent)
	}
}

// output is a file before it is written.
type output struct {
	name      string
	comment   string
	documents []*yaml.Node
}

func document(f output) ([]byte, error) {
	content := []byte(f.comment)
	for i, n := range f.documents {
		text, err := written(n)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			content = append(content, "---\n"...)
		}
		content = append(content, text...)
	}
	return content, nil
}

func (w *writer) files(p *planner) []output {
	switch w.opts.Form {
	case "istio":
		return w.istio(p)
	case "envoy-gateway":
		return w.gateway(p)
	}
	if w.opts.Complete {
		return w.bootstrap(p)
	}
	return w.parts(p)
}
