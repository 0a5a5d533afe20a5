package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// A real Sentinel makes a replica the master while the fleet is asked. What the old master
// had not passed on is lost, milliseconds; and while the replicas come to the new one each
// after the other, their shares go on.
func TestChaos_AFailoverByASentinel(t *testing.T) {
	master, _, sentinel := partstest.Sentinel(t, parts.RedisServer, "buckets")
	c := &chaos{T: t}
	for range chaosReplicas {
		c.replicas = append(c.replicas, partstest.Weir(t, weirBinary, direct(t, chaosRules, "--store", "redis",
			"--redis-url", "redis://"+sentinel.Addr+"?master_name=buckets", "--store-timeout", chaosTimeout.String())...))
	}
	c.happens(fault{
		name: "a Sentinel makes a replica the master", lasts: 3 * time.Second, isOutage: true,
		addsToken: back + chaosRate*0.1, adds: chaosBurst, addsOf: chaosBurst,
		strike: func(c *chaos) {
			if err := master.Kill(); err != nil {
				c.Log(err)
			}
		},
	})
}

// An Envoy that is killed takes its own requests with it; through the other one the
// limit goes on as if nothing had happened.
func TestChaos_AnEnvoyIsKilled(t *testing.T) {
	top := run(t, spec{envoys: 2, weirs: 2, redis: true, rules: rulesOf(plentyOf, "rate: 50/s, burst: 200")})
	user := headers{"X-User": "u"}
	begun := time.Now()
	doomed, other := &topology{fronts: top.fronts[:1]}, &topology{fronts: top.fronts[1:]}
	dies, lives := doomed.load(t, 4, user), other.load(t, 4, user)
	lives.more(t, 300)
	if err := top.envoys[0].Kill(); err != nil {
		t.Log(err)
	}
	lives.more(t, 300)
	lost, got := dies.end(), lives.end()
	bound := int64(200 + 50*time.Since(begun).Seconds())
	admitted := int64(lost[200] + got[200])
	if admitted > bound || got[429] == 0 || got[200]+got[429] != got.total() || lost[0] == 0 {
		t.Errorf("%d admitted of at most %d; through the killed Envoy %v, through the other %v", admitted, bound, lost, got)
	}
	partstest.Chaos(t, "Envoy is killed", "token", admitted, bound, 0, 0)
}

// A replica of weir that is killed takes the calls under way with it, and Envoy asks the
// other one. Its tokens are in Redis.
func TestChaos_AReplicaIsKilled(t *testing.T) {
	top := run(t, spec{envoys: 1, weirs: 2, redis: true, rules: rulesOf(plentyOf, "rate: 50/s, burst: 200")})
	begun := time.Now()
	load := top.load(t, 8, headers{"X-User": "u"})
	load.more(t, 300)
	if err := top.weirs[0].Kill(); err != nil {
		t.Log(err)
	}
	load.more(t, 1000)
	got := load.end()
	bound := int64(200 + 50*time.Since(begun).Seconds())
	failed := got.total() - got[200] - got[429]
	if int64(got[200]) > bound || got[429] == 0 || failed > 8+2*8 { // what is under way, and until Envoy knows
		t.Errorf("%v, want at most %d admitted and few errors", got, bound)
	}
	partstest.Chaos(t, "a replica of weir is killed", "token", int64(got[200]), bound, int64(failed), 0)
}

// Where the state directory takes nothing any more, a change through the API is refused
// with nothing changed, what was set before stays in force, and requests are judged.
func TestChaos_TheStateDirectoryIsFull(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	fill, room := smallDisk(t, dir)
	weir := partstest.Weir(t, weirBinary, direct(t, fleetRules, "--state-dir", dir)...)
	set := func(burst int) (int, string) {
		return put(t, "http://"+weir.HTTP+"/api/v1/limits/k", fmt.Sprintf(`{"burst": %d}`, burst))
	}
	if status, text := set(30); status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	fill()
	if status, text := set(300); status != http.StatusServiceUnavailable || !strings.Contains(text, "state") {
		t.Errorf("a change on a full disk was answered %d %s", status, text)
	}
	admitted := admittedOf(t, weir, "a", 100)
	if admitted != 30 {
		t.Errorf("%d of 100 were admitted, want the 30 that were set", admitted)
	}
	partstest.Chaos(t, "the disk of the state directory is full", "token", int64(admitted), 30, 0, 0)
	room()
	if status, text := set(40); status != http.StatusOK {
		t.Errorf("with room again: %d %s", status, text)
	}
	if n := admittedOf(t, weir, "a", 100); n != 10 {
		t.Errorf("%d more were admitted, want 10", n)
	}
}

// smallDisk makes a directory that can be filled: a file system of its own, or, for who may
// not mount one, a directory that cannot be written.
func smallDisk(t *testing.T, dir string) (fill, room func()) {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := exec.Command("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", dir).Run(); err != nil {
		mode := func(mode os.FileMode) func() {
			return func() {
				if err := os.Chmod(dir, mode); err != nil {
					t.Fatal(err)
				}
			}
		}
		t.Cleanup(mode(0o700))
		return mode(0o500), mode(0o700)
	}
	t.Cleanup(func() {
		if err := exec.Command("umount", "-l", dir).Run(); err != nil {
			t.Error(err)
		}
	})
	filler := filepath.Join(dir, "filler")
	fill = func() {
		f, err := os.Create(filler)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		for err == nil {
			_, err = f.Write(make([]byte, 4096))
		}
	}
	return fill, func() {
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
	}
}

// put sends a JSON body and answers the status and the body.
func put(t *testing.T, url, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var text strings.Builder
	if err := response.Write(&text); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, text.String()
}
