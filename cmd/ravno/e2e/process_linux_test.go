package e2e

import "syscall"

// child makes the kernel end a daemon with the test, even if that is killed.
func child() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
