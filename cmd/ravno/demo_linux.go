package main

import "syscall"

// demoChild puts a child into a process group of its own. A Ctrl-C at the terminal then reaches only
// the demonstration, which stops its children in order. If the demonstration is killed, the kernel
// ends them. The signal comes when the thread that started the child ends, so all are started from
// one that stays (runtime.LockOSThread).
func demoChild() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
