//go:build unix && !linux

package supervise

import "syscall"

// setParentDeath is Linux's alone: elsewhere the app outlives a supervisor that
// was killed.
func setParentDeath(*syscall.SysProcAttr, syscall.Signal) {}

// awaitEnd returns when the process has ended and is waited for.
func (p *process) awaitEnd() (status syscall.WaitStatus, ok bool) {
	_ = p.cmd.Wait() // ProcessState tells
	return 0, false
}

// groupMembers cannot be told without /proc.
func groupMembers(int) int { return 0 }
