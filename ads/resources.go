package ads

import (
	"fmt"
	"strconv"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/weir-rls/weir/descriptors"
)

// wrapped is the type of a resource that stands in another one with its name.
const wrapped = "type.googleapis.com/envoy.service.discovery.v3.Resource"

// given are the rule files that resources stand for. Where whole is false, some have no
// name that could be read, so what is missing may be one of those.
func given(resources []*anypb.Any) (files []descriptors.Given, whole bool) {
	return givenWithin(resources, maxWritten)
}

// givenWithin is given with so many bytes left for all files.
func givenWithin(resources []*anypb.Any, left int) (files []descriptors.Given, whole bool) {
	whole = true
	names := map[string]int{}
	for i, r := range resources {
		message, name, err := open(r)
		shown := fmt.Sprintf("resource %q", name)
		if name == "" {
			shown = "resource " + strconv.Itoa(i)
		}
		if names[shown]++; names[shown] > 1 {
			shown += fmt.Sprintf(" (%d)", names[shown])
		}
		g := descriptors.Given{Name: shown}
		w := writer{most: left}
		if err == nil {
			err = w.config(message)
		}
		if err != nil {
			g.Unread = "cannot be read: " + err.Error()
			whole = whole && name != ""
		} else {
			g.Content, g.Path = append(w.out, '\n'), pathsOf(message)
			left -= len(w.out)
		}
		files = append(files, g)
	}
	return files, whole
}

// open is the message of a resource and its name, as far as it is known.
func open(r *anypb.Any) (message []byte, name string, err error) {
	if r.GetTypeUrl() == wrapped {
		var outer discovery.Resource
		if err := proto.Unmarshal(r.GetValue(), &outer); err != nil {
			return nil, "", err
		}
		name, r = outer.GetName(), outer.GetResource()
	}
	if name == "" {
		name = nameOf(r.GetValue())
	}
	if r.GetTypeUrl() != TypeURL {
		return nil, name, fmt.Errorf("its type is %.200q, not %s", r.GetTypeUrl(), TypeURL)
	}
	return r.GetValue(), name, nil
}
