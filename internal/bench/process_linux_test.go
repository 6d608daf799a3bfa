package main

import "testing"

func TestFamily_IsAProcessWithItsChildren(t *testing.T) {
	one, err := startWorkerPool(t.TempDir(), 1, shell(`cat </dev/zero >/dev/null & echo ready; read line; kill $!`))
	if err != nil {
		t.Fatal(err)
	}
	defer one.close()
	if pids := processTree(one.workers[0].cmd.Process.Pid); len(pids) != 2 {
		t.Errorf("it is %v", pids)
	}
}
