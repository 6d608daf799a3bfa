package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// usage is what a process has used until now.
type usage struct {
	cpu  time.Duration // user and system
	peak int64         // bytes of memory, since the last resetPeak
}

// ticks is the kernel's USER_HZ, 100 on all that Go runs on.
const ticks = 100

// usageOf is that of some processes together. Their peaks are added up, as if
// all had been at one time.
func usageOf(pids []int) usage {
	var all usage
	for _, pid := range pids {
		one := processUsage(pid)
		all.cpu += one.cpu
		all.peak += one.peak
	}
	return all
}

// stat is the fields of a process after its name in parentheses: proc(5),
// where they are the 3rd and following.
func stat(pid int) []string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
}

func processUsage(pid int) usage {
	var u usage
	if fields := stat(pid); len(fields) > 12 { // utime and stime are the 14th and 15th
		for _, field := range fields[11:13] {
			n, _ := strconv.ParseInt(field, 10, 64)
			u.cpu += time.Duration(n) * time.Second / ticks
		}
	}
	u.peak = statusOf(pid, "VmHWM:")
	return u
}

// statusOf is a line of a process's status, in bytes: proc(5).
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

// ownMemory is what a process has in memory that is no copy of a file.
func ownMemory(pid int) int64 { return statusOf(pid, "RssAnon:") }

// resetPeak lets the peak of memory count from now on.
func resetPeak(pids []int) {
	for _, pid := range pids {
		_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
	}
}

// family is a process and all that come of it.
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
