package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// The measured part of the page stands between these lines; what is around it is
// written by hand.
const (
	beginMark = "<!-- measured: make bench writes this part anew -->"
	endMark   = "<!-- end of the measured part -->"
)

// inserted is the page with its measured part replaced.
func inserted(page []byte, part string) ([]byte, error) {
	before, rest, begins := bytes.Cut(page, []byte(beginMark+"\n"))
	_, after, ends := bytes.Cut(rest, []byte(endMark))
	if !begins || !ends {
		return nil, errors.New("the page lacks the lines " + beginMark + " and " + endMark)
	}
	return slices.Concat(before, []byte(beginMark+"\n"+part+endMark), after), nil
}

// measured is all that was.
type measured struct {
	machine               []string
	plan                  plan
	rows                  []result
	calm                  result // of a floor that collects as weir does, in the place of weir
	lone                  lone
	rules                 []rulesRow
	replicas              []replicaRow
	memoryKeys, redisKeys keysRow
	took                  time.Duration
}

// describe tells what the figures were measured on.
func describe(weir, redis string) ([]string, error) {
	version, err := exec.Command(weir, "version").Output()
	if err != nil {
		return nil, fmt.Errorf("%s version: %w", weir, err)
	}
	redisVersion, err := exec.Command(redis, "--version").Output()
	if err != nil {
		return nil, fmt.Errorf("%s --version: %w", redis, err)
	}
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return nil, err
	}
	redisName := "Redis"
	for _, word := range strings.Fields(string(redisVersion)) {
		if v, found := strings.CutPrefix(word, "v="); found {
			redisName += " " + v
		}
	}
	return []string{
		strings.TrimSpace(string(version)),
		fmt.Sprintf("%d cores of %s", runtime.NumCPU(), processor()),
		"Linux " + strings.TrimSpace(string(kernel)),
		redisName,
		time.Now().UTC().Format(time.DateOnly),
	}, nil
}

