//go:build !linux

package childproc

import (
	"os/exec"
	"syscall"
)

// On does nothing: only Linux sends a signal when the parent ends.
func On(*exec.Cmd, syscall.Signal) {}
