package sites

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// sharedFile names, in the environment of a process within a network of its
// own, the file that it shares with the process outside.
const sharedFile = "HALE_TEST_OWN_NETWORK"

// OwnNetwork runs the test t, of a case that is Alone, again: in a process that
// has a network of its own, with nothing but loopback addresses. To that
// process it returns true, and the test goes on. To the one outside it returns
// false, when the test has ended within and has failed or skipped t if it
// failed or was skipped there; then t has nothing left to do. What the test
// writes to the file shared within is there for it outside.
//
// Only root may make networks; for others the test is skipped, or fails if
// HALE_REAL is 1. Where root may not, it is skipped.
func OwnNetwork(t *testing.T) (shared string, within bool) {
	t.Helper()
	if shared := os.Getenv(sharedFile); shared != "" {
		if err := loopbackUp(); err != nil {
			t.Fatalf("loopback in a network of its own: %v", err)
		}
		// What is mounted here is mounted for nobody else.
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			t.Fatalf("mounts of its own: %v", err)
		}
		return shared, true
	}
	if os.Geteuid() != 0 {
		lacks(t, "only root may make a network of its own for "+t.Name())
	}
	shared = filepath.Join(t.TempDir(), "shared")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for name := range strings.SplitSeq(t.Name(), "/") {
		names = append(names, "^"+regexp.QuoteMeta(name)+"$")
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.v", "-test.run", strings.Join(names, "/"))
	cmd.Env = append(os.Environ(), sharedFile+"="+shared)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	switch {
	case errors.Is(err, syscall.EPERM): // a container whose root may not
		t.Skipf("this machine does not let root make a network: %v", err)
	case err != nil:
		t.Errorf("in a network of its own: %v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP: "+t.Name()):
		t.Skipf("in a network of its own:\n%s", out)
	case !strings.Contains(string(out), "--- PASS: "+t.Name()):
		t.Errorf("in a network of its own, the test did not run:\n%s", out)
	}
	return shared, false
}

// Networks tells whether this process may make networks of their own.
func Networks() bool {
	cmd := exec.Command("true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	return os.Getenv(sharedFile) != "" || cmd.Run() == nil
}

// loopbackUp switches the loopback interface on, which is off in a new network.
func loopbackUp() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(s)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return os.NewSyscallError("ioctl SIOCSIFFLAGS", unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, lo))
}

// lacks ends a test for which the machine lacks something.
func lacks(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("HALE_REAL") == "1" {
		t.Fatal(what + " (HALE_REAL=1 does not allow to skip this test)")
	}
	t.Skip(what)
}
