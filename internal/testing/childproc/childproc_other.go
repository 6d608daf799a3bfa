//go:build !linux

package childproc

import (
	"os/exec"
	"syscall"
)

// KillWithParent does nothing: only Linux sends a signal when the parent ends.
func KillWithParent(*exec.Cmd, syscall.Signal) {}
