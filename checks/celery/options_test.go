package celery_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"hale/checks"
	"hale/checks/celery"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	const redis, rabbit = "redis://:s3cret@mq/0", "amqp://app:s3cret@mq/app"
	for _, test := range []struct {
		name  string
		check *celery.Check
		want  string // empty: it is good
	}{
		{"least", &celery.Check{Broker: redis}, ""},
		{"RabbitMQ", &celery.Check{Broker: rabbit, Workers: 2, Queues: []string{"a"}, WarnAge: time.Minute, MaxAge: time.Minute}, ""},
		{"a task alone", &celery.Check{Results: "db+postgresql://app:s3cret@db/app", Task: "t", Within: time.Minute}, ""},
		{"nothing", &celery.Check{}, "broker: is missing: "},
		{"another broker", &celery.Check{Broker: "sqs://s3cret@"}, "broker: has none of the schemes redis, rediss, unix, amqp and amqps: "},
		{"unescaped", &celery.Check{Broker: "redis://:s3/cret@mq"}, "broker: cannot be read: "},
		{"workers and nodes", &celery.Check{Broker: redis, Workers: 1, Nodes: []string{"a@x"}}, "workers: nodes says already which workers must answer"},
		{"negative", &celery.Check{Broker: redis, Workers: -1}, "workers: -1 is negative"},
		{"length without queues", &celery.Check{Broker: redis, MaxLength: 1}, "max_length: is about queues: name them in queues"},
		{"age without queues", &celery.Check{Broker: redis, MaxAge: time.Hour}, "max_age: is about queues: name them in queues"},
		{"never warns", &celery.Check{Broker: redis, Queues: []string{"a"}, WarnAge: time.Hour, MaxAge: time.Minute}, "warn_age: 1h0m0s is more than max_age (1m0s): the check would fail before it warns"},
		{"queues without a broker", &celery.Check{Results: redis, Task: "t", Within: time.Minute, Queues: []string{"a"}}, "queues: is about the workers: write where they are, in broker"},
		{"a task without results", &celery.Check{Broker: redis, Task: "t", Within: time.Minute}, "results: is missing: "},
		{"results without a task", &celery.Check{Broker: redis, Results: redis, Within: time.Minute}, "task: is missing: "},
		{"no time", &celery.Check{Results: redis, Task: "t"}, "within: is missing: "},
		{"a quote", &celery.Check{Results: redis, Task: "t'", Within: time.Minute}, `task: "t'" holds a quote`},
		{"rpc", &celery.Check{Results: "rpc://", Task: "t", Within: time.Minute}, "results: rpc is not a backend that others can look into: "},
		{"no URL", &celery.Check{Results: "results", Task: "t", Within: time.Minute}, "results: is no URL: "},
		{"half a certificate", &celery.Check{Broker: "rediss://mq", Key: "k.pem"}, "certificate: is missing: "},
		{"TLS options without TLS", &celery.Check{Broker: redis, CA: "ca.pem"}, "ca: has no effect without TLS: "},
		{"TLS options for the results", &celery.Check{Broker: redis, CA: "ca.pem", Results: "rediss://mq/1", Task: "t", Within: time.Minute}, ""},
	} {
		err := test.check.Validate()
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.HasPrefix(err.Error(), test.want)) {
			t.Errorf("%s: error = %v, want %s", test.name, err, test.want)
		}
		if option, ok := errors.AsType[*checks.OptionError](err); err != nil && (!ok || !strings.HasPrefix(test.want, option.Key+":")) {
			t.Errorf("%s: not an OptionError: %#v", test.name, err)
		}
		if err != nil && (strings.Contains(err.Error(), "s3") || strings.Contains(err.Error(), "cret@")) {
			t.Errorf("%s: %v holds a part of the password", test.name, err)
		}
	}
}
