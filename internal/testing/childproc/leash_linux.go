package childproc

import (
	"os/exec"
	"syscall"
)

// On makes the kernel send signal to the process of cmd when this process ends.
// Call On before cmd.Start.
func On(cmd *exec.Cmd, signal syscall.Signal) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = signal
}
