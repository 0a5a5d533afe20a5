package main

import (
	"net/http"
	"slices"
	"testing"

	"github.com/weir-rls/weir/internal/stage"
	"github.com/weir-rls/weir/internal/stage/stagetest"
)

// Balancing is Envoy's: what was admitted is spread by the servers' weights.
func TestG19_ServersByTheirWeights(t *testing.T) {
	e := example()
	s := stagetest.Start(t, e, "memory")
	if counts := together(t, s, 30, stage.Request{Path: "/api/products"}, "contoso", "a", "b"); counts[http.StatusOK] != 60 {
		t.Fatal(counts)
	}
	var served []int64
	for _, u := range e.Upstreams {
		if u.Cluster == "products" {
			served = append(served, u.Handler.(*backend).served.Load())
		}
	}
	if !slices.Equal(served, []int64{30, 20, 10}) {
		t.Errorf("servers of weight 3, 2 and 1 served %v of 60", served)
	}
}
