package celery_test

import (
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	_ "github.com/lib/pq"

	"hale/checks"
	"hale/checks/celery"
	"hale/test/checktest"
	"hale/test/servers"
)

const extended = `{"result_extended": True}`

// testResults runs tasks, and finds out about them.
func testResults(t *testing.T, app *servers.Celery, address, results string) {
	t.Helper()
	app.Worker("a@hale", "-P", "solo")
	about := func(task string, within time.Duration) *celery.Check {
		return &celery.Check{Results: results, Task: task, Within: within}
	}
	is := func(check *celery.Check, want string) {
		t.Helper()
		eventually(t, check, regexp.MustCompile("^"+strings.ReplaceAll(want, "ADDRESS", regexp.QuoteMeta(address))+"$"))
		if err := check.Close(); err != nil {
			t.Error(err)
		}
	}
	is(about("app.beat", time.Hour), `fail: no (result of task "app.beat"|table .* was ever stored here): ADDRESS`)
	app.Do("app.fails.delay(), app.sleep.delay(0), app.beat.delay()")
	is(about("app.beat", time.Hour), `pass: task "app.beat" has succeeded [\dm]+s ago: ADDRESS`)
	is(about("app.fails", time.Hour), `fail: task "app.fails" has not succeeded, and has failed [\dm]+s ago: ADDRESS`)
	is(about("app.other", time.Hour), `fail: no result of task "app.other": ADDRESS`)

	// The same check notices that the task does not run any more, and then does.
	beat := about("app.beat", 5*time.Second)
	is(about("app.beat", 5*time.Second), `fail: task "app.beat" has last succeeded [\dm]+s ago, more than 5s: ADDRESS`)
	eventually(t, beat, regexp.MustCompile(`^fail: task "app.beat" has last succeeded`))
	sent := make(chan struct{})
	go func() { defer close(sent); app.Do("app.beat.delay()") }() // which takes a busy machine longer than the success is new
	defer func() { <-sent }()
	is(beat, `pass: task "app.beat" has succeeded [\dm]+s ago: ADDRESS`)
}

func TestResultsInRedis(t *testing.T) {
	redis := startRedis(t)
	results := redis.url(redis.address, 1)
	app := servers.NewCelery(t, redis.url(redis.address, 0), results, extended)
	testResults(t, app, redis.address, results)

	t.Run("faults", func(t *testing.T) {
		before := redis.clients(t)
		checktest.Target{
			Address: redis.address,
			New: func(at string) checks.Check {
				return &celery.Check{Results: redis.url(at, 1), Task: "app.beat", Within: time.Millisecond + time.Hour}
			},
			Secrets:     []string{servers.Password, url.QueryEscape(servers.Password)},
			Connections: func() int { return redis.clients(t) - before },
		}.Faults(t)
	})

	t.Run("without names", func(t *testing.T) {
		app := servers.NewCelery(t, redis.url(redis.address, 0), redis.url(redis.address, 2), "")
		app.Do("app.beat.delay()")
		check := &celery.Check{Results: redis.url(redis.address, 2), Task: "app.beat", Within: time.Minute}
		app.Worker("b@hale", "-P", "solo")
		app.Do("[app.beat.delay() for i in range(10)]")
		eventually(t, check, regexp.MustCompile("^fail: no result says of which task it is: set result_extended of the app to True: "))
	})

	t.Run("a prefix", func(t *testing.T) {
		redis.ask(t, 4, "SET", "shop[1]*celery-task-meta-1", meta("app.beat", time.Now(), ""))
		redis.ask(t, 4, "SET", "shop1xcelery-task-meta-2", meta("app.theirs", time.Now(), ""))
		check := &celery.Check{Results: redis.url(redis.address, 4), Task: "app.beat", Within: time.Minute, ResultsPrefix: "shop[1]*"}
		if got := checktest.Outcome(t, check, 0); !strings.HasPrefix(got, "pass: ") {
			t.Error(got)
		}
		check = &celery.Check{Results: redis.url(redis.address, 4), Task: "app.theirs", Within: time.Minute, ResultsPrefix: "shop[1]*"}
		if got := checktest.Outcome(t, check, 0); !strings.HasPrefix(got, `fail: no result of task "app.theirs": `) {
			t.Error(got)
		}
	})

	// Among many keys a run looks at a part, and says so until all were seen.
	t.Run("many keys", func(t *testing.T) {
		fill := `for i = 1, 35000 do redis.call("SET", "other:" .. i, "x") end`
		redis.ask(t, 5, "EVAL", fill, "0")
		check := &celery.Check{Results: redis.url(redis.address, 5), Task: "app.beat", Within: time.Hour}
		const looking = `warn: no success of task "app.beat" within 1h0m0s among the `
		if got := checktest.Outcome(t, check, 0); !strings.HasPrefix(got, looking+"10000 keys looked at so far") {
			t.Error(got)
		}
		start := time.Now()
		if got := checktest.Outcome(t, check, 0); !strings.HasPrefix(got, looking+"20000 keys looked at so far") {
			t.Error(got)
		}
		t.Logf("10000 of 35000 keys in %v", time.Since(start))
		for range 2 {
			checktest.Outcome(t, check, 0)
		}
		if got := checktest.Outcome(t, check, 0); !strings.HasPrefix(got, `fail: no result of task "app.beat": `) {
			t.Error(got)
		}
		redis.ask(t, 5, "SET", "celery-task-meta-large", meta("app.beat", time.Now(), strings.Repeat("x", 3000)))
		redis.ask(t, 5, "SET", "celery-task-meta-1", meta("app.beat", time.Now().Add(-2*time.Hour), ""))
		eventually(t, check, regexp.MustCompile(`^fail: task "app.beat" has last succeeded 2h ago, more than 1h0m0s: `))
		redis.ask(t, 5, "SET", "celery-task-meta-2", meta("app.beat", time.Now(), ""))
		eventually(t, check, regexp.MustCompile(`^pass: task "app.beat" has succeeded \d+s ago: `))
		checktest.Soak(t, check, func() int { return redis.clients(t) })
	})
}

