package main

import "syscall"

// demoChild puts a child into a process group of its own, so that a Ctrl-C at the terminal
// reaches only the demonstration, which then stops its children in order; and should the
// demonstration be killed, the kernel ends them. The signal comes when the thread that
// started the child ends, so all are started from one that stays (runtime.LockOSThread).
func demoChild() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
