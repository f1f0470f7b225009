package host_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"hale/internal/autoscaling"
	"hale/internal/autoscaling/host"
	"hale/internal/autoscaling/instancetest"
	"hale/internal/elb"
	"hale/internal/proc"
)

// balanceVariable makes this test's program one that hosts groups in the directory
// that is its value, so that it can be killed.
const balanceVariable = "HOST_TEST_BALANCE"

// ownerVariable is the test's own process, and ofVariable tells its instances.
const (
	ownerVariable = "HOST_TEST_OWNER"
	ofVariable    = "HOST_TEST_OF"
)

func TestMain(m *testing.M) {
	dir := os.Getenv(balanceVariable)
	if dir == "" {
		instancetest.Main(m)
	}
	if err := balance(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// balance hosts groups as a balancer does, and makes a group "web" of three if
// there is none. It says "up" when it works, and ends when it is told to by the end
// of its input: then without any instance.
func balance(dir string) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	owner, err := strconv.Atoi(os.Getenv(ownerVariable))
	if err != nil {
		return err
	}
	template := autoscaling.LaunchTemplate{Name: "web", Command: []string{program}, Environment: instancetest.Environment("web", owner)}
	template.Environment[balanceVariable] = ""
	template.Environment[ofVariable] = dir // tells whose they are
	h, err := host.Open(host.Options{StateDir: dir, Region: "eu-west-1", Account: "123456789012", Templates: []autoscaling.LaunchTemplate{template}})
	if err != nil {
		return err
	}
	h.Start(noBalancer{})
	err = h.Change(func(e *autoscaling.Edit) error {
		_, err := e.CreateGroup("web", autoscaling.Settings{Min: new(0), Max: new(9), Desired: new(3), Template: &autoscaling.TemplateRef{Name: "web"}})
		if refused, ok := errors.AsType[*elb.Error](err); ok && refused.Code == "AlreadyExists" {
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	fmt.Println("up")
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := h.Change(func(e *autoscaling.Edit) error { return e.DeleteGroup("web", true) }); err != nil {
		return err
	}
	for len(h.State().Groups) > 0 {
		time.Sleep(10 * time.Millisecond)
	}
	return h.Close(context.Background())
}

// noBalancer has no target groups.
type noBalancer struct{}

func (noBalancer) TargetGroup(string) error { return errors.New("no target groups") }
func (noBalancer) Targets(string) (map[autoscaling.Target]elb.State, bool) {
	return nil, false
}
func (noBalancer) Register(context.Context, string, autoscaling.Target) error   { return nil }
func (noBalancer) Deregister(context.Context, string, autoscaling.Target) error { return nil }
func (noBalancer) Recheck()                                                     {}

// await waits until ok, and fails the test after so long that only a fault can be
// the cause.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("gave up waiting: %s", what)
		}
	}
}

func open(t *testing.T, dir string, templates ...autoscaling.LaunchTemplate) *host.Host {
	t.Helper()
	h, err := host.Open(host.Options{
		StateDir: dir, Region: "eu-west-1", Account: "123456789012", Templates: templates,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	h.Start(noBalancer{})
	t.Cleanup(func() {
		if err := h.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return h
}

func change(t *testing.T, h *host.Host, f func(*autoscaling.Edit) error) {
	t.Helper()
	if err := h.Change(f); err != nil {
		t.Fatal(err)
	}
}

func create(t *testing.T, h *host.Host, template string, desired int) {
	t.Helper()
	change(t, h, func(e *autoscaling.Edit) error {
		_, err := e.CreateGroup("web", autoscaling.Settings{Min: new(0), Max: new(9), Desired: &desired, Template: &autoscaling.TemplateRef{Name: template}})
		return err
	})
}

// inService returns the instances of the group "web" that serve.
func inService(h *host.Host) []autoscaling.Instance {
	var list []autoscaling.Instance
	if g := h.State().Groups["web"]; g != nil {
		for _, i := range g.Instances {
			if i.State == autoscaling.InService {
				list = append(list, i)
			}
		}
	}
	return list
}

// ask returns what an instance answers, or why it does not.
func ask(ctx context.Context, i autoscaling.Instance) string {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+i.Address.String(), nil)
	if err != nil {
		return err.Error()
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	return string(text)
}

func ended(pid int) bool {
	p, err := proc.FS{}.Process(pid)
	return err != nil || p.Ended()
}

func TestInstancesAreProcesses(t *testing.T) {
	t.Parallel()
	h := open(t, "", instancetest.Template(t, "web", "hello from"))
	create(t, h, "web", 2)
	await(t, "two instances", func() bool { return len(inService(h)) == 2 })
	for _, i := range inService(h) {
		await(t, "an answer", func() bool { return ask(t.Context(), i) == "hello from "+i.ID })
		if at, ok := h.Address(i.ID); !ok || at != i.Address.Addr() {
			t.Errorf("address %v, %v", at, ok)
		}
	}
	killed := inService(h)[0]
	if err := syscall.Kill(killed.Process.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	await(t, "another in its place", func() bool {
		now := inService(h)
		return len(now) == 2 && now[0].ID != killed.ID && now[1].ID != killed.ID
	})
	change(t, h, func(e *autoscaling.Edit) error { return e.SetDesired("web", 0, false) })
	before := inService(h)
	await(t, "the end of all", func() bool { return len(h.State().Groups["web"].Instances) == 0 })
	for _, i := range before {
		if !ended(i.Process.PID) {
			t.Errorf("process %d runs on", i.Process.PID)
		}
	}
	if _, ok := h.Address(killed.ID); ok {
		t.Error("an instance that is gone has an address")
	}
}

// An instance that has ended has no address any more, also while its group may not
// replace it: for a balancer, its targets are terminated.
func TestAnInstanceThatHasEndedHasNoAddress(t *testing.T) {
	t.Parallel()
	h := open(t, "", instancetest.Template(t, "web", "x"))
	create(t, h, "web", 1)
	await(t, "an instance", func() bool { return len(inService(h)) == 1 })
	change(t, h, func(e *autoscaling.Edit) error { return e.Suspend("web", []string{"Terminate"}) })
	i := inService(h)[0]
	if err := syscall.Kill(i.Process.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	await(t, "no address", func() bool { _, ok := h.Address(i.ID); return !ok })
	if _, still := h.State().Instance(i.ID); still == nil {
		t.Error("the group has let it go")
	}
}

// What an instance has started ends with it, also what hears no SIGTERM.
func TestAllThatAnInstanceStartedEndsWithIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := open(t, dir, autoscaling.LaunchTemplate{
		Name: "web", StopTimeout: 100 * time.Millisecond,
		Command: []string{"sh", "-c", "trap '' TERM; (trap '' TERM; while :; do sleep 1000; done) & echo child $!; while :; do wait; done"},
	})
	create(t, h, "web", 1)
	await(t, "an instance", func() bool { return len(inService(h)) == 1 })
	i := inService(h)[0]
	t.Cleanup(func() {
		if t.Failed() {
			_ = syscall.Kill(-i.Process.PID, syscall.SIGKILL)
		}
	})
	var child int
	await(t, "its output", func() bool {
		text, _ := os.ReadFile(h.Output(i.ID))
		n, _ := fmt.Sscanf(string(text), "child %d", &child)
		return n == 1
	})
	change(t, h, func(e *autoscaling.Edit) error { return e.SetDesired("web", 0, false) })
	await(t, "the end", func() bool { return len(h.State().Groups["web"].Instances) == 0 })
	if !ended(i.Process.PID) || !ended(child) {
		t.Errorf("ended: itself %v, its child %v", ended(i.Process.PID), ended(child))
	}
}

func TestWithoutADirectoryInstancesEndWithTheHost(t *testing.T) {
	t.Parallel()
	h, err := host.Open(host.Options{Region: "eu-west-1", Account: "123456789012", Templates: []autoscaling.LaunchTemplate{instancetest.Template(t, "web", "x")}})
	if err != nil {
		t.Fatal(err)
	}
	h.Start(noBalancer{})
	create(t, h, "web", 2)
	await(t, "two instances", func() bool { return len(inService(h)) == 2 })
	before := inService(h)
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, i := range before {
		if !ended(i.Process.PID) {
			t.Errorf("process %d runs on", i.Process.PID)
		}
	}
	if err := h.Change(func(*autoscaling.Edit) error { return nil }); err == nil {
		t.Error("a closed host takes a change")
	}
}

func TestAProgramThatIsNotThereIsTold(t *testing.T) {
	t.Parallel()
	h := open(t, "", autoscaling.LaunchTemplate{Name: "web", Command: []string{"no-such-program"}})
	create(t, h, "web", 1)
	await(t, "an activity that failed", func() bool {
		for _, a := range h.State().Groups["web"].Activities {
			if a.Failed && strings.Contains(a.Message, "no-such-program") && strings.Contains(a.Message, "PATH") {
				return true
			}
		}
		return false
	})
}

// TestKilledAtAnyMoment kills the host over and over while it launches instances.
// Each time, the next one finds those that there are.
func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	t.Cleanup(func() { // whatever became of the test
		for _, pid := range instances(t, dir) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	for range 12 {
		b := start(t, dir)
		b.untilUp()
		// Instances come within milliseconds, or within seconds on a busy machine.
		time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
		b.kill()
		if pids := instances(t, dir); len(pids) > 0 {
			_ = syscall.Kill(pids[rand.IntN(len(pids))], syscall.SIGKILL) // so that there is something to do
		}
	}
	b := start(t, dir)
	b.untilUp()
	var list []autoscaling.Instance
	await(t, "three instances", func() bool {
		list = stored(t, dir)
		return len(list) == 3
	})
	for _, i := range list {
		await(t, "an answer", func() bool { return ask(t.Context(), i) == "web "+i.ID })
	}
	if pids := instances(t, dir); len(pids) != 3 {
		t.Errorf("%d processes for three instances: some were started twice, or forgotten", len(pids))
	}
	b.end()
	if pids := instances(t, dir); len(pids) != 0 {
		t.Errorf("%d processes are left", len(pids))
	}
}

// A host that was killed between the start of a process and the note of it leaves
// one that only its environment tells.
func TestAProcessThatWasNotNotedIsFound(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	template := instancetest.Template(t, "web", "web")
	h, err := host.Open(host.Options{StateDir: dir, Region: "eu-west-1", Account: "123456789012", Templates: []autoscaling.LaunchTemplate{template}})
	if err != nil {
		t.Fatal(err)
	}
	h.Start(noBalancer{})
	create(t, h, "web", 1)
	await(t, "an instance", func() bool { return len(inService(h)) == 1 })
	was := inService(h)[0]
	await(t, "an answer", func() bool { return ask(t.Context(), was) == "web "+was.ID })
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	forget(t, dir, was.ID)

	h = open(t, dir, template)
	await(t, "the instance", func() bool { return len(inService(h)) == 1 })
	if now := inService(h)[0]; now.ID != was.ID || now.Process != was.Process {
		t.Errorf("%s is process %+v; it was %s and %+v", now.ID, now.Process, was.ID, was.Process)
	}
	change(t, h, func(e *autoscaling.Edit) error { return e.DeleteGroup("web", true) })
	await(t, "the end", func() bool { return len(h.State().Groups) == 0 })
	if !ended(was.Process.PID) {
		t.Error("the process runs on")
	}
}

// A host hands its groups over, and takes them back if nobody wants them.
func TestAHostIsHandedOver(t *testing.T) {
	t.Parallel()
	dir, template := t.TempDir(), instancetest.Template(t, "web", "web")
	first := open(t, dir, template)
	create(t, first, "web", 1)
	await(t, "an instance", func() bool { return len(inService(first)) == 1 })
	was := inService(first)[0]
	if err := first.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := first.Change(func(*autoscaling.Edit) error { return nil }); err == nil {
		t.Error("a paused host takes a change")
	}
	second, err := host.Open(host.Options{StateDir: dir, Region: "eu-west-1", Account: "123456789012", Templates: []autoscaling.LaunchTemplate{template}})
	if err != nil {
		t.Fatal(err)
	}
	second.Start(noBalancer{})
	change(t, second, func(e *autoscaling.Edit) error { return e.SetDesired("web", 2, false) })
	await(t, "another instance", func() bool { return len(inService(second)) == 2 })
	if now := inService(second)[0]; now.Process != was.Process {
		t.Errorf("process %+v is now %+v", was.Process, now.Process)
	}
	if err := first.Resume(); err == nil {
		t.Error("a host takes back what another one has")
	}
	if err := second.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := first.Resume(); err != nil {
		t.Fatal(err)
	}
	if got := len(inService(first)); got != 2 {
		t.Errorf("%d instances after that", got)
	}
	change(t, first, func(e *autoscaling.Edit) error { return e.DeleteGroup("web", true) })
	await(t, "the end", func() bool { return len(first.State().Groups) == 0 })
	if !ended(was.Process.PID) {
		t.Error("the process runs on")
	}
}

// program is a host in a process of its own.
type program struct {
	t     *testing.T
	cmd   *exec.Cmd
	input io.Closer
	out   *bufio.Reader
}

func start(t *testing.T, dir string) *program {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &program{t: t, cmd: exec.CommandContext(t.Context(), self)}
	p.cmd.Env = append(os.Environ(), balanceVariable+"="+dir, ownerVariable+"="+strconv.Itoa(os.Getpid()))
	p.cmd.Stderr = t.Output()
	if p.input, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *program) untilUp() {
	p.t.Helper()
	if line, err := p.out.ReadString('\n'); line != "up\n" {
		p.t.Fatalf("the host says %q: %v", line, err)
	}
}

func (p *program) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

func (p *program) end() {
	p.t.Helper()
	_ = p.input.Close()
	if err := p.cmd.Wait(); err != nil {
		p.t.Error(err)
	}
}

// instances returns the processes that were started as instances of a directory.
func instances(t *testing.T, dir string) []int {
	t.Helper()
	all, err := proc.FS{}.Processes()
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, p := range all {
		for _, v := range (proc.FS{}).Environment(p.PID) {
			if v == ofVariable+"="+dir && !p.Ended() {
				pids = append(pids, p.PID)
			}
		}
	}
	return pids
}

// stored returns the instances that serve, from a copy of what a directory holds.
func stored(t *testing.T, dir string) []autoscaling.Instance {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "autoscaling.json"))
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, text)
}
