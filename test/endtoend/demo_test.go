package endtoend

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"hale/internal/autoscaling"
	"hale/internal/balancer"
	"hale/internal/balancer/admin"
	"hale/internal/elb"
	"hale/internal/proc"
	"hale/test/servers"
)

// demo is a running hale demo, as its terminal tells of it.
type demo struct {
	*servers.Process
	t                       *testing.T
	tmp                     string // where its temporary directory is
	site, panel, api, admin string // URLs
	dir                     string
}

func newDemo(t *testing.T) *demo {
	t.Helper()
	d := &demo{t: t, tmp: t.TempDir()}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	_, port, _ := net.SplitHostPort(taken.Addr().String()) // the demo goes on to the next
	d.Process = servers.Run(t, servers.Spec{
		Name: binary, Args: []string{"demo", "--port", port}, Env: []string{noMetadata, "TMPDIR=" + d.tmp}, StopSignal: syscall.SIGINT,
	})
	d.await("it says what is where", func() bool { return strings.Contains(d.Output(), "Ctrl-C ends it all") })
	for _, of := range []struct {
		to      *string
		pattern string
	}{
		{&d.panel, `\n    (http://127\.0\.0\.1:\d+)/\n`},
		{&d.site, `(http://\S+) +the site`},
		{&d.admin, `(http://\S+) +the load balancer's own page`},
		{&d.api, `(http://\S+) +its API`},
		{&d.dir, `Files and logs are in (\S+)\.\n`},
	} {
		found := regexp.MustCompile(of.pattern).FindStringSubmatch(d.Output())
		if found == nil {
			t.Fatalf("no %s in\n%s", of.pattern, d.Output())
		}
		*of.to = found[1]
	}
	t.Cleanup(func() {
		for _, pid := range d.processes() { // none, but for a test that has failed
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	return d
}

func (d *demo) await(what string, is func() bool) {
	d.t.Helper()
	for deadline := time.Now().Add(3 * patience); !is(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			d.t.Fatalf("gave up waiting: %s\n%+v", what, d.targets())
		}
	}
}

// processes are those of the demo's instances.
func (d *demo) processes() []int {
	d.t.Helper()
	all, err := proc.FS{}.Processes()
	if err != nil {
		d.t.Fatal(err)
	}
	var found []int
	for _, p := range all {
		if !p.Ended() && slices.Contains(proc.FS{}.Environment(p.PID), "HALE_DEMO_DIRECTORY="+d.dir) {
			found = append(found, p.PID)
		}
	}
	return found
}

func (d *demo) status() admin.Status {
	d.t.Helper()
	var s admin.Status
	got := d.get(d.admin + "/status.json")
	if err := json.Unmarshal([]byte(got.body), &s); err != nil {
		d.t.Fatalf("%v in %s", err, got.body)
	}
	return s
}

func (d *demo) get(address string) answer {
	d.t.Helper()
	r, err := http.NewRequestWithContext(d.t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		d.t.Fatal(err)
	}
	return d.send(r)
}

func (d *demo) send(r *http.Request) answer {
	d.t.Helper()
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		d.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return answer{status: response.StatusCode, header: response.Header, body: string(body)}
}

// visit asks for the home page as a user does.
func (d *demo) visit(address string) answer {
	d.t.Helper()
	r, err := http.NewRequestWithContext(d.t.Context(), http.MethodGet, address+"/", http.NoBody)
	if err != nil {
		d.t.Fatal(err)
	}
	r.Host = "mysite.com"
	return d.send(r)
}

// press presses a button of the page: "do", "kill", "instance", "i-0123".
func (d *demo) press(form ...string) {
	d.t.Helper()
	values := url.Values{}
	for i := 0; i < len(form); i += 2 {
		values.Set(form[i], form[i+1])
	}
	r, err := http.NewRequestWithContext(d.t.Context(), http.MethodPost, d.panel+"/do", strings.NewReader(values.Encode()))
	if err != nil {
		d.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", d.panel)
	if got := d.send(r); got.status != http.StatusSeeOther {
		_, problem, _ := strings.Cut(got.body, `role="alert">`)
		d.t.Fatalf("%v: %d %s", values, got.status, strings.SplitN(problem, "<", 2)[0])
	}
}

// targets are all of both groups, by the instance.
func (d *demo) targets() map[string]balancer.TargetStatus {
	all := make(map[string]balancer.TargetStatus)
	for _, g := range d.status().Groups {
		for _, t := range g.Targets {
			t.Probes = nil
			all[t.ID] = t
		}
	}
	return all
}

// instances are those of a group, by their ids.
func (d *demo) instances(group string) map[string]admin.ScalingInstance {
	all := make(map[string]admin.ScalingInstance)
	for _, g := range d.status().AutoScaling {
		for _, i := range g.Instances {
			if g.Name == group {
				all[i.ID] = i
			}
		}
	}
	return all
}

func (d *demo) wholeAgain() bool {
	healthy := 0
	targets := d.targets()
	for _, t := range targets {
		if t.State == elb.Healthy {
			healthy++
		}
	}
	return healthy == 8 && len(targets) == 8
}

// Each fault that the page makes in an instance takes that one out, and no other;
// each thing that is done to all does what it does at AWS; and what is started is
// gone in the end.
func TestDemo(t *testing.T) {
	t.Parallel()
	d := newDemo(t)
	d.await("eight targets are healthy", d.wholeAgain)
	blue, green := slices.Sorted(maps.Keys(d.instances("blue"))), slices.Sorted(maps.Keys(d.instances("green")))
	if len(blue) != 4 || len(green) != 4 {
		t.Fatalf("blue has %v, green %v", blue, green)
	}

	step := func(name string, run func(*testing.T)) {
		t.Helper()
		if !t.Run(name, func(t *testing.T) { d.t = t; run(t) }) {
			t.FailNow() // the next ones begin with eight that are healthy
		}
		d.t = t
	}
	step("faults", func(*testing.T) {
		addresses := d.instances("blue")
		maps.Copy(addresses, d.instances("green"))
		faults := []struct{ fault, instance, says string }{
			{"database", blue[0], "fail: database"},
			{"migrations", blue[1], "fail: migrations"},
			{"page", blue[2], "fail: home page"},
			{"slow", green[0], "fail: home page"},
			{"disk", green[1], "fail: home page, journal"},
			{"hang", green[2], "fail: home page"},
		}
		for _, f := range faults {
			d.press("do", "break", "fault", f.fault, "instance", f.instance)
		}
		d.press("do", "freeze", "instance", green[3])
		for _, f := range faults {
			d.await(f.fault+" makes its instance unhealthy, which says "+f.says, func() bool {
				at := d.targets()[f.instance]
				return at.State == elb.Unhealthy && at.Reason == elb.ResponseCodeMismatch &&
					strings.TrimSpace(d.get("http://"+addresses[f.instance].Address+"/health").body) == f.says
			})
		}
		d.await("an instance that stands still does not answer in time", func() bool {
			at := d.targets()[green[3]]
			return at.State == elb.Unhealthy && at.Reason == elb.Timeout
		})
		d.await("the page shows it, and that nothing is wrong with the eighth", func() bool {
			page := d.get(d.panel + "/").body
			return strings.Contains(page, "1 of 8 targets healthy") && d.targets()[blue[3]].State == elb.Healthy && strings.Contains(page, "<code>Target.Timeout</code>") &&
				strings.Contains(page, "fail: home page, journal") && strings.Contains(page, "fail-open")
		})
		for _, f := range faults {
			d.press("do", "mend", "fault", f.fault, "instance", f.instance)
		}
		d.press("do", "thaw", "instance", green[3])
		d.await("all are healthy again", d.wholeAgain)
	})

	step("kill -9 of an instance", func(t *testing.T) {
		pid := d.instances("blue")[blue[0]].PID
		d.press("do", "kill", "instance", blue[0])
		d.await("another one takes its place", func() bool {
			now := d.instances("blue")
			_, there := now[blue[0]]
			return !there && len(now) == 4 && d.wholeAgain()
		})
		if p, err := (proc.FS{}).Process(pid); err == nil && !p.Ended() {
			t.Errorf("process %d is still there", pid)
		}
	})

	step("kill -9 of an app", func(t *testing.T) {
		server := d.instances("green")[green[0]].PID
		app := func() (pid int) {
			all, err := proc.FS{}.Processes()
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range all {
				if p.Parent == server && !p.Ended() && slices.Contains(proc.FS{}.Command(p.PID), "app") {
					pid = p.PID
				}
			}
			return pid
		}
		was := app()
		d.press("do", "killapp", "instance", green[0])
		d.await("hale serve starts it again", func() bool { is := app(); return is != 0 && is != was })
		d.await("it answers users", func() bool {
			return d.visit("http://"+d.instances("green")[green[0]].Address).status == http.StatusOK
		})
		d.await("all are healthy", d.wholeAgain)
	})

	step("weights", func(*testing.T) {
		d.press("do", "weights", "blue", "0", "green", "100")
		d.await("all users are answered by green", func() bool {
			for range 20 {
				got := d.visit(d.site)
				if id := got.header.Get("X-Instance"); got.status != http.StatusOK || d.instances("green")[id].ID == "" {
					return false
				}
			}
			return true
		})
	})

	step("drain", func(*testing.T) {
		d.press("do", "drain", "instance", green[0])
		d.await("it is in standby, and no target any more", func() bool {
			_, there := d.targets()[green[0]]
			return d.instances("green")[green[0]].State == autoscaling.Standby && !there
		})
		d.press("do", "return", "instance", green[0])
		d.await("it is back", d.wholeAgain)
	})

	step("the database of all", func(*testing.T) {
		d.press("do", "break", "fault", "database", "instance", "shared")
		d.await("nobody is healthy, and all get requests", func() bool {
			return !slices.ContainsFunc(d.status().Groups, func(g balancer.GroupStatus) bool { return g.States[elb.Unhealthy] != 4 || !g.FailOpen })
		})
		d.press("do", "shared", "value", "warn")
		d.await("checks of what is shared only warn", d.wholeAgain)
		d.press("do", "shared", "value", "fail")
		d.await("they fail again", func() bool { return !d.wholeAgain() })
		d.press("do", "path", "path", "/health/live")
		d.await("a shallow check sees nothing", d.wholeAgain)
		d.press("do", "mend", "fault", "database", "instance", "shared")
		d.press("do", "path", "path", "/health")
		d.await("the deep check is passed again", d.wholeAgain)
	})

	d.await("hale balance status shows all of it", func() bool {
		out, err := exec.CommandContext(t.Context(), binary, "balance", "status", "--endpoint-url", d.api).CombinedOutput()
		return err == nil && strings.Count(string(out), "InService") == 8 && strings.Contains(string(out), "Terminating EC2 instance: "+blue[0])
	})
	d.await("each instance is a hale serve and an app", func() bool { return len(d.processes()) == 16 })
	d.Signal(syscall.SIGINT)
	if code := d.Wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	d.nothingIsLeft()
}

// Nothing stays of a demo that was killed, not even of an instance that stands
// still, or whose app does.
func TestDemoKilled(t *testing.T) {
	t.Parallel()
	d := newDemo(t)
	d.await("eight targets are healthy", d.wholeAgain)
	blue := slices.Sorted(maps.Keys(d.instances("blue")))
	d.press("do", "freeze", "instance", blue[0])
	d.press("do", "break", "fault", "hang", "instance", blue[1])
	if err := syscall.Kill(d.PID(), syscall.SIGKILL); err != nil { // it alone
		t.Fatal(err)
	}
	d.Wait()
	d.nothingIsLeft()
}

func (d *demo) nothingIsLeft() {
	d.t.Helper()
	var left string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		entries, err := os.ReadDir(d.tmp)
		if err != nil {
			d.t.Fatal(err)
		}
		if left = fmt.Sprint("processes ", d.processes(), ", files ", entries); len(d.processes())+len(entries) == 0 {
			return
		}
	}
	d.t.Errorf("what is left: %s", left)
}
