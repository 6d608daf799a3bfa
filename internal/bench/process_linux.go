package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// leashed makes a process end with this one, however that ends.
func leashed() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} }

// usage is what a process has used until now.
type usage struct {
	cpu  time.Duration // user and system
	peak int64         // bytes of memory, since the last resetPeak
}

// ticks is the kernel's USER_HZ, 100 on all that Go runs on.
const ticks = 100

func usageOf(pid int) usage {
	var u usage
	// proc(5): the fields after the name in parentheses, utime and stime being
	// the 14th and 15th.
	if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil {
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if len(fields) > 12 {
			for _, field := range fields[11:13] {
				n, _ := strconv.ParseInt(field, 10, 64)
				u.cpu += time.Duration(n) * time.Second / ticks
			}
		}
	}
	if status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)); err == nil {
		if _, rest, ok := strings.Cut(string(status), "VmHWM:"); ok {
			if fields := strings.Fields(rest); len(fields) > 0 {
				n, _ := strconv.ParseInt(fields[0], 10, 64)
				u.peak = n << 10
			}
		}
	}
	return u
}

// resetPeak lets the peak of memory count from now on.
func resetPeak(pid int) {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}
