package celery_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"hale/checks"
	"hale/checks/celery"
	"hale/test/checktest"
	"hale/test/servers"
)

// site is a broker with an application.
type site struct {
	app     *servers.Celery
	address string
	url     func(address string) string
	clients func(t *testing.T) int
	left    func(t *testing.T) []string // what checks have left on the broker
	refusal string                      // what is said of a wrong password
	counts  bool                        // the broker tells how many workers listen
}

func TestRedis(t *testing.T) {
	redis := startRedis(t)
	s := site{
		app:     servers.NewCelery(t, redis.url(redis.address, 3), "", ""),
		address: redis.address,
		url:     func(address string) string { return redis.url(address, 3) },
		clients: redis.clients,
		left:    func(t *testing.T) []string { return redis.left(t, 3) },
		refusal: "wrong password, or user disabled: the default user",
		counts:  true,
	}
	s.testWorkers(t)
}

func TestRabbitMQ(t *testing.T) {
	node := servers.RabbitMQ(t)
	s := site{
		app:     servers.NewCelery(t, node.URL(), "", ""),
		address: node.Address(),
		url: func(address string) string {
			u, err := url.Parse(node.URL())
			if err != nil {
				t.Fatal(err)
			}
			u.Host = address
			return u.String()
		},
		clients: func(*testing.T) int { return node.Connections() },
		left: func(*testing.T) []string {
			names := node.Eval(fmt.Sprintf(`[binary_to_list(N) || {resource, _, _, N} <- rabbit_amqqueue:list_names(<<"%s">>) ++ rabbit_exchange:list_names()]`, servers.Database))
			return slices.DeleteFunc(strings.Split(names, `"`), func(name string) bool { return !strings.Contains(name, "hale-") })
		},
	}
	s.refusal = `wrong password, or user "hale" does not exist or may not log in`
	s.testWorkers(t)
	t.Run("rights", func(t *testing.T) { s.testRabbitRights(t, node) })
	t.Run("the mailbox is deleted", func(t *testing.T) {
		ended := make(chan string, 1)
		go func() {
			_, err := (&celery.Check{Broker: s.url(s.address), Workers: 9, Wait: time.Hour}).Run(t.Context())
			ended <- fmt.Sprint(err)
		}()
		var mailbox []string
		checktest.Eventually(t, "there is a mailbox that the check waits at", func() bool {
			if mailbox = s.left(t); len(mailbox) != 1 {
				return false
			}
			return node.Eval(fmt.Sprintf(`{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"%s">>, queue, <<"%s">>)), [{consumers, N}] = rabbit_amqqueue:info(Q, [consumers]), N`, servers.Database, mailbox[0])) == "1"
		})
		node.Eval(fmt.Sprintf(`{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"%s">>, queue, <<"%s">>)), rabbit_amqqueue:delete(Q, false, false, <<"test">>)`, servers.Database, mailbox[0]))
		if got, want := <-ended, "the queue for answers was deleted: "+s.address; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
	t.Run("an alarm", func(t *testing.T) {
		node.Alarm("memory")
		s.is(t, &celery.Check{}, "fail: the broker blocks whoever publishes: low on memory: ADDRESS")
		node.Relief("memory")
	})
}

// testRabbitRights holds docs/checks.md to the rights that it says are enough.
func (s site) testRabbitRights(t *testing.T, node *servers.Rabbit) {
	node.Control("add_user", "watcher", "s3cret")
	const mailbox = `^(hale-.*\.)?reply\.celery\.pidbox$`
	node.Control("set_permissions", "--vhost", servers.Database, "watcher", mailbox, `^((hale-.*\.)?reply\.)?celery\.pidbox$`, mailbox)
	s.app.Worker("a@hale", "-P", "solo")
	watcher := "amqp://watcher:s3cret@" + s.address + "/" + servers.Database
	got := checktest.Outcome(t, &celery.Check{Broker: watcher, Queues: []string{"celery"}, Wait: time.Minute}, 0)
	if want := `pass: 1 worker answered: a@hale; queue "celery" has 0 messages: ` + s.address; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	node.Control("set_permissions", "--vhost", servers.Database, "watcher", mailbox, mailbox, mailbox)
	got = checktest.Outcome(t, &celery.Check{Broker: watcher}, 0)
	if want := "fail: access to exchange 'celery.pidbox' in vhost 'app' refused for user 'watcher': " + s.address; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// testWorkers takes two workers through their lives. The order matters.
func (s site) testWorkers(t *testing.T) {
	const nobody = "fail: no worker listens for remote control: none runs, or worker_enable_remote_control is off: ADDRESS"
	s.is(t, &celery.Check{}, nobody)
	wrong := &celery.Check{Broker: strings.Replace(s.url(s.address), "corr3ct", "wr0ng", 1)}
	if got := checktest.Outcome(t, wrong, 0); got != "fail: "+s.refusal+": "+s.address {
		t.Errorf("a wrong password: %s", got)
	}
	s.is(t, &celery.Check{Nodes: []string{"a@hale"}}, nobody)

	a := s.app.Worker("a@hale", "-P", "solo")
	s.is(t, &celery.Check{}, "pass: 1 worker answered: a@hale: ADDRESS")
	s.is(t, &celery.Check{Workers: 2, Wait: short}, "fail: only 1 worker answered within 700ms, expected at least 2: a@hale: ADDRESS")

	b := s.app.Worker("b@hale", "-P", "prefork", "-c", "1", "-Q", "mail,low", "--prefetch-multiplier", "1")
	both := &celery.Check{Workers: 2, Queues: []string{"celery", "mail", "low"}}
	const well = `pass: 2 workers answered: a@hale, b@hale; queue "celery" has 0 messages; queue "mail" has 0 messages; queue "low" has 0 messages: ADDRESS`
	s.is(t, both, well)
	s.is(t, &celery.Check{Nodes: []string{"b@hale"}}, "pass: 1 worker answered: b@hale: ADDRESS")
	s.is(t, &celery.Check{Nodes: []string{"b@hale", "c@hale"}, Wait: short}, "fail: c@hale did not answer within 700ms, only b@hale: ADDRESS")
	s.is(t, &celery.Check{Workers: 2, Queues: []string{"mail", "sms"}, Wait: short},
		map[bool]string{
			true:  `fail: queue "sms" is consumed by no worker that answered: ADDRESS`,
			false: `fail: queue "sms" is consumed by no worker that answered; no queue "sms": ADDRESS`,
		}[s.counts])
	s.agrees(t, "a@hale", "b@hale")

	t.Run("faults", func(t *testing.T) {
		before := s.clients(t)
		checktest.Target{
			Address: s.address,
			New: func(at string) checks.Check {
				return &celery.Check{Broker: s.url(at), Workers: 2, Queues: []string{"mail"}, Wait: time.Minute}
			},
			Secrets:     []string{servers.Password, url.QueryEscape(servers.Password)},
			Connections: func() int { return s.clients(t) - before },
		}.Faults(t)
		s.nothingLeft(t)
	})
	t.Run("soak", func(t *testing.T) {
		checktest.Soak(t, &celery.Check{Broker: s.url(s.address), Workers: 2, Queues: []string{"celery", "mail"}, MaxAge: time.Minute, MaxLength: 10, Wait: time.Minute},
			func() int { return s.clients(t) })
		s.nothingLeft(t)
	})
	t.Run("TLS", func(t *testing.T) {
		checktest.TLS{
			Serve: func(t *testing.T, cert servers.Certificate) string { return servers.TLSProxy(t, s.address, cert) },
			New: func(at, ca string, insecure bool) checks.Check {
				secure := strings.NewReplacer("redis:", "rediss:", "amqp:", "amqps:").Replace(s.url(at))
				return &celery.Check{Broker: secure, CA: ca, Insecure: insecure, Wait: time.Minute}
			},
		}.Faults(t)
		s.nothingLeft(t)
	})
	t.Run("cost", s.testCost)

	// All of the pool is busy, one task waits in the worker and three in the
	// queue; and the worker still answers.
	s.app.Do("[app.sleep.apply_async((600,), queue='mail') for i in range(5)]")
	waiting := &celery.Check{Broker: s.url(s.address), Nodes: []string{"b@hale"}, Queues: []string{"mail"}, MaxLength: 2, MaxAge: 400 * time.Millisecond}
	eventually(t, waiting, regexp.MustCompile(`^fail: queue "mail" has 3 messages, more than 2: `))
	eventually(t, waiting, regexp.MustCompile(`^fail: queue "mail" has 3 messages, more than 2; queue "mail" `+
		map[bool]string{true: "has a message that waits for at least", false: "has not become shorter for"}[s.counts]+` [\d.]+m?s, more than 400ms: `))

	// A solo pool answers between tasks.
	sent := make(chan struct{})
	go func() { defer close(sent); s.app.Do("app.sleep.delay(3)") }()
	only := &celery.Check{Broker: s.url(s.address), Nodes: []string{"a@hale"}, Wait: short}
	eventually(t, only, regexp.MustCompile(`^fail: a@hale did not answer within 700ms: not running, stopped, or a solo pool busy with a task: `))
	<-sent
	eventually(t, only, regexp.MustCompile(`^pass: 1 worker answered: a@hale: `))

	a.Pause()
	s.is(t, &celery.Check{Workers: 2, Wait: short}, "fail: only 1 worker answered within 700ms, expected at least 2: b@hale: ADDRESS")
	b.Pause()
	s.is(t, &celery.Check{Wait: short}, "fail: no worker answered within 700ms, though "+
		map[bool]string{true: "2 listen", false: "at least one listens"}[s.counts]+": stopped, or a solo pool busy with a task: ADDRESS")
	// Now they answer after all, to nobody.
	a.Resume()
	b.Resume()
	s.is(t, &celery.Check{Workers: 2}, "pass: 2 workers answered: a@hale, b@hale: ADDRESS")
	s.nothingLeft(t)

	b.Kill()
	s.is(t, &celery.Check{Workers: 2, Wait: short}, "fail: only 1 worker answered within 700ms, expected at least 2: a@hale: ADDRESS")
	s.is(t, &celery.Check{Queues: []string{"celery", "low"}, Wait: short},
		`fail: queue "low" is consumed by no worker that answered: ADDRESS`)
	s.agrees(t, "a@hale")
	a.Kill()
	s.is(t, &celery.Check{Wait: short}, nobody)
	s.agrees(t)
	s.nothingLeft(t)
}

// short is how long is waited for answers of which some never come. Those that do
// come may take a busy machine longer.
const short = 700 * time.Millisecond

// is holds a check to its words.
func (s site) is(t *testing.T, check *celery.Check, want string) {
	t.Helper()
	check.Broker = s.url(s.address)
	tries := 1
	if check.Wait == short {
		tries = 20
	}
	check.Wait = cmp.Or(check.Wait, time.Minute)
	want = strings.ReplaceAll(want, "ADDRESS", s.address)
	var got string
	for ; tries > 0 && got != want; tries-- {
		got = checktest.Outcome(t, check, 0)
	}
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if err := check.Close(); err != nil {
		t.Error(err)
	}
}

// agrees compares the check with "celery inspect ping".
func (s site) agrees(t *testing.T, want ...string) {
	t.Helper()
	var names []string
	var output string
	var code int
	for try := 1; try <= 5 && (try == 1 || !slices.Equal(names, want)); try++ { // a busy machine may take longer
		output, code, _ = s.app.Command("inspect", "ping", "--timeout", strconv.Itoa(2*try))
		names = nil
		for _, found := range regexp.MustCompile(`->\s+(\S+): OK`).FindAllStringSubmatch(output, -1) {
			names = append(names, found[1])
		}
		slices.Sort(names)
	}
	if !slices.Equal(names, want) || (code == 0) != (len(want) > 0) {
		t.Errorf("celery inspect ping finds %v with exit code %d, the check %v\n%s", names, code, want, output)
	}
}

func (s site) nothingLeft(t *testing.T) {
	t.Helper()
	checktest.Eventually(t, "nothing is left on the broker", func() bool { return len(s.left(t)) == 0 })
}

// testCost compares the processor time of a run with that of "celery inspect
// ping" for an application that imports nothing but Celery.
func (s site) testCost(t *testing.T) {
	_, _, theirs := s.app.Command("inspect", "ping", "--timeout", "1")
	check := &celery.Check{Broker: s.url(s.address), Workers: 2, Wait: time.Minute}
	defer check.Close()
	const runs = 100
	before := processorTime(t)
	for range runs {
		if _, err := check.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ours := (processorTime(t) - before) / runs
	t.Logf("celery inspect ping takes %v of processor time, the check %v: 1/%d", theirs, ours, theirs/max(ours, 1))
	if ours*20 > theirs {
		t.Errorf("the check takes %v of processor time, celery inspect ping %v", ours, theirs)
	}
}

func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// eventually runs a check until its outcome is as wanted.
func eventually(t *testing.T, check *celery.Check, want *regexp.Regexp) {
	t.Helper()
	var got string
	for start := time.Now(); time.Since(start) < 3*time.Minute; time.Sleep(50 * time.Millisecond) {
		if got = checktest.Outcome(t, check, 0); want.MatchString(got) {
			return
		}
	}
	t.Errorf("got  %s\nwant %s", got, want)
}

// The rights that docs/checks.md tells are enough.
func TestRedisRights(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	app := servers.NewCelery(t, redis.url(redis.address, 0), redis.url(redis.address, 0), extended)
	app.Worker("a@hale", "-P", "solo")
	app.Do("app.beat.delay(), app.beat.apply_async(queue='idle')")
	redis.ask(t, 0, append(strings.Fields("ACL SETUSER watcher on >s3cret resetkeys resetchannels -@all"), strings.Fields(
		"+multi +exec +del +rpush +pexpire +lrange +sadd +srem +sscan +watch +unwatch +exists +publish +llen +lpos +lindex "+
			"~_kombu.binding.reply.celery.pidbox ~hale-*.reply.celery.pidbox ~celery* ~idle* &/0.celery.pidbox "+
			"+scan +getrange +ping ~celery-task-meta-*")...)...)
	redis.ask(t, 0, "SADD", "_kombu.binding.reply.celery.pidbox", "hale-killed\x06\x16\x06\x16hale-killed.reply.celery.pidbox")
	watcher := "redis://watcher:s3cret@" + redis.address + "/0"
	check := &celery.Check{Broker: watcher, Queues: []string{"celery"}, MaxAge: time.Hour, Results: watcher, Task: "app.beat", Within: time.Hour}
	want := regexp.MustCompile(`^pass: 1 worker answered: a@hale; queue "celery" has 0 messages; task "app.beat" has succeeded \d+s ago: `)
	eventually(t, check, want)
	eventually(t, check, want) // nothing of the first run is in the way
	idle := &celery.Check{Broker: watcher, Queues: []string{"idle"}, WarnAge: time.Millisecond}
	eventually(t, idle, regexp.MustCompile("a message that waits"))
	if err := errors.Join(check.Close(), idle.Close()); err != nil {
		t.Error(err)
	}
	if left := redis.left(t, 0); len(left) > 0 {
		t.Errorf("left: %q", left)
	}

	redis.ask(t, 0, "ACL", "SETUSER", "watcher", "-publish")
	got := checktest.Outcome(t, &celery.Check{Broker: watcher}, 0)
	if want := `fail: user "watcher" may not do this: this user has no permissions to run the 'publish' command: ` + redis.address; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// A worker answers late, when its mailbox is gone: nothing stays of it. And what
// a process of ours has left that was killed goes with the next one.
func TestRedisLeftovers(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	app := servers.NewCelery(t, redis.url(redis.address, 0), "", "")
	a := app.Worker("a@hale", "-P", "solo")
	check := &celery.Check{Broker: redis.url(redis.address, 0), Wait: 200 * time.Millisecond}

	a.Pause()
	for range 3 {
		if got := checktest.Outcome(t, check, 0); !strings.Contains(got, "no worker answered within 200ms, though 1 listens") {
			t.Fatal(got)
		}
	}
	a.Resume()
	check.Wait = 20 * time.Second
	if got := checktest.Outcome(t, check, 0); !strings.HasPrefix(got, "pass: ") {
		t.Fatal(got)
	}
	checktest.Eventually(t, "late answers are gone", func() bool { return len(redis.left(t, 0)) == 0 })

	// Cut off while it waits for an answer, and never run again.
	a.Pause()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cut, ended := &celery.Check{Broker: redis.url(redis.address, 0), Wait: time.Minute}, make(chan error)
	go func() {
		_, err := cut.Run(ctx)
		ended <- err
	}()
	checktest.Eventually(t, "it waits for an answer", func() bool { return len(redis.left(t, 0)) == 2 })
	cancel()
	if err := <-ended; err == nil {
		t.Error("cut off, and passes")
	}
	left := redis.left(t, 0)
	if len(left) != 2 {
		t.Errorf("a run that was cut off has left %q, want a list and its binding", left)
	}
	for _, key := range left {
		if strings.HasPrefix(key, "hale-") {
			if life, _ := redis.ask(t, 0, "PTTL", key).(int64); life <= 0 {
				t.Errorf("%s lives on: %d", key, life)
			}
		}
	}
	if err := cut.Close(); err != nil {
		t.Error(err)
	}
	if left := redis.left(t, 0); len(left) > 0 {
		t.Errorf("%q are there after Close", left)
	}
	a.Resume()

	// Killed: its list has gone by itself, the binding has not.
	const bindings, tail = "_kombu.binding.reply.celery.pidbox", ".reply.celery.pidbox"
	binding := func(mailbox string) string { return mailbox + "\x06\x16\x06\x16" + mailbox + tail }
	redis.ask(t, 0, "SADD", bindings, binding("hale-killed"), binding("hale-running"), binding("5e4c1d7e-celery-own"))
	redis.ask(t, 0, "RPUSH", "hale-running"+tail, "")
	next := &celery.Check{Broker: redis.url(redis.address, 0), Wait: time.Minute}
	if got := checktest.Outcome(t, next, 0); !strings.HasPrefix(got, "pass: ") {
		t.Fatal(got)
	}
	want := []string{bindings + " " + binding("hale-running"), "hale-running" + tail}
	if left := redis.left(t, 0); !slices.Equal(left, want) {
		t.Errorf("left: %q\nwant  %q", left, want)
	}
}

// The settings of the application that change where its messages go.
func TestRedisSettings(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	for i, test := range []struct {
		name, settings string
		check          *celery.Check
		want           string
	}{
		{
			name: "prefix of all keys", settings: `{"broker_transport_options": {"global_keyprefix": "shop:"}}`,
			check: &celery.Check{GlobalKeyprefix: "shop:"},
		},
		{
			name: "no prefix of channels", settings: `{"broker_transport_options": {"fanout_prefix": False}}`,
			check: &celery.Check{FanoutPrefix: "off"},
		},
		{
			name: "another prefix of channels", settings: `{"broker_transport_options": {"fanout_prefix": "/shop{db}."}}`,
			check: &celery.Check{FanoutPrefix: "/shop{db}."},
		},
		{
			name: "another separator", settings: `{"broker_transport_options": {"sep": ":", "queue_order_strategy": "priority"}}`,
			check: &celery.Check{Sep: ":"},
		},
		{
			name: "another exchange", settings: `{"control_exchange": "shop"}`,
			check: &celery.Check{ControlExchange: "shop"},
		},
		{
			name: "no remote control", settings: `{"worker_enable_remote_control": False}`,
			check: new(celery.Check), want: "fail: no worker listens for remote control: none runs, or worker_enable_remote_control is off: ADDRESS",
		},
		{
			name: "pickle", settings: `{"task_serializer": "pickle", "accept_content": ["json", "pickle"]}`,
			check: new(celery.Check), want: "fail: the workers answer in application/x-python-serialize, which only Python reads: set task_serializer to json: ADDRESS",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			app := servers.NewCelery(t, redis.url(redis.address, i), "", test.settings)
			test.check.Broker, test.check.Queues, test.check.Wait = redis.url(redis.address, i), []string{"celery"}, time.Minute
			want := test.want
			if want == "" {
				app.Worker("a@hale", "-P", "solo")
				app.Do("[app.beat.apply_async(queue='celery', priority=p, countdown=0) for p in (0, 3, 5, 9)]")
				want = `pass: 1 worker answered: a@hale; queue "celery" has 0 messages: ADDRESS`
				eventually(t, test.check, regexp.MustCompile("^"+regexp.QuoteMeta(strings.ReplaceAll(want, "ADDRESS", redis.address))+"$"))
				if left := redis.left(t, i); len(left) > 0 {
					t.Errorf("left: %q", left)
				}
				return
			}
			app.Worker("a@hale", "-P", "solo")
			test.check.Queues = nil
			// A worker that says that it is ready begins to listen a moment later.
			checktest.Become(t, test.check, 0, strings.ReplaceAll(want, "ADDRESS", redis.address))
		})
	}
}

// Nobody consumes: what waits is counted in the lists of all priorities, and has
// the age since when it was first seen.
func TestRedisQueue(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	app := servers.NewCelery(t, redis.url(redis.address, 0), "", "")
	app.Worker("a@hale", "-P", "solo", "-Q", "celery")
	app.Do("[app.beat.apply_async(queue='idle', priority=p) for p in (0, 0, 3, 6, 9)]")
	check := &celery.Check{Broker: redis.url(redis.address, 0), Queues: []string{"idle"}, MaxLength: 4, WarnAge: 3 * time.Second, Wait: time.Minute}
	const unconsumed = `fail: queue "idle" is consumed by no worker that answered`
	if got := checktest.Outcome(t, check, 0); got != unconsumed+`; queue "idle" has 5 messages, more than 4: `+redis.address {
		t.Error(got)
	}
	check.MaxLength = 0
	eventually(t, check, regexp.MustCompile(`^`+unconsumed+`; queue "idle" has a message that waits for at least [\d.]+s, more than 3s: `))
	// Those are taken, and another comes.
	redis.ask(t, 0, "DEL", "idle", "idle\x06\x163", "idle\x06\x166", "idle\x06\x169")
	redis.ask(t, 0, "LPUSH", "idle", `{"n": 1}`)
	if got := checktest.Outcome(t, check, 0); got != unconsumed+": "+redis.address {
		t.Error(got)
	}
}
