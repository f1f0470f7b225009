package machine

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test's program also be the server whose connections are
// looked at: this process has those of all its tests.
func TestMain(m *testing.M) {
	if upstream := os.Getenv("MACHINE_TEST_UPSTREAM"); upstream != "" {
		if err := serve(upstream); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// serve listens on a port of 127.0.0.5, which it prints, is connected twice with
// upstream, accepts everybody, answers nobody, and ends with its standard input.
func serve(upstream string) error {
	l, err := net.Listen("tcp", "127.0.0.5:0")
	if err != nil {
		return err
	}
	var open []net.Conn
	for range 2 {
		c, err := net.Dial("tcp", upstream)
		if err != nil {
			return err
		}
		open = append(open, c)
	}
	fmt.Println(l.Addr())
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open = append(open, c) // or the garbage collector closes it
		}
	}()
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// server runs serve as a process of its own until the test ends.
func server(t *testing.T, upstream string) (pid int, address string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "MACHINE_TEST_UPSTREAM="+upstream)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the server did not start: %v", err)
	}
	return cmd.Process.Pid, strings.TrimSpace(line)
}

// start runs a program until the test ends.
func start(t *testing.T, cmd *exec.Cmd) (pid int) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd.Process.Pid
}

// patience bounds every wait; only a test that fails spends it.
const patience = 60 * time.Second

// await asks until there is nothing left to complain of.
func await(t *testing.T, complaint func() string) {
	t.Helper()
	for start := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		text := complaint()
		if text == "" {
			return
		}
		if time.Since(start) > patience {
			t.Fatalf("after %v: %s", patience, text)
		}
	}
}

func dial(t *testing.T, network, address string) net.Conn {
	t.Helper()
	c, err := (&net.Dialer{Timeout: patience}).DialContext(t.Context(), network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
