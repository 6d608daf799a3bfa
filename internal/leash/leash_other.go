//go:build !linux

package leash

import (
	"os/exec"
	"syscall"
)

// On does nothing: only Linux has a way.
func On(*exec.Cmd, syscall.Signal) {}
