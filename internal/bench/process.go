package bench

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of CPU times in /proc, 10 ms on every Linux that Go runs on.
// Over a second of work that is an error of 1 %.
const tick = 10 * time.Millisecond

// Usage is what a process has used so far.
type Usage struct {
	User, System time.Duration // CPU time
	RSS, PeakRSS int64         // bytes of memory now, and at most since it began
}

// CPU is the time in user and system mode.
func (u Usage) CPU() time.Duration { return u.User + u.System }

// UsageOf reads the usage of a process of this machine from /proc, so on Linux
// alone.
func UsageOf(pid int) (Usage, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return Usage{}, fmt.Errorf("no usage of process %d: %w", pid, err)
	}
	// The name, in parentheses, may hold blanks and parentheses itself.
	_, rest, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " ")
	fields := strings.Fields(rest)
	const user, system = 11, 12 // fields 14 and 15 of proc_pid_stat(5), after pid and name
	if len(fields) <= system {
		return Usage{}, fmt.Errorf("no usage of process %d: %s/stat has %d fields", pid, dir, len(fields))
	}
	var u Usage
	var faults []error
	number := func(text string) int64 {
		n, err := strconv.ParseInt(text, 10, 64)
		faults = append(faults, err)
		return n
	}
	u.User, u.System = time.Duration(number(fields[user]))*tick, time.Duration(number(fields[system]))*tick
	status, err := os.ReadFile(dir + "/status")
	faults = append(faults, err)
	for line := range strings.Lines(string(status)) {
		switch name, value, _ := strings.Cut(line, ":"); name {
		case "VmRSS":
			u.RSS = number(strings.TrimSuffix(strings.TrimSpace(value), " kB")) << 10
		case "VmHWM":
			u.PeakRSS = number(strings.TrimSuffix(strings.TrimSpace(value), " kB")) << 10
		}
	}
	return u, errors.Join(faults...)
}
