// Package redis checks a Redis or Valkey server by asking it.
package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"hale/checks"
	"hale/checks/internal/redisserver"
	"hale/checks/internal/report"
	"hale/checks/internal/trust"
)

// DefaultKeyPrefix is what an empty KeyPrefix means.
const DefaultKeyPrefix = "hale:check:"

// maxReplies bounds what a run reads, in bytes: two sections of INFO are less
// than 10 KiB.
const maxReplies = 256 << 10

// Check asks a Redis or Valkey server: a single one, a replica, a node of a
// cluster, or a Sentinel.
//
// With Mode "ping" it proves that the server can be reached, accepts the user
// and the password, has the database, and answers commands: one that still
// loads its data, or has lost its master and serves no stale data, says so. Mode
// "write" proves that a key can be written, read back and deleted, which a full
// server and a replica refuse. The other options look at what INFO, CLUSTER INFO
// and SENTINEL say. It costs one connection a run and, if nothing else is
// asked for, one command; they are sent together, in one round trip.
//
// A run that is cut off leaves nothing behind: the key's deletion is sent along
// with the key, and should that not arrive, the key goes by itself after ten
// seconds.
//
//	&redis.Check{URL: "redis://app:secret@cache.internal:6379/0", Mode: "write"}
type Check struct {
	URL       string `yaml:"url" jsonschema:"required" jsonschema_description:"The server, as in REDIS_URL: redis://USER:PASSWORD@HOST:PORT/DATABASE, rediss://... for TLS, unix:///PATH?db=DATABASE for a socket."`
	Mode      string `yaml:"mode" jsonschema:"enum=ping,enum=write,default=ping" jsonschema_description:"What to do: ping, or write, read back and delete a random key."`
	KeyPrefix string `yaml:"key_prefix" jsonschema:"default=hale:check:" jsonschema_description:"What the random key of mode write begins with."`

	Role    string        `yaml:"role" jsonschema:"enum=master,enum=replica" jsonschema_description:"What the server must be: master or replica."`
	WarnLag time.Duration `yaml:"warn_lag" jsonschema_description:"Warn when a replica has heard nothing of its master for longer than this."`
	MaxLag  time.Duration `yaml:"max_lag" jsonschema_description:"Fail when a replica has heard nothing of its master for longer than this; without it, as soon as the link is down."`

	WarnMemory checks.Percent `yaml:"warn_memory" jsonschema_description:"Warn when more of maxmemory is used than this."`
	MaxMemory  checks.Percent `yaml:"max_memory" jsonschema_description:"Fail when more of maxmemory is used than this."`

	Cluster  bool   `yaml:"cluster" jsonschema:"default=false" jsonschema_description:"The server must be a node of a cluster that is well: every slot served."`
	Sentinel string `yaml:"sentinel" jsonschema_description:"The server is a Sentinel, and must know a master of this name that is up, with enough Sentinels for a failover."`

	CA          string `yaml:"ca" jsonschema_description:"File of PEM certificates to trust instead of the system's; relative to the directory of hale.yaml."`
	Certificate string `yaml:"certificate" jsonschema_description:"File of the client's own certificate, PEM, for a server that asks for one."`
	Key         string `yaml:"key" jsonschema_description:"File of the private key of certificate, PEM."`
	Insecure    bool   `yaml:"insecure" jsonschema:"default=false" jsonschema_description:"Accept any certificate."`

	// Dir is where relative file names start; empty means the working directory.
	Dir string `yaml:"-"`
}

// Validate refuses a URL that names no server, and options that contradict one
// another. The error never contains the URL: it holds a password.
func (c *Check) Validate() error {
	a, err := redisserver.ParseAddress(c.URL)
	if err != nil {
		return errors.Join(&checks.OptionError{Key: "url", Err: err}, c.validateOptions(nil))
	}
	return c.validateOptions(a)
}

