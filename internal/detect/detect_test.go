package detect

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"

	"hale/internal/checktype"
	"hale/internal/config"
)

var update = flag.Bool("update", false, "write the results into testdata as the wanted ones")

// Each file of testdata is a tree of files with what is wanted of it: the
// findings, and hale.yaml.
func TestLook(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no testdata: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			fsys := make(fstest.MapFS)
			var findings, yaml string
			archive.Files = slices.DeleteFunc(archive.Files, func(f txtar.File) bool {
				switch f.Name {
				case "want.findings":
					findings = string(f.Data)
				case "want.yaml":
					yaml = string(f.Data)
				default:
					fsys[f.Name] = &fstest.MapFile{Data: f.Data}
					return false
				}
				return true
			})
			report := look(&tree{fsys, "/srv/app"})
			var b strings.Builder
			for _, f := range report.Findings {
				b.WriteString(f.String() + "\n")
			}
			if *update {
				archive.Files = append(archive.Files,
					txtar.File{Name: "want.findings", Data: []byte(b.String())},
					txtar.File{Name: "want.yaml", Data: report.YAML})
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if b.String() != findings {
				t.Errorf("findings:\n%s\nwant:\n%s", b.String(), findings)
			}
			if string(report.YAML) != yaml {
				t.Errorf("hale.yaml:\n%s\nwant:\n%s", report.YAML, yaml)
			}
			findingsAreTrue(t, report, fsys)
			noSecret(t, report)
			loads(t, report.YAML)
		})
	}
}

// findingsAreTrue holds that each place that is named exists.
func findingsAreTrue(t *testing.T, report *Report, fsys fs.FS) {
	t.Helper()
	for _, f := range report.Findings {
		if f.File == "" {
			continue
		}
		text, err := fs.ReadFile(fsys, f.File)
		if err != nil && !f.Assumed {
			if _, err = fs.Stat(fsys, f.File); err != nil {
				t.Errorf("%v: %v", f, err)
			}
		}
		if n := strings.Count(string(text), "\n") + 1; f.Line > n {
			t.Errorf("%v: the file has %d lines", f, n)
		}
	}
}

// secrets are all the passwords and keys in testdata.
var secrets = regexp.MustCompile(`hunter2|topsecret|devpassword|l3tme1n|not-a-secret|n0t-a-s3cret|c2VjcmV0|5ecret|ChangeMe|keep me`)

func noSecret(t *testing.T, report *Report) {
	t.Helper()
	for _, f := range report.Findings {
		if secrets.MatchString(f.String()) {
			t.Errorf("a finding shows a secret: %v", f)
		}
	}
	if secrets.Match(report.YAML) {
		t.Errorf("hale.yaml holds a secret:\n%s", report.YAML)
	}
}

// loads holds that Hale takes what was written, given the variables that it
// names.
func loads(t *testing.T, yaml []byte) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "hale.yaml")
	if err := os.WriteFile(file, yaml, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := config.Load(file, config.Options{
		Types: checktype.Types(),
		Env: func(name string) (string, bool) {
			switch {
			case strings.HasSuffix(name, "_URL"):
				return "postgres://u:p@127.0.0.1:5432/d", true
			case strings.HasSuffix(name, "_SOCKET"):
				return "/run/app.sock", true
			case strings.HasSuffix(name, "PORT"):
				return "5432", true
			}
			return "value", true
		},
	})
	if err != nil {
		t.Errorf("hale.yaml is not taken: %v\n%s", err, yaml)
	}
}

func TestDirLooksAtTheExample(t *testing.T) {
	report, err := Dir("../../examples/django")
	if err != nil {
		t.Fatal(err)
	}
	if report.Framework != "Django" {
		t.Errorf("framework %q", report.Framework)
	}
	for _, want := range []string{
		`url: "uwsgi+unix://${UWSGI_SOCKET}"`,
		"command: [uwsgi, --ini, uwsgi.ini]",
		"require_env: [DATABASE_URL, SECRET_KEY, UWSGI_SOCKET]",
		"allow: [mysite.com, .mysite.com]",
		"redirect: 301",
		"hsts: 60s",
		`{name: database, type: sql, url: "${DATABASE_URL}", interval: 5s, timeout: 2s, scope: shared}`,
	} {
		if !strings.Contains(string(report.YAML), want) {
			t.Errorf("hale.yaml lacks %s:\n%s", want, report.YAML)
		}
	}
}

func TestDirStaysInside(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(dir, "outside")
	inside := filepath.Join(dir, "app")
	for _, d := range []string{outside, inside} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(outside, "Procfile"), []byte("web: ./stranger --port 1234\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../outside/Procfile", filepath.Join(inside, "Procfile")); err != nil {
		t.Fatal(err)
	}
	report, err := Dir(inside)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(report.YAML), "stranger") {
		t.Errorf("a link led out of the directory:\n%s", report.YAML)
	}
	if _, err := Dir(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing directory gives %v", err)
	}
}

func TestWriteNeverOverwrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hale.yaml")
	if err := Write(path, []byte("one\n")); err != nil {
		t.Fatal(err)
	}
	err := Write(path, []byte("two\n"))
	if !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), path+": file already exists and is left as it is: move it away first") {
		t.Errorf("a second time: %v", err)
	}
	if text, _ := os.ReadFile(path); string(text) != "one\n" {
		t.Errorf("the file holds %q", text)
	}
	if err := Write(filepath.Join(path, "x"), nil); err == nil {
		t.Error("a path below a file is written")
	}
}
