package redis

import (
	"errors"
	"strings"
	"testing"
	"time"

	"hale/checks"
	"hale/checks/internal/redisserver"
	"hale/checks/internal/report"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	const url = "redis://h"
	unreadable := "url: " + redisserver.Form.Unreadable().Error()
	for _, test := range []struct {
		name  string
		check Check
		want  string
	}{
		{"nothing", Check{}, "url: is missing: " + redisserver.Form.Write},
		{"no scheme", Check{URL: "/run/redis.sock"}, "url: has no scheme: " + redisserver.Form.Write},
		{"another scheme", Check{URL: "http://u:hunter2@h"}, `url: has the scheme "http", which is none of Redis: ` + redisserver.Form.Write},
		{"host and port alone", Check{URL: "h:6379"}, unreadable},
		{"slash in the password", Check{URL: "redis://:12/hunter2@h"}, unreadable},
		{"hash in the password", Check{URL: "redis://:12#hunter2@h"}, unreadable},
		{"question mark in the password", Check{URL: "redis://:12?hunter2@h"}, unreadable},
		{"question mark and equals sign in the password", Check{URL: "redis://:12?hunter=2@h"}, unreadable},
		{"percent sign in the password", Check{URL: "redis://:hunter2%@h"}, unreadable},
		{"port is none", Check{URL: "redis://h:hunter2"}, unreadable},
		{"port 0", Check{URL: "redis://h:0"}, unreadable},
		{"database is none", Check{URL: "redis://h/hunter2"}, unreadable},
		{"negative database", Check{URL: "redis://h/-1"}, unreadable},
		{"several hosts", Check{URL: "redis://:hunter2@h:1,i:2/0"}, unreadable},
		{"socket with two slashes", Check{URL: "unix://run/redis.sock"}, "url: names no socket: write unix:///PATH, with three slashes"},
		{"misspelt parameter", Check{URL: "rediss://h?ssl_cert_req=none"}, "url: has a parameter that is not known here: ssl_cert_req; remove it, or give the check a URL of its own"},
		{"unknown value", Check{URL: "rediss://h?ssl_cert_reqs=maybe"}, "url: has an unknown ssl_cert_reqs: write required or none"},
		{"mode", Check{URL: url, Mode: "set"}, `mode: "set" is neither ping nor write`},
		{"role", Check{URL: url, Role: "slave"}, `role: "slave" is neither master nor replica`},
		{"lag of a master", Check{URL: url, MaxLag: time.Second}, "max_lag: is about replicas: add role: replica"},
		{"lags swapped", Check{URL: url, Role: "replica", WarnLag: time.Hour, MaxLag: time.Minute}, "warn_lag: 1h0m0s is more than max_lag (1m0s): the check would fail before it warns"},
		{"negative lag", Check{URL: url, Role: "replica", MaxLag: -time.Second}, "max_lag: -1s is negative: write a duration such as 60s"},
		{"memory swapped", Check{URL: url, WarnMemory: 95, MaxMemory: 90}, "warn_memory: 95% is more than max_memory (90%): the check would fail before it warns"},
		{"writing to a replica", Check{URL: url, Role: "replica", Mode: "write"}, "mode: a replica takes no writes: write ping, or role: master"},
		{"writing to a cluster", Check{URL: url, Cluster: true, Mode: "write"}, "mode: one node of a cluster takes only the keys of its own slots: write ping"},
		{"prefix of no key", Check{URL: url, KeyPrefix: "x"}, "key_prefix: has no effect without mode: write"},
		{"database of a cluster", Check{URL: "redis://h/1", Cluster: true}, "cluster: a cluster has database 0 alone: remove the database from url"},
		{"memory of a Sentinel", Check{URL: url, Sentinel: "m", MaxMemory: 90}, "sentinel: a Sentinel holds no data and is no node of a cluster: remove mode, role, warn_memory, max_memory and cluster"},
		{"CA without TLS", Check{URL: url, CA: "ca.pem"}, "ca: has no effect without TLS: write rediss:// in url"},
		{"insecure without TLS", Check{URL: url, Insecure: true}, "insecure: has no effect without TLS: write rediss:// in url"},
		{"half a certificate", Check{URL: "rediss://h", Certificate: "c.pem"}, "key: is missing: the file of the private key that belongs to certificate"},
		{"two mistakes", Check{Mode: "x"}, "url: is missing: " + redisserver.Form.Write + "\n" + `mode: "x" is neither ping nor write`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := test.check.Validate()
			if err == nil || err.Error() != test.want {
				t.Fatalf("error = %v\nwant    %s", err, test.want)
			}
			if _, ok := errors.AsType[*checks.OptionError](err); !ok {
				t.Errorf("not an OptionError: %#v", err)
			}
		})
	}
}

// Whatever a server tells of itself, the report is one that can be shown.
func FuzzInfo(f *testing.F) {
	f.Add("role:slave\r\nmaster_host:h\r\nmaster_link_status:down\r\nmaster_link_down_since_seconds:9223372036854775807\r\n")
	f.Add("used_memory:-1\r\nmaxmemory:9223372036854775807\r\nmaxmemory_policy:\x1b[31m\r\n")
	f.Add("cluster_state:ok\r\ncluster_slots_assigned:16384\r\ncluster_size:\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		check := Check{Role: "replica", MaxLag: time.Second, WarnMemory: 80}
		fields := parseInfo(text)
		var found report.Report
		check.judgeRole(fields, &found)
		check.judgeMemory(fields, &found)
		judgeCluster(fields, &found)
		check.judgeMaster(fields, &found)
		output, err := found.Result()
		if err != nil {
			output = err.Error()
		}
		if output == "" || strings.ContainsAny(output, "\r\n\x1b") {
			t.Errorf("%q", output)
		}
	})
}
