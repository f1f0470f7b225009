// Package mongodb checks a MongoDB server, replica set or sharded cluster by
// connecting to it as an app's driver does.
package mongodb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"

	"hale/checks"
	"hale/checks/internal/report"
)

// Role is what a member of a replica set has to be to answer the check's ping.
type Role string

// The roles. A server that belongs to no replica set, and a router of a sharded
// cluster (mongos), are as good as a primary.
const (
	Primary   Role = "primary" // takes writes; the default
	Secondary Role = "secondary"
	Any       Role = "any"
)

// Check connects to MongoDB, logs in where the URL has a user, and pings a
// member with the role.
//
// It proves that the name resolves, the members can be reached, one of them has
// the role, takes the credentials and answers; with MinMembers, that enough
// members answer, and with MaxLag, that the secondaries keep up with the
// primary. It costs each member that is asked one connection a run, the one
// that is pinged a second, and closes them at the end. It needs no rights but to
// log in: both commands, hello and ping, are anybody's. Nothing is read or
// written.
//
//	&mongodb.Check{URL: "mongodb://app:secret@db-1.internal,db-2.internal/app?replicaSet=rs0"}
type Check struct {
	URL         string        `yaml:"url" jsonschema:"required" jsonschema_description:"As the app's driver takes it: mongodb://USER:PASSWORD@HOST:PORT,HOST:PORT/DATABASE?replicaSet=NAME, or mongodb+srv://..."`
	CA          string        `yaml:"ca" jsonschema_description:"File of PEM certificates to trust instead of the system's, for a URL with tls=true; relative to the directory of hale.yaml."`
	Certificate string        `yaml:"certificate" jsonschema_description:"File of the client's own certificate, PEM, for a server that asks for one."`
	Key         string        `yaml:"key" jsonschema_description:"File of the private key of certificate, PEM."`
	Insecure    bool          `yaml:"insecure" jsonschema:"default=false" jsonschema_description:"Accept any certificate."`
	Role        Role          `yaml:"role" jsonschema:"enum=primary,enum=secondary,enum=any,default=primary" jsonschema_description:"What the member that answers has to be."`
	MinMembers  int           `yaml:"min_members" jsonschema:"default=0" jsonschema_description:"Fail when fewer members that hold data answer than this, and warn when any is missing; 0: only one is looked for."`
	WarnLag     time.Duration `yaml:"warn_lag" jsonschema:"default=0s" jsonschema_description:"Warn when a secondary is further behind the primary than this; 0: never."`
	MaxLag      time.Duration `yaml:"max_lag" jsonschema:"default=0s" jsonschema_description:"Fail when a secondary is further behind the primary than this; 0: never."`

	// Dir is where relative file names start; empty means the working directory.
	Dir string `yaml:"-"`

	resolver resolver // of mongodb+srv://; nil: the system's
}

// Validate refuses what cannot work. No error repeats the URL: it may hold a
// password.
func (c *Check) Validate() error {
	var errs []error
	if err := c.validateURL(); err != nil {
		errs = append(errs, &checks.OptionError{Key: "url", Err: err})
	} else {
		errs = append(errs, c.validateTLS())
	}
	if !slices.Contains([]Role{"", Primary, Secondary, Any}, c.Role) {
		errs = append(errs, checks.Optionf("role", "%q is not primary, secondary or any", string(c.Role)))
	}
	switch {
	case c.MinMembers < 0:
		errs = append(errs, checks.Optionf("min_members", "%d is negative", c.MinMembers))
	case c.WarnLag < 0:
		errs = append(errs, checks.Optionf("warn_lag", "%v is negative", c.WarnLag))
	case c.MaxLag < 0:
		errs = append(errs, checks.Optionf("max_lag", "%v is negative", c.MaxLag))
	case c.MaxLag > 0 && c.WarnLag > c.MaxLag:
		errs = append(errs, checks.Optionf("warn_lag", "%v is more than max_lag (%v): the check would fail before it warns", c.WarnLag, c.MaxLag))
	}
	return errors.Join(errs...)
}

// all tells that every member is to be heard, not only the first that will do.
func (c *Check) all() bool { return c.MinMembers > 0 || c.WarnLag > 0 || c.MaxLag > 0 }

// leaveTime bounds what taking leave of the servers may take, when all is said.
const leaveTime = 500 * time.Millisecond

