package leash

import (
	"os/exec"
	"syscall"
)

// On has a command that is not started yet get the signal when this process is
// gone.
func On(cmd *exec.Cmd, signal syscall.Signal) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = signal
}
