package main

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/weir-rls/weir/internal/parts"
)

// The container of the upstream runs the demo this way.
func TestUpstream_ServesAloneUntilItIsStopped(t *testing.T) {
	addr, err := parts.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	p, err := parts.Start(demoBinary(), "", "-upstream", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Kill() }()
	answer := awaitPod(t, "http://"+addr+"/api/a?x=1")
	if answer.Pod == "" || answer.Path != "/api/a" {
		t.Errorf("the answer is %+v", answer)
	}
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	if err := p.Wait(); err != nil {
		t.Errorf("it ended with %v: %s", err, p.Output())
	}
}

// awaitPod is the upstream's answer as soon as it listens.
func awaitPod(t *testing.T, url string) (answer struct{ Pod, Path string }) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); ; <-tick.C {
		response, err := client.Get(url)
		if err == nil {
			err = json.NewDecoder(response.Body).Decode(&answer)
			_ = response.Body.Close()
		}
		if err == nil {
			return answer
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
