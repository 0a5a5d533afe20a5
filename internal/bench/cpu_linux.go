package bench

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime is the time that a process has had a CPU, user and system, in
// nanoseconds, of threads that have ended too. /proc counts in ticks of 10 ms,
// of which half a second of a busy server has but 30.
func cpuTime(pid int) (time.Duration, error) {
	// The clock of another process, as clock_getcpuclockid(3) makes it of its id.
	const scheduler, bits = 2, 3
	clock := int32(^pid)<<bits | scheduler
	var t unix.Timespec
	if err := unix.ClockGettime(clock, &t); err != nil {
		return 0, fmt.Errorf("no CPU time of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}
