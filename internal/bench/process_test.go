package bench

import (
	"net"
	"os"
	"testing"
	"time"
)

// The process is found by its port, and what it works is on its account.
func TestListener_IsFoundAndItsWorkIsCounted(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		_, port, err := net.SplitHostPort(listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if pid, err := ListenerOf(net.JoinHostPort("localhost", port)); err != nil || pid != os.Getpid() {
			t.Errorf("%s: process %d (%v), not %d", address, pid, err, os.Getpid())
		}
	}
	before, err := UsageOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	kept := make([]byte, 64<<20)
	for i := range kept {
		kept[i] = byte(i)
	}
	// CPU time and not wall time passes here, however busy the machine.
	now, deadline := before, time.Now().Add(time.Minute)
	for now.CPU < before.CPU+100*time.Millisecond && time.Now().Before(deadline) {
		if now, err = UsageOf(os.Getpid()); err != nil {
			t.Fatal(err)
		}
	}
	if now.CPU < before.CPU+100*time.Millisecond || now.RSS < before.RSS+60<<20 || now.PeakRSS < now.RSS {
		t.Errorf("%+v after %+v: 100 ms of work and 64 MiB do not show", now, before)
	}
	// The clock and the ticks of /proc are of the same process.
	if ticks := now.User + now.System; (now.CPU - ticks).Abs() > 50*time.Millisecond+now.CPU/10 {
		t.Errorf("%v by the clock, %v by ticks", now.CPU, ticks)
	}
	if kept[1] != 1 {
		t.Error("the memory was not kept")
	}
}

func TestListener_OfAnotherMachineIsNotLookedFor(t *testing.T) {
	if pid, err := ListenerOf("192.0.2.1:8081"); pid != 0 || err != nil { // an address of RFC 5737, nobody's
		t.Errorf("%d, %v", pid, err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	if pid, err := ListenerOf(free.Addr().String()); pid != 0 || err == nil {
		t.Errorf("process %d listens where nobody does", pid)
	}
	if _, err := UsageOf(1 << 30); err == nil {
		t.Error("usage of a process that cannot be")
	}
}
