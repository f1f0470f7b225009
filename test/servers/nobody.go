package servers

import (
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// AsNobody calls f, on a goroutine of its own, with the rights to files that the
// user nobody has, so that a test that runs as root meets what others do. Of
// what f starts in other goroutines this is not true.
func AsNobody(t testing.TB, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		// The thread ends with the goroutine, since it is never unlocked.
		runtime.LockOSThread()
		if os.Geteuid() == 0 {
			// This takes the capabilities to files, too; see setfsuid(2).
			uid, gid := ids(t, "nobody")
			if err := unix.Setfsgid(gid); err != nil {
				t.Errorf("setfsgid: %v", err)
				return
			}
			if err := unix.Setfsuid(uid); err != nil {
				t.Errorf("setfsuid: %v", err)
				return
			}
		}
		f()
	}()
	<-done
}
