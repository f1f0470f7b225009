package supervise

import (
	"fmt"
	"strings"
)

// MissingError names every required variable that is not set, or is empty.
type MissingError struct {
	Names   []string
	EnvFile string // where they are expected; empty means the environment alone
}

func (e *MissingError) Error() string {
	what, them := "required variable ", "it"
	if len(e.Names) > 1 {
		what, them = "required variables ", "them"
	}
	where := "in the environment of the service (systemd: Environment= or EnvironmentFile=; a container: its environment; or name an env_file)"
	if e.EnvFile != "" {
		where = "in " + e.EnvFile + ", or in the environment of the service"
	}
	return fmt.Sprintf("%s%s not set: set %s %s", what, strings.Join(e.Names, ", "), them, where)
}

// Require returns a *MissingError that names all of names that env, a list of
// "NAME=value", has no value for; nil if there is none. An empty value is as
// good as none: an app that needs a secret key does not run with "".
func Require(names, env []string, envFile string) error {
	var missing []string
	for _, name := range names {
		if valueOf(env, name) == "" {
			missing = append(missing, name)
		}
	}
	if missing == nil {
		return nil
	}
	return &MissingError{missing, envFile}
}
