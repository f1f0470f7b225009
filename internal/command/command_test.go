package command_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"regexp"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"hale/internal/command"
	"hale/test/servers"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"hale": func() { os.Exit(command.Main(context.Background(), os.Args[1:], command.Standard())) },
	})
}

// TestScripts runs testdata/script: each is a session at a shell. $OPEN is an
// address where something listens, $CLOSED one where nothing does. "until PATTERN
// PROGRAM ARGUMENTS" runs a program that does not end by itself, until its standard
// output matches the pattern.
func TestScripts(t *testing.T) {
	closed := servers.FreeAddress(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			tellRaceDetector(env)
			open, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			env.Defer(func() { _ = open.Close() })
			env.Setenv("CLOSED", closed)
			env.Setenv("OPEN", open.Addr().String())
			env.Setenv("AWS_EC2_METADATA_DISABLED", "true")
			env.Values[environment{}] = env
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"until": until},
	})
}

// tellRaceDetector tells that of the hale in a script what this process's is told,
// for a script begins without an environment. It may keep a program from ending for 1 s.
func tellRaceDetector(env *testscript.Env) { env.Setenv("GORACE", os.Getenv("GORACE")) }

// environment is the key of a script's *testscript.Env.
type environment struct{}

// until runs a program, interrupts it a moment after its standard output matches a
// pattern, and waits for its end. In that moment nothing more should come.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: until pattern program [arguments]")
	}
	pattern, err := regexp.Compile(args[0])
	ts.Check(err)
	var written, errors output
	cmd := exec.Command(args[1], args[2:]...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), ts.Value(environment{}).(*testscript.Env).Vars
	cmd.Stdout, cmd.Stderr = &written, &errors
	ts.Check(cmd.Start())
	begun := time.Now()
	for !pattern.MatchString(written.String()) && time.Since(begun) < patience {
		time.Sleep(5 * time.Millisecond)
	}
	time.Sleep(500 * time.Millisecond)
	_ = cmd.Process.Signal(os.Interrupt)
	err = cmd.Wait()
	_, _ = ts.Stdout().Write([]byte(written.String()))
	_, _ = ts.Stderr().Write([]byte(errors.String()))
	if !pattern.MatchString(written.String()) {
		ts.Fatalf("not within %v: %s", patience, pattern)
	}
	if (err != nil) != neg {
		ts.Fatalf("it ended: %v", err)
	}
}
