package childproc

import (
	"os/exec"
	"syscall"
)

// KillWithParent makes the kernel send signal to the process of cmd when this process ends.
// Call KillWithParent before cmd.Start.
func KillWithParent(cmd *exec.Cmd, signal syscall.Signal) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = signal
}
