package bench

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of user and system times in /proc, on every Linux that Go
// runs on.
const tick = 10 * time.Millisecond

// Usage is what a process has used so far.
type Usage struct {
	CPU          time.Duration // user and system
	User, System time.Duration // its parts, in steps of 10 ms
	RSS, PeakRSS int64         // bytes of memory now, and at most since it began
}

// UsageOf reads the usage of a process of this machine, on Linux alone.
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
	if u.CPU, err = cpuTime(pid); err != nil {
		return Usage{}, err
	}
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
