// Package child ends programs that checks run, together with all that these
// have started in turn.
package child

import (
	"context"
	"errors"
	"os/exec"
	"syscall"
)

// Wait waits for the end of a command that was started as the leader of a
// process group (Setpgid), kills what is left of the group then, and the whole
// of it when ctx is done. It returns what the command's own Wait does.
func Wait(ctx context.Context, cmd *exec.Cmd) error {
	stop := context.AfterFunc(ctx, func() { kill(cmd) })
	// Where the system lets a child be seen to have ended before it is reaped, its
	// process id, and so the group's, is surely still its own when the group is
	// killed.
	endErr := awaitEnd(cmd.Process.Pid)
	if endErr == nil {
		stop()
		kill(cmd)
	}
	err := cmd.Wait()
	if endErr != nil {
		stop()
		kill(cmd)
	}
	if cmd.ProcessState == nil {
		return errors.Join(endErr, err)
	}
	return err
}

// kill kills the group of a command that Wait has not returned for.
func kill(cmd *exec.Cmd) {
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // ESRCH: nobody is left
}
