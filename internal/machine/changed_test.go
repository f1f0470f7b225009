package machine

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"hale/test/servers"
)

// An app's files that are newer than the process, and those that are not.
func TestConfigChangedAfterStart(t *testing.T) {
	t.Parallel()
	dir := realDir(t)
	future := time.Now().Add(time.Hour)
	touch := func(name string, at time.Time) {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		writeFile(t, name, "")
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
	}
	touch("site/settings.py", future)
	touch(".env", future.Add(time.Minute))
	touch("gunicorn.conf.py", time.Now().Add(-time.Hour))
	touch("named.ini", future.Add(-time.Minute))
	touch("templates/index.html", future)
	touch("config/puma.rb", time.Now()) // within the slack, or before
	// sh is the program that keeps its arguments.
	cmd := exec.Command("sh", "-c", "sleep 600 & wait", "sh", "--ini", "named.ini")
	cmd.Dir = dir
	pid := start(t, cmd)
	t.Cleanup(func() {
		for _, child := range Family(pid) {
			_ = syscall.Kill(child, syscall.SIGKILL)
		}
	})
	await(t, func() string {
		changed, err := ConfigChangedAfterStart(pid)
		var got []string
		for _, c := range changed {
			got = append(got, strings.TrimPrefix(c.Path, dir+"/"))
			if !c.At.After(c.Loaded) || c.Loaded.After(time.Now().Add(time.Minute)) {
				t.Errorf("%+v", c)
			}
		}
		if want := []string{".env", "site/settings.py", "named.ini"}; err != nil || !slices.Equal(got, want) {
			return fmt.Sprintf("%q, %v; want %q", got, err, want)
		}
		return ""
	})
}

// nginx reads its files again when it is told to, and its workers are new then.
func TestConfigChangedAfterReload(t *testing.T) {
	t.Parallel()
	included := filepath.Join(realDir(t), "site.conf")
	address := servers.FreeAddress(t)
	writeFile(t, included, "server { listen "+address+"; }\n")
	nginx := servers.Nginx(t, "", "include "+included+";", address)
	var pid int
	var before Process
	await(t, func() string {
		pid = ownerOf(t, address)
		var err error
		if before, err = Inspect(pid); err != nil || len(before.Children) != 1 {
			return fmt.Sprintf("%+v, %v", before, err)
		}
		return ""
	})
	if changed, err := ConfigChangedAfterStart(before.Children[0]); err != nil || len(changed) > 0 {
		t.Errorf("before it was changed: %+v, %v", changed, err)
	}
	future := time.Now().Add(time.Hour)
	if err := os.Chtimes(included, future, future); err != nil {
		t.Fatal(err)
	}
	changed, err := ConfigChangedAfterStart(before.Children[0])
	if err != nil || len(changed) != 1 || changed[0].Path != included || !changed[0].At.Equal(future.Truncate(time.Nanosecond)) && changed[0].At.Sub(future).Abs() > time.Second {
		t.Errorf("after it was changed: %+v, %v", changed, err)
	}
	nginx.Signal(syscall.SIGHUP)
	await(t, func() string {
		after, err := Inspect(pid)
		if err != nil || slices.Contains(after.Children, before.Children[0]) || len(after.Children) != 1 || !after.loaded().After(before.Start) {
			return fmt.Sprintf("loaded at %v, and at %v after a reload: %v", before.loaded(), after.loaded(), err)
		}
		return ""
	})
}

func TestNamedFiles(t *testing.T) {
	t.Parallel()
	for command, want := range map[string][]string{
		"python3 /usr/bin/gunicorn -c file:conf.py app.wsgi": {"conf.py"},
		"gunicorn --config=python:site.conf app.wsgi":        {"site.conf"},
		"uwsgi --ini /etc/uwsgi/site.ini --master":           {"/etc/uwsgi/site.ini"},
		"uwsgi site.ini": {"site.ini"},
		"node --max-old-space-size=512 server.js":          {"server.js"},
		"java -jar app.jar --spring.config.location=a.yml": {"app.jar", "a.yml"},
		"uvicorn main:app --env-file .env --port 8000":     {".env"},
		"gunicorn -c": nil,
	} {
		if got := namedFiles(strings.Fields(command)); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", command, got, want)
		}
	}
}

func TestUnitFiles(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for name, content := range map[string]string{
		"etc/systemd/system/web@.service":             "[Service]\nEnvironmentFile=-/etc/web/env\nEnvironmentFile=\"/etc/web/more env\"\nEnvironmentFile=/etc/%i\nEnvironmentFile=relative\n",
		"etc/systemd/system/web@a.service.d/own.conf": "[Service]\nEnvironment=A=1\n",
		"lib/systemd/system/other.service":            "[Service]\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(root, name), content)
	}
	want := []string{
		"/etc/systemd/system/web@a.service.d/own.conf",
		"/etc/systemd/system/web@.service", "/etc/web/env", "/etc/web/more env",
	}
	if got := unitFiles(root, "web@a.service"); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
