package main

import (
	"os/exec"
	"strings"
	"testing"
	"time"
)

// shell is a command that starts workers written in the shell.
func shell(script string) func() *exec.Cmd {
	return func() *exec.Cmd { return exec.Command("sh", "-c", script) }
}

func TestTeam_EachLineIsAnsweredByOneThatIsFree(t *testing.T) {
	pool, err := startWorkerPool(t.TempDir(), 2, shell(`echo ready; while read line; do echo "$line, done by $$"; done`))
	if err != nil {
		t.Fatal(err)
	}
	defer pool.close()
	workers := map[string]bool{}
	for range 4 {
		answer, err := pool.do("wash")
		what, who, ok := strings.Cut(answer, ", done by ")
		if err != nil || !ok || what != "wash" {
			t.Fatalf("answered %q, %v", answer, err)
		}
		workers[who] = true
	}
	if len(workers) != 2 {
		t.Errorf("it was done by %v", workers)
	}
}

func TestTeam_AnotherAnswerThanIsWantedEndsTheMeasuring(t *testing.T) {
	one, err := startWorkerPool(t.TempDir(), 1, shell(`echo ready; while read line; do echo no; done`))
	if err != nil {
		t.Fatal(err)
	}
	defer one.close()
	_, err = one.measureLines(time.Minute, func() (line, want string) { return "take", "yes" })(t.Context(), 8, 0)
	if err == nil || !strings.Contains(err.Error(), `"no"`) {
		t.Errorf("it ends with %v", err)
	}
}

func TestTeam_OneThatDoesNotStartSaysWhy(t *testing.T) {
	if _, err := startWorkerPool(t.TempDir(), 1, shell(`echo nothing to read with >&2; exit 1`)); err == nil || !strings.Contains(err.Error(), "nothing to read with") {
		t.Errorf("it fails with %v", err)
	}
}
