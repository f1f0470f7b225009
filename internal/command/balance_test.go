package command_test

import (
	"fmt"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"hale/test/servers"
)

// TestBalanceScripts runs testdata/balance: each is a session at a shell with a
// balancer. $API, $SITE, $ONE and $TWO are ports that are free.
func TestBalanceScripts(t *testing.T) {
	servers.Need(t, "curl")
	testscript.Run(t, testscript.Params{
		Dir: "testdata/balance",
		Setup: func(env *testscript.Env) error {
			tellRaceDetector(env)
			for _, name := range []string{"API", "SITE", "ONE", "TWO"} {
				env.Setenv(name, fmt.Sprint(servers.FreePort(t)))
			}
			env.Setenv("AWS_EC2_METADATA_DISABLED", "true")
			env.Setenv("AWS_CONFIG_FILE", "/nowhere")
			env.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
			env.Values[environment{}] = env
			return nil
		},
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"until": until},
		RequireExplicitExec: true,
	})
}
