package doctor

import (
	"cmp"
	"testing"
	"time"

	"hale/internal/probe"
)

// How long a server keeps idle connections, its command line tells.
func TestToldIdle(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		program string
		args    []string
		want    time.Duration
		told    bool
	}{
		{"uvicorn", []string{"uvicorn", "shop:app", "--timeout-keep-alive", "75"}, 75 * time.Second, true},
		{"uvicorn", []string{"uvicorn", "--timeout-keep-alive=2", "--timeout-keep-alive=30", "shop:app"}, 30 * time.Second, true},
		{"uvicorn", []string{"uvicorn", "shop:app"}, 0, false},
		{"uvicorn", []string{"uvicorn", "shop:app", "--timeout-keep-alive"}, 0, false},
		{"uvicorn", []string{"uvicorn", "--keep-alive", "75"}, 0, false},
		{"gunicorn", []string{"gunicorn", "--keep-alive", "75", "shop:app"}, 75 * time.Second, true},
		{"gunicorn", []string{"gunicorn", "--keep-alive", "many"}, 0, false},
		{"lighttpd", []string{"lighttpd", "-f", "lighttpd.conf"}, 0, false},
		{"nginx", []string{"nginx", "--keep-alive", "75"}, 0, false},
	} {
		if got, _, told := toldIdle(test.program, test.args); got != test.want || told != test.told {
			t.Errorf("%q: %v, %v; want %v, %v", test.args, got, told, test.want, test.told)
		}
	}
}

// An examination ends in time, unless somebody asks to watch for longer.
func TestIdleWatch(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name               string
		asked, taken, want time.Duration
	}{
		{"a quick site", 0, 100 * time.Millisecond, 3500 * time.Millisecond},
		{"much was tried before", 0, 2430 * time.Millisecond, 2200 * time.Millisecond},
		{"no time is left", 0, 4 * time.Second, 0},
		{"the run has taken too long already", 0, time.Minute, 0},
		{"asked for", 61 * time.Second, 4 * time.Second, 61 * time.Second},
		{"asked for as long as usual", IdleWait, 4 * time.Second, IdleWait},
	} {
		if got := idleWatch(test.asked, test.taken); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

// What was watched for too short a time is said, with the way to find out.
func TestIdleUndecided(t *testing.T) {
	t.Parallel()
	const before = "whether the target closes idle connections before the load balancer, which keeps them for 1m0s: "
	for _, test := range []struct {
		name, server string
		watched      time.Duration
		limit        time.Duration
		inside       bool
		what, how    string
	}{
		{
			name: "uvicorn", server: "uvicorn", watched: IdleWait,
			what: before + "by its Server header it is uvicorn, which closes them after 5s unless --timeout-keep-alive says more, and one was watched for 3.5s",
			how:  "run this again with --idle-wait 6s, or on the instance with --from-inside, where the command line tells",
		},
		{
			name: "from inside, and nothing told", server: "hypercorn-h11", watched: IdleWait, inside: true,
			what: before + "by its Server header it is hypercorn, which closes them after 5s unless --keep-alive says more, and one was watched for 3.5s",
			how:  "run this again with --idle-wait 6s",
		},
		{
			name: "lighttpd", server: "lighttpd/1.4.69", watched: IdleWait,
			what: before + "by its Server header it is lighttpd, which closes them after 7s unless server.max-keep-alive-idle says more, and one was watched for 3.5s",
			how:  "run this again with --idle-wait 8.4s",
		},
		{
			name: "no time was left", server: "gunicorn",
			what: before + "by its Server header it is gunicorn, which closes them after 2s unless --keep-alive says more, and none was watched in this run",
			how:  "run this again with --idle-wait 3.5s, or on the instance with --from-inside, where the command line tells",
		},
		{
			name: "the default is not in use", server: "uvicorn", watched: 6 * time.Second, inside: true,
			what: before + "the target announces no time, and one was watched for 6s",
			how:  "run this again with --idle-wait 61s",
		},
		{
			name: "nginx", server: "nginx", watched: IdleWait,
			what: before + "by its Server header it is nginx, which closes them after 1m15s unless keepalive_timeout says less, and one was watched for 3.5s",
			how:  "run this again with --idle-wait 61s",
		},
		{
			name: "a server that nobody knows", watched: IdleWait,
			what: before + "the target announces no time, and one was watched for 3.5s",
			how:  "run this again with --idle-wait 61s",
		},
		{
			name: "a load balancer with little patience", server: "lighttpd", watched: IdleWait, limit: 4 * time.Second,
			what: "whether the target closes idle connections before the load balancer, which keeps them for 4s: by its Server header it is lighttpd, which closes them after 7s unless server.max-keep-alive-idle says less, and one was watched for 3.5s",
			how:  "run this again with --idle-wait 5s",
		},
	} {
		answer := probe.Answer{Header: []probe.Field{{Name: "Server", Value: test.server}}}
		got := closerOf(&answer).undecided(test.watched, cmp.Or(test.limit, time.Minute), test.inside)
		if got != (Undecided{test.what, test.how}) {
			t.Errorf("%s:\n%s\n%s\nwant\n%s\n%s", test.name, got.What, got.How, test.what, test.how)
		}
	}
}
