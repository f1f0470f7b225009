// Package kafka checks a Kafka cluster by asking for its metadata: brokers,
// topics and their partitions, and how far a group of consumers lags.
package kafka

import (
	"context"
	"errors"
	"fmt"

	"hale/checks"
	"hale/checks/internal/link"
	"hale/checks/internal/report"
	"hale/checks/internal/trust"
)

// Check connects to a broker, logs in, and asks for the cluster's metadata.
//
// It proves that a broker can be reached, takes the credentials, and knows
// enough brokers and a controller; of a topic, that each partition has a leader
// and all its replicas; of a group, that it is there and how far it lags; with
// Reach, that each broker can be reached by the name that the cluster gives out
// for it, as an app's client has to. It costs one connection and one request a
// run, with Reach one connection to each broker, and for a group one to its
// coordinator and to each leader of its partitions. Nothing is produced,
// consumed or committed, no group is joined, and no topic comes into being.
//
//	&kafka.Check{Brokers: []string{"kafka-1.internal:9092"}, Topics: []string{"orders"}, Group: "mailer", MaxLag: 1000}
type Check struct {
	Brokers     []string  `yaml:"brokers" jsonschema:"required" jsonschema_description:"Where to begin, host:port each: the first that answers tells of the others."`
	TLS         bool      `yaml:"tls" jsonschema:"default=false" jsonschema_description:"Speak TLS."`
	CA          string    `yaml:"ca" jsonschema_description:"File of PEM certificates to trust instead of the system's; relative to the directory of hale.yaml."`
	Certificate string    `yaml:"certificate" jsonschema_description:"File of the client's own certificate, PEM, for brokers that ask for one."`
	Key         string    `yaml:"key" jsonschema_description:"File of the private key of certificate, PEM."`
	Insecure    bool      `yaml:"insecure" jsonschema:"default=false" jsonschema_description:"Accept any certificate."`
	SASL        Mechanism `yaml:"sasl" jsonschema:"enum=plain,enum=scram-sha-256,enum=scram-sha-512" jsonschema_description:"How to log in; without it, not at all."`
	User        string    `yaml:"user" jsonschema_description:"Who logs in."`
	Password    string    `yaml:"password" jsonschema_description:"The user's password."`
	MinBrokers  int       `yaml:"min_brokers" jsonschema:"default=1" jsonschema_description:"Fail when the cluster has fewer brokers than this."`
	Reach       bool      `yaml:"reach" jsonschema:"default=false" jsonschema_description:"Connect to each broker, by the name that the cluster gives out for it."`
	Topics      []string  `yaml:"topics" jsonschema_description:"Topics that must be there, with a leader for each partition; with group, those whose lag counts."`
	MinInSync   int       `yaml:"min_insync" jsonschema:"default=0" jsonschema_description:"Fail when a partition of topics has fewer replicas in sync than this, as min.insync.replicas; 0: only warn when one is missing."`
	Group       string    `yaml:"group" jsonschema_description:"Group of consumers that must be there, and whose lag to look at."`
	MinMembers  int       `yaml:"min_members" jsonschema:"default=0" jsonschema_description:"Fail when the group has fewer members than this; 0: only warn when it has none."`
	WarnLag     int64     `yaml:"warn_lag" jsonschema:"default=0" jsonschema_description:"Warn when the group lags more messages than this, over all partitions; 0: never."`
	MaxLag      int64     `yaml:"max_lag" jsonschema:"default=0" jsonschema_description:"Fail when the group lags more messages than this, over all partitions; 0: never."`

	// Dir is where relative file names start; empty means the working directory.
	Dir string `yaml:"-"`
}

// Validate refuses what cannot work. No error repeats the password.
func (c *Check) Validate() error {
	var errs []error
	if len(c.Brokers) == 0 {
		errs = append(errs, checks.Optionf("brokers", "is missing: write host:port of one broker or several, such as [kafka-1.internal:9092]"))
	}
	for _, broker := range c.Brokers {
		errs = append(errs, link.ValidateAddress("brokers", broker, "kafka-1.internal:9092", false))
	}
	errs = append(errs, c.trust().Validate(), c.validateLogin())
	if !c.TLS && (c.CA != "" || c.Certificate != "" || c.Insecure) {
		errs = append(errs, checks.Optionf("tls", "is false, so that ca, certificate and insecure mean nothing: set tls: true, or remove them"))
	}
	for _, number := range []struct {
		key string
		n   int64
	}{
		{"min_brokers", int64(c.MinBrokers)},
		{"min_insync", int64(c.MinInSync)},
		{"min_members", int64(c.MinMembers)},
		{"warn_lag", c.WarnLag},
		{"max_lag", c.MaxLag},
	} {
		if number.n < 0 {
			errs = append(errs, checks.Optionf(number.key, "%d is negative", number.n))
		}
	}
	switch {
	case c.MinInSync > 0 && len(c.Topics) == 0:
		errs = append(errs, checks.Optionf("topics", "is missing: whose partitions min_insync is about"))
	case c.Group == "" && (c.MinMembers > 0 || c.WarnLag > 0 || c.MaxLag > 0):
		errs = append(errs, checks.Optionf("group", "is missing: whose members and lag to look at"))
	case c.MaxLag > 0 && c.WarnLag > c.MaxLag:
		errs = append(errs, checks.Optionf("warn_lag", "%d is more than max_lag (%d): the check would fail before it warns", c.WarnLag, c.MaxLag))
	}
	return errors.Join(errs...)
}

func (c *Check) trust() trust.Options {
	return trust.Options{CA: c.CA, Certificate: c.Certificate, Key: c.Key, Dir: c.Dir, Insecure: c.Insecure}
}

// Run asks the first broker that answers, and those that the questions lead to.
func (c *Check) Run(ctx context.Context) (string, error) {
	var report report.Report
	first, err := c.bootstrap(ctx, &report)
	if err != nil {
		return "", err
	}
	defer first.close()
	answer, err := first.metadata(c.Topics)
	if err != nil {
		return "", err
	}
	report.Passf("answers with %s: %s", count(len(answer.Brokers), "broker"), first.address)
	cluster := newCluster(c, answer)
	cluster.judge(&report)
	for _, topic := range answer.Topics {
		c.judgeTopic(topic, &report)
	}
	if c.Reach {
		cluster.reach(ctx, &report)
	}
	if c.Group != "" {
		if err := cluster.judgeGroup(ctx, first, &report); err != nil {
			report.Failf("%v", err)
		}
	}
	return report.Result()
}

// bootstrap opens a session with the first broker of the list that answers, and
// reports what is wrong with those before it, which is no fault of the cluster's.
// If there is none, the error tells what is wrong with each.
func (c *Check) bootstrap(ctx context.Context, fine *report.Report) (*session, error) {
	var unreachable report.Report
	for i, address := range c.Brokers {
		ctx, cancel := link.NewAttempt(ctx, len(c.Brokers)-i)
		session, err := c.open(ctx, address)
		if err == nil {
			ctx.Settle()
			session.cancel = cancel
			return session, nil
		}
		cancel()
		fine.Passf("%v", err)
		unreachable.Failf("%v", err)
	}
	_, err := unreachable.Result()
	return nil, err
}

// count writes a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
