package balance

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"hale/internal/balancer/configuration"
	"hale/internal/yamlfile"
)

// Load reads a configuration; without a name, it is the default one.
func Load(name string, env func(string) (string, bool)) (*configuration.File, error) {
	if name == "" {
		return configuration.Default(), nil
	}
	return configuration.Load(name, configuration.Options{Env: env})
}

// load reads the configuration, and puts in what flags say.
func (s *server) load() (*configuration.File, error) {
	file, err := Load(s.options.ConfigFile, s.options.Env)
	if err != nil {
		return nil, err
	}
	for _, flag := range []struct {
		name, text string
		to         *yamlfile.Address
	}{{"--api", s.options.API, &file.API}, {"--admin", s.options.Admin, &file.Admin}} {
		switch flag.text {
		case "":
		case "off":
			*flag.to = ""
		default:
			if err := flag.to.UnmarshalText([]byte(flag.text)); err != nil {
				return nil, fmt.Errorf("%s %s: %w", flag.name, flag.text, err)
			}
		}
	}
	return file, checkAPI(file)
}

// checkAPI refuses an API that others than this machine's users could change
// everything by.
func checkAPI(file *configuration.File) error {
	if file.API == "" || len(file.Credentials) > 0 {
		return nil
	}
	host, _, err := net.SplitHostPort(string(file.API))
	if err == nil && yamlfile.IsLoopback(host) {
		return nil
	}
	return fmt.Errorf("the API at %s could be reached from other machines, and asks for no signature: write Credentials into the configuration, or have it at 127.0.0.1", file.API)
}

// stateDirectory returns where the state is kept; empty for nowhere.
func stateDirectory(file *configuration.File, o Options) (string, error) {
	env := func(name string) string {
		value, _ := o.Env(name)
		return value
	}
	switch {
	case o.StateDir == string(configuration.StateOff):
		return "", nil
	case o.StateDir != "":
		return o.StateDir, nil
	case file.StateDirectory == configuration.StateOff:
		return "", nil
	case file.StateDirectory != "":
		return string(file.StateDirectory), nil
	case env("STATE_DIRECTORY") != "": // systemd.exec(5): a list
		dir, _, _ := strings.Cut(env("STATE_DIRECTORY"), ":")
		return dir, nil
	case os.Getuid() == 0:
		return "/var/lib/hale/balance", nil
	case env("XDG_STATE_HOME") != "":
		return filepath.Join(env("XDG_STATE_HOME"), "hale", "balance"), nil
	case env("HOME") != "":
		return filepath.Join(env("HOME"), ".local", "state", "hale", "balance"), nil
	}
	return "", errors.New("where to keep the state is not known: write --state DIR, or --state off to keep none")
}