// meta is a result as Celery writes it.
func meta(task string, done time.Time, result string) string {
	return fmt.Sprintf(`{"status": "SUCCESS", "result": %q, "traceback": null, "children": [], "date_done": %q, "name": %q, "task_id": "x"}`,
		result, done.UTC().Format("2006-01-02T15:04:05.000000"), task)
}

func TestResultsInSQLite(t *testing.T) {
	t.Parallel()
	servers.NeedPython(t, "sqlalchemy", "python3-sqlalchemy")
	redis := startRedis(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "results.sqlite3")
	app := servers.NewCelery(t, redis.url(redis.address, 0), "db+sqlite:///"+file, extended)
	app.Do("app.app.backend.ResultSession().close()") // makes the file
	testResults(t, app, file, "db+sqlite:///"+file)
}

func TestResultsInPostgres(t *testing.T) {
	t.Parallel()
	servers.NeedPython(t, "sqlalchemy", "python3-sqlalchemy")
	servers.NeedPython(t, "psycopg2", "python3-psycopg2")
	redis, server := startRedis(t), servers.Postgres(t)
	u, err := url.Parse(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	u.Scheme = "db+postgresql"
	app := servers.NewCelery(t, redis.url(redis.address, 0), u.String(), extended)
	testResults(t, app, u.Host, u.String())

	t.Run("django-celery-results", func(t *testing.T) {
		db, err := sql.Open("postgres", server.URL())
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		for _, statement := range []string{
			"drop table celery_taskmeta cascade",
			// What django_celery_results' migrations make, as far as it matters here.
			"create table django_celery_results_taskresult (id serial primary key, task_id varchar(255) unique, task_name varchar(255), status varchar(50), date_done timestamptz not null)",
			"insert into django_celery_results_taskresult (task_id, task_name, status, date_done) values ('1', 'shop.tasks.beat', 'SUCCESS', now() - interval '3 minutes 1 second'), ('2', 'shop.tasks.beat', 'STARTED', now())",
		} {
			if _, err := db.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		for _, zone := range []string{"", "&timezone=Asia/Tokyo"} {
			check := &celery.Check{Results: u.String() + zone, Task: "shop.tasks.beat", Within: 5 * time.Minute}
			if got, want := checktest.Outcome(t, check, 0), `pass: task "shop.tasks.beat" has succeeded 3m ago: `+u.Host; got != want {
				t.Errorf("%s: got  %s\nwant %s", zone, got, want)
			}
			if err := check.Close(); err != nil {
				t.Error(err)
			}
		}
		if _, err := db.ExecContext(t.Context(), "alter table django_celery_results_taskresult rename to celery_taskmeta"); err != nil {
			t.Fatal(err)
		}
		check := &celery.Check{Results: u.String(), Task: "shop.tasks.beat", Within: 5 * time.Minute}
		defer check.Close()
		if got, want := checktest.Outcome(t, check, 0), "fail: the results have no task names: set result_extended of the app to True, and let it make the table anew: "+u.Host; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}

func TestFaultsOfResultsInPostgres(t *testing.T) {
	server := servers.Postgres(t)
	db, err := sql.Open("postgres", server.URL())
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		// What Celery's database backend makes with result_extended, as far as it matters here.
		"create table celery_taskmeta (id serial primary key, task_id varchar(155) unique, status varchar(50), date_done timestamp, name varchar(155))",
		"insert into celery_taskmeta (task_id, status, date_done, name) values ('1', 'SUCCESS', now() at time zone 'utc', 'app.beat')",
	} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	sessions := func() (n int) {
		if err := db.QueryRowContext(t.Context(), "select count(*) from pg_stat_activity where application_name = 'hale'").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	defer db.Close()
	sessions() // the pool's own goroutines are there before any are counted
	u, err := url.Parse(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	results := func(at string) checks.Check {
		there := *u
		there.Scheme, there.Host = "db+postgresql", at
		return &celery.Check{Results: there.String(), Task: "app.beat", Within: time.Hour}
	}
	target := checktest.Target{
		Address: u.Host, New: results, Connections: sessions,
		Secrets: []string{servers.Password, url.QueryEscape(servers.Password)},
	}
	target.Faults(t)
	checktest.Soak(t, results(u.Host), sessions)

	wrong := *u
	wrong.Scheme, wrong.User = "db+postgresql", url.UserPassword(servers.User, "wr0ng")
	check := &celery.Check{Results: wrong.String(), Task: "app.beat", Within: time.Hour}
	defer check.Close()
	if got, want := checktest.Outcome(t, check, 0), `fail: password authentication failed for user "hale": `+u.Host; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
