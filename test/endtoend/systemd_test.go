package endtoend

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestUnderSystemd gives hale its sockets and a notification socket as systemd
// would (sd_listen_fds(3), sd_notify(3)), and follows a start, a reload and a stop.
func TestUnderSystemd(t *testing.T) {
	dir := t.TempDir()
	notifications, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer notifications.Close()
	said := func() string {
		t.Helper()
		if err := notifications.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 4096)
		n, err := notifications.Read(b)
		if err != nil {
			t.Fatalf("systemd is told nothing: %v", err)
		}
		return string(b[:n])
	}
	var files []*os.File
	var addresses []string
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files, addresses = append(files, f), append(addresses, l.Addr().String())
	}
	write(t, filepath.Join(dir, "hale.yaml"), "listen: 127.0.0.1:1\nadmin: 127.0.0.1:2\ndrain: {notice: 100ms, finish: 1s}\n")

	// LISTEN_PID has to be hale's own: a shell that becomes hale knows it.
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "LISTEN_PID=$$ exec \"$0\" serve", binary)
	cmd.Dir, cmd.ExtraFiles = dir, files
	cmd.Env = append(os.Environ(), noMetadata, "LISTEN_FDS=2", "LISTEN_FDNAMES=http:admin", "NOTIFY_SOCKET="+filepath.Join(dir, "notify"))
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		if t.Failed() {
			t.Log(out.String())
		}
	}()

	if s := said(); s != "READY=1" {
		t.Errorf("told %q first, want READY=1", s)
	}
	if a, err := ask(t.Context(), addresses[0], albProbe...); err != nil || a.status != 200 {
		t.Errorf("on systemd's socket: %v %v", a, err)
	}
	if a, err := ask(t.Context(), addresses[1], "GET /metrics HTTP/1.1", "Host: localhost", "Connection: close"); err != nil || a.status != 200 || !strings.HasSuffix(a.body, "# EOF\n") {
		t.Errorf("metrics on the socket called admin: %v %v", a, err)
	}

	signal := func(s os.Signal) {
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	signal(syscall.SIGHUP)
	if s := said(); !strings.HasPrefix(s, "RELOADING=1\nMONOTONIC_USEC=") {
		t.Errorf("told %q on a reload", s)
	}
	if s := said(); s != "READY=1" {
		t.Errorf("told %q after the reload, want READY=1", s)
	}
	signal(syscall.SIGTERM)
	if s := said(); s != "STOPPING=1" {
		t.Errorf("told %q on SIGTERM, want STOPPING=1", s)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("hale ended with %v", err)
	}
	// systemd still holds the socket: what comes now waits for the next hale.
	if _, err := (&net.Dialer{Timeout: patience}).DialContext(t.Context(), "tcp", addresses[0]); err != nil {
		t.Errorf("the socket was closed for systemd too: %v", err)
	}
}
