package endtoend

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"hale/test/servers"
)

// The examples of docs/checks.md for Django's database and file caches find the
// caches of a real Django, and their absence.
func TestDjangoCachesByTheDocs(t *testing.T) {
	t.Parallel()
	python := servers.NeedDjango(t)
	dir := t.TempDir()
	files, database := filepath.Join(dir, "cache"), filepath.Join(dir, "db.sqlite3")
	django := func(code string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), python, "-c", `
import django
from django.conf import settings
settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "`+database+`"}},
    CACHES={
        "default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "app_cache"},
        "files": {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": "`+files+`"},
    },
)
django.setup()
from django.core.cache import caches
from django.core.management import call_command
`+code)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	config := filepath.Join(dir, "hale.yaml")
	var examples strings.Builder
	examples.WriteString("health:\n  checks:\n")
	for _, check := range []string{"cache table", "cache directory", "cache files"} {
		line := documented(t, check)
		line = strings.NewReplacer(", impact: degraded", "", "postgres://app:secret@db.internal/app", "sqlite:///"+database, "/var/tmp/django_cache", files).Replace(line)
		examples.WriteString("    " + line + "\n")
	}
	write(t, config, examples.String())
	checks := func(check, want string, code int) {
		t.Helper()
		stdout, stderr, got := run(t, dir, nil, "check", "-c", config, check)
		if got != code || !strings.Contains(stdout, want) {
			t.Errorf("%s: exit code %d, want %d, and %q in\n%s%s", check, got, code, want, stdout, stderr)
		}
	}

	// A database and no caches.
	django(`from django.db import connection; connection.cursor().execute("create table t (a int)")`)
	checks("cache table", "no such table: app_cache", 1)
	checks("cache directory", "no such directory: "+files, 1)
	checks("cache files", "no such file: "+files, 1)

	django(`
call_command("createcachetable")
for cache in caches["default"], caches["files"]:
    cache.set("a", "b")
    assert cache.get("a") == "b"
`)
	checks("cache table", `answers "0"`, 0)
	checks("cache directory", "wrote, read and deleted an object: "+files, 0)
	checks("cache files", files, 0)

	// The check has left the cache alone.
	django(`
for cache in caches["default"], caches["files"]:
    assert cache.get("a") == "b"
`)
	left, err := os.ReadDir(files)
	if err != nil || len(left) != 1 || filepath.Ext(left[0].Name()) != ".djcache" {
		t.Errorf("in the file cache: %v, %v", left, err)
	}
}

// documented returns the line of docs/checks.md that gives a check by its name.
func documented(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile("../../docs/checks.md")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^ +(- \{name: ` + regexp.QuoteMeta(name) + `,.*\})$`).FindSubmatch(content)
	if line == nil {
		t.Fatalf("docs/checks.md has no check %q on a line", name)
	}
	return string(line[1])
}