// validateOptions judges all options but the URL, which is nil if it is bad.
func (c *Check) validateOptions(a *redisserver.Address) error {
	var errs []error
	refuse := func(is bool, key, format string, args ...any) {
		if is {
			errs = append(errs, checks.Optionf(key, format, args...))
		}
	}
	refuse(!slices.Contains([]string{"", "ping", "write"}, c.Mode), "mode", "%q is neither ping nor write", c.Mode)
	refuse(!slices.Contains([]string{"", "master", "replica"}, c.Role), "role", "%q is neither master nor replica", c.Role)
	refuse(c.WarnLag < 0, "warn_lag", "%v is negative: write a duration such as 15s", c.WarnLag)
	refuse(c.MaxLag < 0, "max_lag", "%v is negative: write a duration such as 60s", c.MaxLag)
	refuse(c.MaxLag > 0 && c.WarnLag > c.MaxLag, "warn_lag", "%v is more than max_lag (%v): the check would fail before it warns", c.WarnLag, c.MaxLag)
	refuse(c.Role != "replica" && c.WarnLag > 0, "warn_lag", "is about replicas: add role: replica")
	refuse(c.Role != "replica" && c.MaxLag > 0, "max_lag", "is about replicas: add role: replica")
	refuse(c.MaxMemory > 0 && c.WarnMemory > c.MaxMemory, "warn_memory", "%v is more than max_memory (%v): the check would fail before it warns", c.WarnMemory, c.MaxMemory)
	refuse(c.Mode == "write" && c.Role == "replica", "mode", "a replica takes no writes: write ping, or role: master")
	refuse(c.Mode == "write" && c.Cluster, "mode", "one node of a cluster takes only the keys of its own slots: write ping")
	refuse(c.KeyPrefix != "" && c.Mode != "write", "key_prefix", "has no effect without mode: write")
	refuse(c.Sentinel != "" && (c.Mode == "write" || c.Role != "" || c.asksMemory() || c.Cluster), "sentinel", "a Sentinel holds no data and is no node of a cluster: remove mode, role, warn_memory, max_memory and cluster")
	if a != nil {
		refuse(a.Database != 0 && c.Cluster, "cluster", "a cluster has database 0 alone: remove the database from url")
		refuse(a.Database != 0 && c.Sentinel != "", "sentinel", "a Sentinel has no databases: remove the database from url")
		if !a.TLS {
			errs = append(errs, c.trust().WithoutTLS("write rediss:// in url"))
		}
	}
	return errors.Join(append(errs, c.trust().Validate())...)
}

func (c *Check) asksMemory() bool { return c.WarnMemory > 0 || c.MaxMemory > 0 }

func (c *Check) trust() trust.Options {
	return trust.Options{CA: c.CA, Certificate: c.Certificate, Key: c.Key, Dir: c.Dir, Insecure: c.Insecure}
}

// Run asks once.
func (c *Check) Run(ctx context.Context) (string, error) {
	address, err := redisserver.ParseAddress(c.URL)
	if err != nil {
		return "", fmt.Errorf("url %w", err)
	}
	conn, err := address.Dial(ctx, c.trust(), maxReplies)
	if err != nil {
		return "", err
	}
	defer conn.Close()

	var found report.Report
	steps := c.steps(&found)
	commands := make([][]string, len(steps))
	for i, step := range steps {
		commands[i] = step.command
	}
	replies, err := conn.Ask(commands...)
	if err != nil {
		return "", err
	}
	for i, step := range steps {
		if step.judge != nil {
			step.judge(replies[i])
		}
	}
	output, err := found.Result()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, address.Where)
	}
	return output + ": " + address.Where, nil
}

// step is a command, and what to make of the reply if it is no error.
type step struct {
	command []string
	judge   func(reply any)
}

// steps are the commands of a run. Their judgements go into found.
func (c *Check) steps(found *report.Report) []step {
	var steps []step
	if c.Mode == "write" {
		steps = append(steps, writing(cmp.Or(c.KeyPrefix, DefaultKeyPrefix), found)...)
	} else {
		steps = append(steps, step{[]string{"PING"}, func(reply any) {
			if reply != "PONG" {
				found.Failf("answered PING with %s", shown(reply))
			} else {
				found.Passf("answers PING")
			}
		}})
	}
	if c.Role != "" {
		steps = append(steps, step{[]string{"INFO", "replication"}, func(reply any) { c.judgeRole(parseInfo(reply), found) }})
	}
	if c.asksMemory() {
		steps = append(steps, step{[]string{"INFO", "memory"}, func(reply any) { c.judgeMemory(parseInfo(reply), found) }})
	}
	if c.Cluster {
		steps = append(steps, step{[]string{"CLUSTER", "INFO"}, func(reply any) { judgeCluster(parseInfo(reply), found) }})
	}
	if c.Sentinel != "" {
		steps = append(steps,
			step{[]string{"SENTINEL", "MASTER", c.Sentinel}, func(reply any) { c.judgeMaster(parsePairs(reply), found) }},
			step{command: []string{"SENTINEL", "CKQUORUM", c.Sentinel}})
	}
	return steps
}
