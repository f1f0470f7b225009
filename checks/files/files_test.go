package files

import (
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"hale/checks"
	"hale/health"
	"hale/internal/proc/proctest"
	"hale/test/checktest"
	"hale/test/servers"
)

const (
	limits = "Limit                     Soft Limit           Hard Limit           Units     \n" +
		"Max cpu time              unlimited            unlimited            seconds   \n" +
		"Max open files            SOFT                 1048576              files     \n" +
		"Max locked memory         8388608              8388608              bytes     \n"
	stat = "PID (NAME) STATE 1 1 1 0 -1 4194560 1000 0 0 0 10 5 0 0 20 0 3 0 250000 100000000 2000\n"
)

// machine is a /proc of some processes: those of gunicorn have 10, 90, 99 and
// no files of 100 open, and the last of them has ended.
func machine(self string) map[string]string {
	files := map[string]string{
		"proc/sys/fs/file-nr": "500\t0\t1000\n",
		"proc/uptime":         "3600.00 7200.00\n",
	}
	process := func(pid, name, state, soft string, open int) {
		dir := "proc/" + pid + "/"
		files[dir+"stat"] = strings.NewReplacer("PID", pid, "NAME", name, "STATE", state).Replace(stat)
		files[dir+"cmdline"] = name + "\x00"
		files[dir+"limits"] = strings.Replace(limits, "SOFT", soft, 1)
		for i := range open {
			files[dir+"fd/"+strconv.Itoa(i)] = ""
		}
	}
	process(self, "hale", "S", "100", 10)
	process("1001", "gunicorn", "S", "100", 10)
	process("1002", "gunicorn", "S", "100", 90)
	process("1003", "uwsgi", "S", "100", 99)
	process("1004", "nginx", "S", "unlimited", 7)
	process("1005", "gunicorn", "Z", "100", 0)
	return files
}

func TestRun(t *testing.T) {
	t.Parallel()
	self := strconv.Itoa(os.Getpid())
	for _, test := range []struct {
		name   string
		check  Check
		files  map[string]string
		status health.Status
		want   string
	}{
		{"this process", Check{}, nil, health.Pass, "this process has 10 files open of 100 (10.0%); the machine has 500 files open of 1000 (50.0%)"},
		{"the fullest of several", Check{Program: "gunicorn"}, nil, health.Warn, "gunicorn (process 1002) has 90 files open of 100 (90.0%), more than 80%"},
		{"own warning", Check{Program: "gunicorn", WarnUsed: 90}, nil, health.Pass, "gunicorn (process 1002) has 90 files open of 100 (90.0%); the machine has 500 files open of 1000 (50.0%)"},
		{"own limit", Check{Program: "gunicorn", MaxUsed: 50}, nil, health.Fail, "gunicorn (process 1002) has 90 files open of 100 (90.0%), more than 50%"},
		{"at its limit", Check{Program: "uwsgi"}, nil, health.Fail, "uwsgi (process 1003) has 99 files open of 100 (99.0%), more than 95%"},
		{"without a limit", Check{Program: "nginx"}, nil, health.Pass, "nginx (process 1004) has 7 files open; the machine has 500 files open of 1000 (50.0%)"},
		{"the machine at its limit", Check{}, map[string]string{"proc/sys/fs/file-nr": "999\t0\t1000\n"}, health.Fail, "the machine has 999 files open of 1000 (99.9%), more than 95%"},
		{"the machine without a limit", Check{}, map[string]string{"proc/sys/fs/file-nr": "999\t0\t9223372036854775807\n"}, health.Pass, "this process has 10 files open of 100 (10.0%); the machine has 999 files open"},
		{"both", Check{Program: "uwsgi"}, map[string]string{"proc/sys/fs/file-nr": "999\t0\t1000\n"}, health.Fail, "uwsgi (process 1003) has 99 files open of 100 (99.0%), more than 95%; the machine has 999 files open of 1000 (99.9%), more than 95%"},
		{"does not run", Check{Program: "celery"}, nil, health.Fail, "celery does not run"},
		{"an unknown form", Check{}, map[string]string{"proc/sys/fs/file-nr": "many\n"}, health.Fail, "not in the form that is known: /proc/sys/fs/file-nr"},
		{"limits of an unknown form", Check{Program: "uwsgi"}, map[string]string{"proc/1003/limits": "Max open files\n"}, health.Fail, "not in the form that is known: /proc/1003/limits"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			files := machine(self)
			maps.Copy(files, test.files)
			test.check.fs = proctest.FS(t, files)
			if err := test.check.Validate(); err != nil {
				t.Fatal(err)
			}
			result := run(t, &test.check)
			if result.Status != test.status || result.Output != test.want {
				t.Errorf("%v %q\nwant %v %q", result.Status, result.Output, test.status, test.want)
			}
		})
	}
}

func run(t *testing.T, check *Check) health.Result {
	t.Helper()
	return health.RunOnce(t.Context(), nil, health.Check{Name: "files", Run: check.Run})[0]
}

// This machine: a real program with a limit of 64, of which it opens 60.
func TestThisMachine(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	server := servers.Program(t, "bash", "-c", `ulimit -n 64; for i in $(seq 10 66); do eval "exec $i</dev/null"; [ $i = 63 ] && break; done; echo $$ > `+pidFile+`; sleep 3600 & wait`)
	checktest.Eventually(t, "it has opened them", func() bool { _, err := os.Stat(pidFile); return err == nil })
	checktest.Eventually(t, "its number is written", func() bool { content, _ := os.ReadFile(pidFile); return len(content) > 0 })

	check := &Check{PIDFile: pidFile}
	result := run(t, check)
	// bash keeps three of its own, and one besides.
	want := regexp.MustCompile(`^bash \(process ` + strconv.Itoa(server.PID()) + `\) has (5[6-9]|6[0-4]) files open of 64 \(\d+\.\d%\), more than (80|95)%`)
	if !want.MatchString(result.Output) {
		t.Errorf("%v %q", result.Status, result.Output)
	}
	out, err := exec.CommandContext(t.Context(), "ls", "/proc/"+strconv.Itoa(server.PID())+"/fd").Output()
	if n := len(strings.Fields(string(out))); err != nil || !strings.Contains(result.Output, "has "+strconv.Itoa(n)+" files") {
		t.Errorf("%q, ls counts %d, %v", result.Output, n, err)
	}

	if result := run(t, &Check{}); result.Status != health.Pass || !strings.HasPrefix(result.Output, "this process has ") {
		t.Errorf("%v %q", result.Status, result.Output)
	}
	checktest.Soak(t, &Check{}, nil)
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		check Check
		want  string
	}{
		{Check{Program: "/usr/sbin/nginx"}, `program: "/usr/sbin/nginx" has a directory: write "nginx"`},
		{Check{WarnUsed: 96}, "warn_used: 96% is more than max_used (95%): the check would fail before it warns"},
	} {
		err := test.check.Validate()
		if err == nil || err.Error() != test.want {
			t.Errorf("error = %v, want %s", err, test.want)
		}
		if _, ok := errors.AsType[*checks.OptionError](err); !ok {
			t.Errorf("not an OptionError: %#v", err)
		}
	}
}

func FuzzOpenFilesLimit(f *testing.F) {
	f.Add(strings.Replace(limits, "SOFT", "1024", 1))
	f.Add("Max open files unlimited unlimited files")
	f.Fuzz(func(t *testing.T, content string) {
		if limit, ok := openFilesLimit(content); ok && limit <= 0 {
			t.Errorf("limit %d", limit)
		}
	})
}
