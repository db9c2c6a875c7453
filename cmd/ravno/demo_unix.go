//go:build unix && !linux

package main

import "syscall"

// demoChild puts a child into a process group of its own, so that a Ctrl-C at the terminal
// reaches only the demonstration, which then stops its children in order.
func demoChild() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
