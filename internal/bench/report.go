package bench

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Report is a measured run, as JSON or as text. Times are in microseconds,
// memory in bytes.
type Report struct {
	Target        string           `json:"target"`
	Loop          string           `json:"loop"` // closed or open
	Rate          int              `json:"rate,omitempty"`
	InFlight      int              `json:"in_flight"`
	Connections   int              `json:"connections"`
	Keys          int              `json:"keys"`
	Distribution  string           `json:"distribution"`
	Descriptors   int              `json:"descriptors"`
	Seconds       float64          `json:"seconds"`
	Requests      int64            `json:"requests"` // that were answered
	PerSecond     float64          `json:"requests_per_second"`
	Latency       Latency          `json:"latency_us"`
	Verdicts      map[string]int64 `json:"verdicts"`
	Errors        map[string]int64 `json:"errors"` // by gRPC code
	Unsent        int64            `json:"unsent"`
	ServerProcess *ServerReport    `json:"server,omitempty"`
	Redis         *RedisReport     `json:"redis,omitempty"`
	Notes         []string         `json:"notes,omitempty"` // why something was not measured
}

// Latency is how long requests took, in microseconds.
type Latency struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99.9"`
	Max  float64 `json:"max"`
}

// ServerReport is what the server's process used.
type ServerReport struct {
	PID          int     `json:"pid"`
	CPU          float64 `json:"cpu_us_per_decision"`
	User         float64 `json:"user_us_per_decision"`
	System       float64 `json:"system_us_per_decision"`
	RSSBytes     int64   `json:"rss_bytes"`
	PeakRSSBytes int64   `json:"peak_rss_bytes"`
}

// RedisReport is what Redis used.
type RedisReport struct {
	CPU         float64            `json:"cpu_us_per_decision"`
	Commands    float64            `json:"commands_per_decision"` // that clients sent; where they sent scripts, those
	ByCommand   map[string]float64 `json:"calls_per_decision"`    // those that scripts made included
	MemoryBytes int64              `json:"used_memory_bytes"`
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func newReport(l Load, r Run, pid int, c cost) Report {
	report := Report{
		Target: l.Target, Loop: "closed", Rate: l.Rate, InFlight: l.InFlight, Connections: min(l.Connections, l.InFlight),
		Keys: l.Keys, Distribution: l.Distribution, Descriptors: len(l.Descriptors),
		Seconds: r.Elapsed.Seconds(), Requests: r.Answered(), PerSecond: float64(r.Answered()) / r.Elapsed.Seconds(),
		Verdicts: r.verdicts, Errors: r.errors, Unsent: r.Unsent,
		Latency: Latency{
			microseconds(r.Latency(50)), microseconds(r.Latency(90)), microseconds(r.Latency(99)),
			microseconds(r.Latency(99.9)), microseconds(time.Duration(r.latency.Max())),
		},
	}
	if l.Rate > 0 {
		report.Loop = "open"
	}
	decisions := float64(max(1, r.Answered()))
	if c.server != nil {
		report.ServerProcess = &ServerReport{
			PID: pid, CPU: microseconds(c.server.CPU) / decisions,
			User: microseconds(c.server.User) / decisions, System: microseconds(c.server.System) / decisions,
			RSSBytes: c.server.RSS, PeakRSSBytes: c.server.PeakRSS,
		}
	}
	if c.redis != nil {
		report.Redis = &RedisReport{
			CPU: microseconds(c.redis.CPU) / decisions, Commands: float64(c.redis.Sent()) / decisions,
			ByCommand: map[string]float64{}, MemoryBytes: c.redis.UsedMemory,
		}
		for name, calls := range c.redis.Commands {
			report.Redis.ByCommand[name] = float64(calls) / decisions
		}
	}
	return report
}

// Text is the report for people.
func (r Report) Text() string {
	var out strings.Builder
	line := func(name, format string, values ...any) {
		fmt.Fprintf(&out, "%-12s %s\n", name, fmt.Sprintf(format, values...))
	}
	loop := fmt.Sprintf("closed loop, %d in flight", r.InFlight)
	if r.Rate > 0 {
		loop = fmt.Sprintf("open loop, %d/s, at most %d in flight", r.Rate, r.InFlight)
	}
	line("target", "%s", r.Target)
	line("load", "%s, %s, %s (%s), %s", loop, count(r.Connections, "connection"), count(r.Keys, "key"), r.Distribution, count(r.Descriptors, "descriptor"))
	line("requests", "%d in %.2f s, %.0f/s", r.Requests, r.Seconds, r.PerSecond)
	line("latency", "p50 %s  p90 %s  p99 %s  p99.9 %s  max %s", duration(r.Latency.P50), duration(r.Latency.P90),
		duration(r.Latency.P99), duration(r.Latency.P999), duration(r.Latency.Max))
	line("verdicts", "%s", shares(r.Verdicts, r.Requests))
	if len(r.Errors) > 0 {
		var parts []string
		for _, code := range slices.Sorted(maps.Keys(r.Errors)) {
			parts = append(parts, fmt.Sprintf("%s %d", code, r.Errors[code]))
		}
		line("errors", "%s", strings.Join(parts, "  "))
	}
	if r.Unsent > 0 {
		line("unsent", "%d requests were due and not sent: the server, or this client, cannot keep up with %d/s and %d in flight", r.Unsent, r.Rate, r.InFlight)
	}
	if s := r.ServerProcess; s != nil {
		line("server", "%.1f us CPU per decision (%.1f user, %.1f system), %s of memory, at most %s (process %d)",
			s.CPU, s.User, s.System, size(s.RSSBytes), size(s.PeakRSSBytes), s.PID)
	}
	if s := r.Redis; s != nil {
		var parts []string
		for _, name := range slices.Sorted(maps.Keys(s.ByCommand)) {
			parts = append(parts, fmt.Sprintf("%s %.3f", name, s.ByCommand[name]))
		}
		line("Redis", "%.1f us CPU and %.3f commands per decision, %s of memory", s.CPU, s.Commands, size(s.MemoryBytes))
		line("", "all calls, those of scripts too: %s", strings.Join(parts, "  "))
	}
	for _, note := range r.Notes {
		line("note", "%s", note)
	}
	return out.String()
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// shares lists counts by name with their share of all.
func shares(counts map[string]int64, all int64) string {
	if len(counts) == 0 {
		return "none"
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s %d (%.1f %%)", name, counts[name], 100*float64(counts[name])/float64(all)))
	}
	return strings.Join(parts, "  ")
}

// duration writes microseconds with three digits or so.
func duration(us float64) string {
	const milli, second = 1e3, 1e6
	switch {
	case us >= second:
		return fmt.Sprintf("%.2f s", us/second)
	case us >= 10*milli:
		return fmt.Sprintf("%.1f ms", us/milli)
	case us >= milli:
		return fmt.Sprintf("%.2f ms", us/milli)
	}
	return fmt.Sprintf("%.0f us", us)
}

func size(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }
