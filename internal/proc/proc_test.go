package proc

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hale/checks"
)

// A line as Linux 6 writes it, but for the name.
const statLine = "4321 (NAME) S 1 4321 4321 0 -1 4194560 1000 0 0 0 10 5 0 0 20 0 3 0 250000 100000000 2000 18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n"

func TestParseStat(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"nginx", "", "a b", ") S 1 (", "(sd-pam)", "\n"} {
		p, ok := parseStat(strings.Replace(statLine, "NAME", name, 1))
		want := Process{PID: 4321, Parent: 1, Name: name, State: 'S', CPU: 150 * time.Millisecond, Session: 4321, Started: 250000}
		if !ok || p != want {
			t.Errorf("%q: got %+v, %v", name, p, ok)
		}
	}
	for _, line := range []string{"", "1 (x) S", "x (x) " + strings.Repeat("1 ", 30), ")(", "1 (x) SS " + strings.Repeat("1 ", 30)} {
		if p, ok := parseStat(line); ok {
			t.Errorf("%q is read as %+v", line, p)
		}
	}
	if age := (Process{Started: 250000}).Age(time.Hour); age != time.Hour-2500*time.Second {
		t.Errorf("age = %v", age)
	}
}

func TestParseMount(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]Mount{
		`36 35 98:0 /mnt1 /mnt\0402 rw,noatime master:1 - ext3 /dev/root rw,errors=continue` + "\n": {"98:0", "/mnt 2", "rw,noatime", "rw,errors=continue", "ext3", "/dev/root"},
		"22 27 0:21 / /proc rw,relatime - proc proc rw\n":                                           {"0:21", "/proc", "rw,relatime", "rw", "proc", "proc"},
		`1 2 0:3 / /a\134b ro shared:1 master:2 - tmpfs none ro`:                                    {"0:3", `/a\b`, "ro", "ro", "tmpfs", "none"},
	} {
		if got, ok := parseMount(line); !ok || got != want {
			t.Errorf("%q: got %+v, %v", line, got, ok)
		}
	}
	if _, ok := parseMount("36 35 98:0 / /mnt rw ext3 /dev/root rw"); ok {
		t.Error("a line without a dash is read")
	}
}

func TestParsePressure(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]Pressure{
		"some avg10=0.31 avg60=0.79 avg300=7.48 total=32\nfull avg10=0.00 avg60=0.25 avg300=0.00 total=0\n": {0.79, 0.25},
		"some avg10=0.31 avg60=100.00 avg300=7.48 total=32\n":                                               {100, 0},
	} {
		if got, ok := parsePressure(content); !ok || got != want {
			t.Errorf("%q: got %+v, %v", content, got, ok)
		}
	}
	for _, content := range []string{"", "some\n", "some avg10=1 avg60=NaN avg300=1\n", "some avg10=1 avg60=101 avg300=1\n", "full avg10=1 avg60=1 avg300=1\n"} {
		if got, ok := parsePressure(content); ok {
			t.Errorf("%q is read as %+v", content, got)
		}
	}
}

func TestIsProgram(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		command []string
		program string
		want    bool
	}{
		{"nginx", []string{"nginx: master process /usr/sbin/nginx"}, "nginx", true},
		{"bash", []string{"-bash"}, "bash", true},
		{"python3", []string{"/usr/bin/gunicorn", "mysite.wsgi"}, "gunicorn", true},
		{"celery", []string{"/usr/bin/python3", "/usr/bin/celery"}, "celery", true},
		{"systemd-journal", []string{"/lib/systemd/systemd-journald"}, "systemd-journald", true},
		{"kworker/0:1", nil, "kworker/0:1", true},
		{"python3", []string{"python3", "gunicorn"}, "gunicorn", false},
		{"nginx-exporter", []string{"nginx-exporter"}, "nginx", false},
		{"systemd-journal", []string{"x"}, "systemd-journald", false},
		{"", nil, "nginx", false},
	} {
		if got := isProgram(Process{Name: test.name}, test.command, test.program); got != test.want {
			t.Errorf("%s %q is %s: %v", test.name, test.command, test.program, got)
		}
	}
}

// This machine, seen through a child of the test.
func TestThisMachine(t *testing.T) {
	t.Parallel()
	child := exec.CommandContext(t.Context(), "sleep", "600.25")
	if err := child.Start(); err != nil {
		t.Skip(err)
	}
	defer func() {
		_ = child.Process.Kill()
		_ = child.Wait()
	}()
	var machine FS
	pid := child.Process.Pid
	found, err := machine.Find(Query{Command: checks.MustPattern(`^sleep 600\.25$`)})
	for start := time.Now(); len(found) == 0 && time.Since(start) < 5*time.Second; { // between fork and exec
		found, err = machine.Find(Query{Command: checks.MustPattern(`^sleep 600\.25$`)})
	}
	if err != nil || len(found) != 1 || found[0].PID != pid || found[0].Parent != os.Getpid() || found[0].Name != "sleep" || found[0].Ended() {
		t.Fatalf("found %+v, %v; want process %d", found, err, pid)
	}
	uptime, err := machine.Uptime()
	if age := found[0].Age(uptime); err != nil || age > 10*time.Second {
		t.Errorf("it is %v old, %v", age, err)
	}
	if uid, ok := machine.User(pid); !ok || uid != os.Geteuid() {
		t.Errorf("its user is %d, %v", uid, ok)
	}
	mine, err := machine.Find(Query{Program: "sleep", User: strconv.Itoa(os.Geteuid())})
	if err != nil || !slices.ContainsFunc(mine, func(p Process) bool { return p.PID == pid }) {
		t.Errorf("not among the user's: %+v, %v", mine, err)
	}
	if others, err := machine.Find(Query{Program: "sleep", User: "4294967294"}); err != nil || len(others) > 0 {
		t.Errorf("another user's: %+v, %v", others, err)
	}
	if _, err := machine.Find(Query{Program: "sleep", User: "nobody-by-this-name"}); err == nil || err.Error() != "no such user: nobody-by-this-name" {
		t.Errorf("error = %v", err)
	}
	// It has the three of standard input and output.
	if n, err := machine.OpenFiles(pid); err != nil || n < 3 || n > 10 {
		t.Errorf("it has %d files open, %v", n, err)
	}
	if self, err := machine.Find(Query{Command: checks.MustPattern(`test`)}); err != nil || slices.ContainsFunc(self, func(p Process) bool { return p.PID == os.Getpid() }) {
		t.Errorf("this process found itself: %v", err)
	}
	if _, err := machine.Process(1 << 30); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no such process: %v", err)
	}
	if mounts, err := machine.Mounts(); err != nil || !slices.ContainsFunc(mounts, func(m Mount) bool { return m.Point == "/" }) {
		t.Errorf("no root among the mounts %+v, %v", mounts, err)
	}
}

// A process that is not found may just be hidden.
func TestHidden(t *testing.T) {
	t.Parallel()
	for options, want := range map[string]bool{"rw": false, "rw,hidepid=0": false, "rw,hidepid=off": false, "rw,gid=4,hidepid=2": true, "rw,hidepid=invisible": true} {
		machine := FS{Root: t.TempDir()}
		if err := os.MkdirAll(machine.Root+"/proc/self", 0o700); err != nil {
			t.Fatal(err)
		}
		line := "27 1 254:0 / / rw - ext4 /dev/vda rw\n22 27 0:21 / /proc rw,relatime - proc proc " + options + "\n"
		if err := os.WriteFile(machine.Root+"/proc/self/mountinfo", []byte(line), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := machine.Hidden(); got != want {
			t.Errorf("%s: hidden = %v", options, got)
		}
	}
}

func FuzzParsers(f *testing.F) {
	f.Add(statLine)
	f.Add(`36 35 98:0 /mnt1 /mnt\0402 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`)
	f.Add("some avg10=0.31 avg60=0.79 avg300=7.48 total=32\n")
	f.Add("123\n/var/lib/postgresql\n")
	f.Fuzz(func(t *testing.T, content string) {
		if p, ok := parseStat(content); ok && (!strings.Contains(content, p.Name) || p.Age(time.Hour) < 0) {
			t.Errorf("%+v", p)
		}
		if m, ok := parseMount(content); ok && len(m.Point) > len(content) {
			t.Errorf("%+v", m)
		}
		if p, ok := parsePressure(content); ok && !(p.Some >= 0 && p.Some <= 100 && p.Full >= 0 && p.Full <= 100) {
			t.Errorf("%+v", p)
		}
		if pid, ok := parsePID(content); ok && pid <= 0 {
			t.Errorf("process %d", pid)
		}
		Field(content, "nr_periods")
	})
}

// A thread that spins is running, and uses the CPU.
func TestThreads(t *testing.T) {
	t.Parallel()
	var spins atomic.Int64
	defer spins.Store(-1 << 62)
	go func() {
		for spins.Add(1) > 0 {
			continue
		}
	}()
	for start := time.Now(); time.Since(start) < 20*time.Second; time.Sleep(time.Millisecond) {
		threads, err := FS{}.Threads(os.Getpid())
		if err != nil || len(threads) < 2 {
			t.Fatalf("%+v, %v", threads, err)
		}
		if slices.ContainsFunc(threads, func(p Process) bool { return p.State == 'R' && p.CPU > 0 }) {
			return
		}
	}
	t.Error("no thread is seen to run")
}

// What is told of this process tells it from all others.
func TestThisProcess(t *testing.T) {
	t.Parallel()
	p, err := FS{}.Process(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	session, err := unix.Getsid(0)
	if err != nil || p.Session != session || p.Started == 0 {
		t.Errorf("session %d, started %d; want session %d, %v", p.Session, p.Started, session, err)
	}
	if env := (FS{}).Environment(os.Getpid()); !slices.Contains(env, "PATH="+os.Getenv("PATH")) {
		t.Errorf("environment %q", env)
	}
	boot, err := FS{}.Boot()
	if again, _ := (FS{}).Boot(); err != nil || len(boot) != 36 || again != boot {
		t.Errorf("boot %q, then %q, %v", boot, again, err)
	}
}
