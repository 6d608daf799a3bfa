package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// usage is the CPU time and memory of a process.
type usage struct {
	cpu  time.Duration // user and system
	peak int64         // the highest memory since the last resetPeak, in bytes
}

// ticks is the kernel's USER_HZ, which is 100 on all platforms of Go.
const ticks = 100

// usageOf returns the sum of the usage of processes. The sum of peaks is an upper limit,
// because the peaks may occur at different times.
func usageOf(pids []int) usage {
	var all usage
	for _, pid := range pids {
		one := processUsage(pid)
		all.cpu += one.cpu
		all.peak += one.peak
	}
	return all
}

// stat returns the fields of /proc/PID/stat after the name in parentheses, beginning with the
// third field: see proc(5).
func stat(pid int) []string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
}

func processUsage(pid int) usage {
	var u usage
	if fields := stat(pid); len(fields) > 12 { // utime and stime are fields 14 and 15
		for _, field := range fields[11:13] {
			n, _ := strconv.ParseInt(field, 10, 64)
			u.cpu += time.Duration(n) * time.Second / ticks
		}
	}
	u.peak = statusOf(pid, "VmHWM:")
	return u
}

// statusOf returns the value of a line of /proc/PID/status, in bytes: see proc(5).
func statusOf(pid int, line string) int64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if _, rest, ok := strings.Cut(string(status), line); ok {
		if fields := strings.Fields(rest); len(fields) > 0 {
			n, _ := strconv.ParseInt(fields[0], 10, 64)
			return n << 10
		}
	}
	return 0
}

// ownMemory returns the memory of a process without mapped files, in bytes.
func ownMemory(pid int) int64 { return statusOf(pid, "RssAnon:") }

// resetPeak restarts the measurement of peak memory.
func resetPeak(pids []int) {
	for _, pid := range pids {
		_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
	}
}

// processTree returns a process and all its descendants.
func processTree(pid int) []int {
	children := map[int][]int{}
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		if one, err := strconv.Atoi(entry.Name()); err == nil {
			if fields := stat(one); len(fields) > 1 {
				parent, _ := strconv.Atoi(fields[1])
				children[parent] = append(children[parent], one)
			}
		}
	}
	all := []int{pid}
	for n := 0; n < len(all); n++ {
		all = append(all, children[all[n]]...)
	}
	return all
}
