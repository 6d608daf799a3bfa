package main

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// row holds the samples of one job with one number of clients.
type row struct {
	title   string
	clients int
	cells   [][]sample // by target and round
	failure error      // the reason why the measurement ended early
}

func (r row) summary() string {
	if r.failure != nil {
		return "failed: " + r.failure.Error()
	}
	return fmt.Sprintf("%.2f of the last beside it", r.ratio(0, len(r.cells)-1))
}

func median[T cmp.Ordered](of []T) T {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}

func each[T any](cells []sample, value func(sample) T) []T {
	all := make([]T, len(cells))
	for n, cell := range cells {
		all[n] = value(cell)
	}
	return all
}

// ratio returns the rate of target divided by the rate of the target to: the median over all
// rounds. Both rates of a round are measured within seconds, so a drift of the machine's speed
// cancels out.
func (r row) ratio(target, to int) float64 {
	ratios := make([]float64, len(r.cells[target]))
	for round := range ratios {
		ratios[round] = r.cells[target][round].rate() / r.cells[to][round].rate()
	}
	return median(ratios)
}

// quantile returns a quantile of the latencies of all rounds, in milliseconds.
func quantile(cells []sample, q float64) float64 {
	var all []time.Duration
	for _, cell := range cells {
		all = append(all, cell.latency...)
	}
	slices.Sort(all)
	return float64(all[min(len(all)-1, int(q*float64(len(all))))].Microseconds()) / 1000
}

// table returns rows as a table in Markdown. All targets are compared with the last.
func table(names []string, rows []row) string {
	var b strings.Builder
	last := len(names) - 1
	b.WriteString("| job | clients |")
	rule := "|---|--:|"
	for n, name := range names {
		fmt.Fprintf(&b, " %s: req/s | p50 / p99 ms | CPU ms | peak MB |", name)
		rule += "--:|--:|--:|--:|"
		if n < last {
			fmt.Fprintf(&b, " × %s |", names[last])
			rule += "--:|"
		}
	}
	b.WriteString("\n" + rule + "\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %d |", r.title, r.clients)
		if r.failure != nil {
			fmt.Fprintf(&b, " failed: %.100q |%s\n", r.failure, strings.Repeat(" |", strings.Count(rule, "--:|")-2))
			continue
		}
		for n, cells := range r.cells {
			cpu := median(each(cells, func(m sample) float64 { return m.cpu.Seconds() * 1000 / float64(m.requests) }))
			peak := slices.Max(each(cells, func(m sample) int64 { return m.peak }))
			fmt.Fprintf(&b, " %s | %s / %s | %s | %d |", short(median(each(cells, sample.rate))),
				short(quantile(cells, 0.5)), short(quantile(cells, 0.99)), short(cpu), peak>>20)
			if n < last {
				fmt.Fprintf(&b, " **%.2f** |", r.ratio(n, last))
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

// short returns a number with at most three significant digits.
func short(x float64) string {
	switch {
	case x >= 100:
		return fmt.Sprintf("%.0f", x)
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.2f", x)
}

// machine returns the facts for comparing figures of two runs: hardware, versions and load.
func machine(postgres string) string {
	facts := []string{
		fmt.Sprintf("%d cores", runtime.NumCPU()),
		runtime.GOOS + "/" + runtime.GOARCH,
		runtime.Version(),
	}
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, rest, ok := strings.Cut(string(info), "model name\t: "); ok {
			model, _, _ := strings.Cut(rest, "\n")
			facts = append(facts, model)
		}
	}
	if postgres != "" {
		facts = append(facts, "PostgreSQL "+postgres)
	}
	if revision, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output(); err == nil {
		facts = append(facts, "commit "+strings.TrimSpace(string(revision)))
	}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		facts = append(facts, "load before "+strings.Fields(string(load))[0])
	}
	return strings.Join(facts, ", ")
}
