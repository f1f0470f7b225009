package machine

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestUnitIn(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		"0::/system.slice/nginx.service\n":                                              "nginx.service",
		"0::/system.slice/system-uwsgi.slice/uwsgi@site.service\n":                      "uwsgi@site.service",
		"12:cpu:/\n1:name=systemd:/system.slice/apache2.service\n0::/\n":                "apache2.service",
		"0::/system.slice/docker.service/payload\n":                                     "docker.service",
		"0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.scope\n":          "",
		"0::/user.slice/user-1000.slice/user@1000.service/app.slice/dev-site.service\n": "dev-site.service",
		"0::/user.slice/user-1000.slice/session-3.scope\n":                              "",
		"0::/system.slice/-x.service\n":                                                 "",
		"0::/\n":                                                                        "",
		"":                                                                              "",
	} {
		if got := unitIn(content); got != want {
			t.Errorf("%q: %q, want %q", content, got, want)
		}
	}
}

// journalctl is replaced by a program that tells how it was called.
func TestJournal(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "journalctl")
	writeFile(t, script, "#!/bin/sh\necho \"-- Journal begins --\"\nfor a; do echo \"2024-01-01T00:00:00+0000 host app[7]: $a\"; done\n")
	if err := os.Chmod(script, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	const head = "2024-01-01T00:00:00+0000 host app[7]: "
	want := []string{head + "--unit=web.service", head + "--lines=1000", head + "--no-pager", head + "--quiet", head + "--output=short-iso"}
	if got, err := (Log{Unit: "web.service"}).Tail(t.Context(), 0); err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	if got, err := Journal(t.Context(), "web.service", len(head)+30); err != nil || !slices.Equal(got, want[4:]) {
		t.Errorf("the last bytes: %q, %v", got, err)
	}
	if _, err := Journal(t.Context(), "--rotate", 0); err == nil || err.Error() != `read the journal: "--rotate" is not the name of a unit` {
		t.Errorf("%v", err)
	}
	writeFile(t, script, "#!/bin/sh\necho 'No permission, \033[1mask root' >&2\nexit 1\n")
	if _, err := Journal(t.Context(), "web.service", 0); err == nil || err.Error() != "read the journal of web.service: journalctl: No permission, [1mask root" {
		t.Errorf("%v", err)
	}
	writeFile(t, script, "#!/bin/sh\nhead -c 5000000 /dev/zero\n")
	if _, err := Journal(t.Context(), "web.service", 0); err == nil || err.Error() != "read the journal of web.service: journalctl tells more than 4 MiB" {
		t.Errorf("%v", err)
	}
}

func TestUnitsIn(t *testing.T) {
	t.Parallel()
	got := unitsIn("gunicorn.service loaded activating auto-restart Gunicorn for \x1b[1mthe site\nnginx.service loaded failed failed A high performance web server\n\n--x loaded failed failed\nshort\n")
	want := []Unit{{"gunicorn.service", "activating", "auto-restart", "Gunicorn for the site"}, {"nginx.service", "failed", "failed", "A high performance web server"}}
	if !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
}

// systemctl is replaced by a program that knows one service.
func TestTroubled(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "systemctl")
	writeFile(t, script, "#!/bin/sh\ntest \"$1\" = list-units && echo web.service loaded failed failed The site\n")
	if err := os.Chmod(script, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	if got, err := troubled(t.Context()); err != nil || !slices.Equal(got, []Unit{{"web.service", "failed", "failed", "The site"}}) {
		t.Errorf("%+v, %v", got, err)
	}
	writeFile(t, script, "#!/bin/sh\necho 'Failed to connect to bus' >&2; exit 1\n")
	if _, err := troubled(t.Context()); err == nil || err.Error() != "ask for failed services: systemctl: Failed to connect to bus" {
		t.Errorf("%v", err)
	}
}

func TestSignalNamed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"15": "SIGTERM", "SIGQUIT": "SIGQUIT", "3": "SIGQUIT"} {
		if got, err := signalNamed(text); err != nil || got != want {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "77", "\x1b[2J"} {
		if got, err := signalNamed(text); err == nil {
			t.Errorf("%q: %q", text, got)
		}
	}
}