// processor is the processor's name as Linux tells it.
func processor() string {
	file, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if name, value, _ := strings.Cut(lines.Text(), ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// markdown is the measured part of the page.
func (m measured) markdown() string {
	var out strings.Builder
	fmt.Fprintf(&out, "Measured in %.0f s on: %s. Client, servers and Redis share the cores. Unless said otherwise a figure is\n"+
		"the median of %d rounds, in which weir and the floor are loaded in turn for %v each, and the range in brackets is over the rounds.\n\n",
		m.took.Seconds(), strings.Join(m.machine, "; "), m.plan.rounds, m.plan.slice)
	m.writeRows(&out)
	fmt.Fprintf(&out, "\nThe floor has Go's default garbage collection, which collects its few MB dozens of times a second. One that collects as seldom as weir\n"+
		"(%s) takes %.1f us where that takes %.1f: %.2f (%.2f to %.2f).\n",
		calmGOGC, m.calm.weir.median(), m.calm.floor.median(), m.calm.ratioOf.median(), slices.Min(m.calm.ratioOf), slices.Max(m.calm.ratioOf))
	m.writeLone(&out)
	m.writeRules(&out)
	m.writeKeys(&out)
	m.writeReplicas(&out)
	return out.String()
}

func (m measured) writeRows(out *strings.Builder) {
	fmt.Fprintf(out, "### CPU time for a decision, %d requests in flight\n\n", inFlight)
	out.WriteString("| scenario | floor, us | weir, us | ratio (range) | target | Redis commands | target | Redis CPU, us | target | p50, floor and weir, ms | weir's memory, MiB | met |\n")
	out.WriteString("|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range m.rows {
		sent, sentMost, cpu, cpuMost := "-", "-", "-", "-"
		met := r.ratioOf.median() <= r.ratio
		if r.redis {
			sent, cpu = fmt.Sprintf("%.3f", r.sent.median()), fmt.Sprintf("%.1f", r.redisCPUOf.median())
		}
		if r.commands > 0 {
			sentMost = fmt.Sprintf("%g", r.commands)
			met = met && r.sent.median() <= r.commands
		}
		if r.redisCPU > 0 {
			cpuMost = fmt.Sprintf("%g", r.redisCPU)
			met = met && r.redisCPUOf.median() <= r.redisCPU
		}
		fmt.Fprintf(out, "| %s | %.1f | %.1f | %.2f (%.2f to %.2f) | %.2f | %s | %s | %s | %s | %.1f, %.1f | %.0f | %s |\n",
			r.name, r.floor.median(), r.weir.median(), r.ratioOf.median(), slices.Min(r.ratioOf), slices.Max(r.ratioOf), r.ratio,
			sent, sentMost, cpu, cpuMost, r.floorP50.median()/1000, r.weirP50.median()/1000, mebibytes(r.memory), verdict(met))
	}
}

func (m measured) writeLone(out *strings.Builder) {
	l := m.lone
	fmt.Fprintf(out, "\n### One request in flight, Redis on loopback\n\n")
	out.WriteString("| p50 of the floor, us | one EVALSHA round trip, us | p50 of weir, us | beyond both, us (range) | target, us | Redis commands | met |\n|---|---|---|---|---|---|---|\n")
	fmt.Fprintf(out, "| %.0f | %.0f | %.0f | %.0f (%.0f to %.0f) | %d | %.3f | %s |\n",
		l.floorP50.median(), l.roundTrip.median(), l.weirP50.median(), l.over.median(), slices.Min(l.over), slices.Max(l.over), loneSlack,
		l.sent.median(), verdict(l.over.median() <= loneSlack))
}

// The targets of the most rules: its cost as a multiple of the fewest's, the
// time until ready, and the live heap.
const (
	rulesRatio = 1.05
	rulesReady = 3 * time.Second
	rulesHeap  = 120 << 20
)

func (m measured) writeRules(out *strings.Builder) {
	fmt.Fprintf(out, "\n### Rules, in memory, %d requests in flight\n\n", inFlight)
	out.WriteString("| rules | CPU for a decision, us (range) | ratio to the first row | ready, s | changed file in force, s | live heap, MiB | the same, each rule met, MiB | resident at most, MiB | met |\n|---|---|---|---|---|---|---|---|---|\n")
	for i, r := range m.rules {
		met := "-"
		if i > 0 && i == len(m.rules)-1 {
			met = verdict(r.cpu/m.rules[0].cpu <= rulesRatio && r.ready <= rulesReady && r.heap <= rulesHeap)
		}
		fmt.Fprintf(out, "| %d | %.1f (%.1f to %.1f) | %.2f | %.2f | %.2f | %.0f | %.0f | %.0f | %s |\n", r.count, r.cpu,
			slices.Min(r.rounds), slices.Max(r.rounds), r.cpu/m.rules[0].cpu, r.ready.Seconds(), r.reload.Seconds(), mebibytes(r.heap), mebibytes(r.heapMet), mebibytes(r.peak), met)
	}
	out.WriteString("\nThe same keys, as many as the last row has rules, are spread over the rules of each row. CPU is that of all rounds together, for the\n" +
		"collection of a large heap falls into few of them.\n")
	fmt.Fprintf(out, "\nTargets of the last row: ratio %.2f, ready in %.0f s, live heap %.0f MiB.\n", rulesRatio, rulesReady.Seconds(), mebibytes(rulesHeap))
}

// The targets of kept keys, in bytes for each.
const (
	memoryKeyBytes = 130
	redisKeyBytes  = 200
)

func (m measured) writeKeys(out *strings.Builder) {
	out.WriteString("\n### Keys\n\n| where | keys | bytes for each | target | met |\n|---|---|---|---|---|\n")
	fmt.Fprintf(out, "| memory, live heap | %d | %.0f | %d | %s |\n", m.memoryKeys.keys, m.memoryKeys.bytesPer, memoryKeyBytes, verdict(m.memoryKeys.bytesPer <= memoryKeyBytes))
	fmt.Fprintf(out, "| Redis, keys of 24 bytes | %d | %.0f | %d | %s |\n", m.redisKeys.keys, m.redisKeys.bytesPer, redisKeyBytes, verdict(m.redisKeys.bytesPer <= redisKeyBytes))
}

func (m measured) writeReplicas(out *strings.Builder) {
	fmt.Fprintf(out, "\n### Replicas on one Redis, %d requests in flight over all\n\n", inFlight)
	out.WriteString("| replicas | Redis CPU for a decision, us | Redis commands for a decision | decisions/s |\n|---|---|---|---|\n")
	for _, r := range m.replicas {
		fmt.Fprintf(out, "| %d | %.1f | %.3f | %.0f |\n", r.replicas, r.redisCPU.median(), r.sent.median(), r.perSecond.median())
	}
}

func verdict(met bool) string {
	if met {
		return "yes"
	}
	return "**no**"
}

func mebibytes(bytes int64) float64 { return float64(bytes) / (1 << 20) }
