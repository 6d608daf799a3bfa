package e2e

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// memory returns how many bytes the process has in memory that are no copy of a
// file: RssAnon, proc(5).
func (s *server) memory() int {
	s.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	_, rest, _ := bytes.Cut(status, []byte("RssAnon:"))
	fields := bytes.Fields(rest)
	if len(fields) == 0 {
		s.t.Fatalf("the status of the process has no RssAnon:\n%s", status)
	}
	kilobytes, err := strconv.Atoi(string(fields[0]))
	if err != nil {
		s.t.Fatal(err)
	}
	return kilobytes << 10
}

// peak returns the most memory that the process had while do ran.
func (s *server) peak(do func()) int {
	s.t.Helper()
	stop, most := make(chan struct{}), make(chan int)
	go func() {
		ticker := time.NewTicker(2 * time.Millisecond)
		defer ticker.Stop()
		highest := 0
		for {
			highest = max(highest, s.memory())
			select {
			case <-ticker.C:
			case <-stop:
				most <- highest
				return
			}
		}
	}()
	do()
	close(stop)
	return <-most
}