// Run looks for a member with the role, and pings it. The driver's client lives
// for this one run: its monitors would otherwise go on between the runs, and
// hide a server that comes and goes.
func (c *Check) Run(ctx context.Context) (string, error) {
	start := time.Now()
	wire := newWire(ctx)
	defer wire.close()
	watch := newWatch(cmp.Or(c.Role, Primary), c.all())
	options, err := c.options(ctx)
	if err != nil {
		return "", err
	}
	// TLS is the wire's: the driver would not tell what was wrong with it.
	wire.tls = options.TLSConfig
	client, err := mongo.Connect(options.SetTLSConfig(nil).SetDialer(wire).SetServerMonitor(watch.monitor()))
	if err != nil {
		return "", fmt.Errorf("url %w", redact(c.URL, err))
	}
	output, err := c.ask(ctx, start, client, watch, wire)
	// The sessions are ended on the server, if it still listens. Then nothing
	// waits for a server any more, and the client ends at once.
	leave, cancel := context.WithTimeout(ctx, leaveTime)
	defer cancel()
	defer context.AfterFunc(leave, wire.close)()
	_ = client.Disconnect(leave)
	return output, err
}

// ask waits for the members' words, and pings.
func (c *Check) ask(ctx context.Context, start time.Time, client *mongo.Client, watch *watch, wire *wire) (string, error) {
	members := watch.wait(ctx)
	var report report.Report
	chosen, ok := watch.chosen()
	if !ok {
		return "", watch.nobody(ctx, start, wire)
	}
	preference := readpref.Nearest()
	switch cmp.Or(c.Role, Primary) {
	case Primary:
		preference = readpref.Primary()
	case Secondary:
		preference = readpref.Secondary()
	case Any:
	}
	if err := client.Ping(ctx, preference); err != nil {
		return "", wire.explain(ctx, start, chosen.address, err)
	}
	report.Passf("%s answers: %s", chosen.kind, chosen.address)
	if c.all() {
		c.judge(ctx, start, members, wire, &report)
	}
	return report.Result()
}

// judge looks at the replica set as a whole.
func (c *Check) judge(ctx context.Context, start time.Time, members []member, wire *wire, report *report.Report) {
	var holding int
	var primary *member
	for i, m := range members {
		switch {
		case m.kind == "" && m.err != nil:
			report.Warnf("%v", wire.explain(ctx, start, m.address, m.err))
		case m.kind == "":
			report.Warnf("no answer in time: %s", m.address)
		case m.holdsData():
			holding++
		case m.kind != arbiter:
			report.Warnf("%s is no member that can be used: %s", m.address, m.kind)
		}
		if m.kind == primaryKind {
			primary = &members[i]
		}
	}
	if holding < c.MinMembers {
		report.Failf("%d of the members that hold data answer, fewer than %d", holding, c.MinMembers)
	} else {
		report.Passf("%d of the members that hold data answer", holding)
	}
	if c.WarnLag == 0 && c.MaxLag == 0 {
		return
	}
	if primary == nil {
		report.Failf("there is no primary to measure the lag by")
		return
	}
	for _, m := range members {
		if m.kind != secondaryKind {
			continue
		}
		lag := max(0, primary.lastWrite.Sub(m.lastWrite))
		switch text := fmt.Sprintf("%s is %v behind the primary", m.address, lag); {
		case m.lastWrite.IsZero() || primary.lastWrite.IsZero():
			report.Failf("%s does not tell when it was written to last", m.address)
		case c.MaxLag > 0 && lag > c.MaxLag:
			report.Failf("%s, more than %v", text, c.MaxLag)
		case c.WarnLag > 0 && lag > c.WarnLag:
			report.Warnf("%s, more than %v", text, c.WarnLag)
		default:
			report.Passf("%s", text)
		}
	}
}

// redact returns an error of the driver's about a URL, if it repeats nothing of
// its user and password.
func redact(url string, err error) error {
	_, rest, _ := strings.Cut(url, "://")
	if at := strings.LastIndex(rest, "@"); at > 0 {
		for part := range strings.SplitSeq(rest[:at], ":") {
			if part != "" && strings.Contains(err.Error(), part) {
				return errors.New("cannot be used")
			}
		}
	}
	return err
}
