package command_test

import (
	"context"
	"net"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"hale/internal/command"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"hale": func() { os.Exit(command.Main(context.Background(), os.Args[1:], command.Standard())) },
	})
}

// TestScripts runs testdata/script: each is a session at a shell. $OPEN is an
// address where something listens, $CLOSED one where nothing does.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			open, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			env.Defer(func() { _ = open.Close() })
			closed, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			env.Setenv("CLOSED", closed.Addr().String())
			env.Setenv("OPEN", open.Addr().String())
			env.Setenv("AWS_EC2_METADATA_DISABLED", "true")
			return closed.Close()
		},
	})
}
