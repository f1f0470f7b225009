package detect

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"

	"hale/internal/config"
)

// separator parts the names and the texts of a fuzzed tree.
const separator = "\x00"

// FuzzLook holds that any files whatever give a hale.yaml that Hale takes, and
// findings of one line each.
func FuzzLook(f *testing.F) {
	for _, name := range []string{"django-behind-elb", "django-env-parts", "rails", "express", "next", "spring-maven", "spring-gradle", "laravel", "docker", "compose", "fastapi", "go"} {
		archive, err := txtar.ParseFile("testdata/" + name + ".txtar")
		if err != nil {
			f.Fatal(err)
		}
		var b strings.Builder
		for _, file := range archive.Files {
			if !strings.HasPrefix(file.Name, "want.") {
				b.WriteString(file.Name + separator + string(file.Data) + separator)
			}
		}
		f.Add(b.String())
	}
	f.Fuzz(func(t *testing.T, text string) {
		fsys := make(fstest.MapFS)
		parts := strings.Split(text, separator)
		for i := 0; i+1 < len(parts); i += 2 {
			if fs.ValidPath(parts[i]) {
				fsys[parts[i]] = &fstest.MapFile{Data: []byte(parts[i+1])}
			}
		}
		report := look(&tree{fsys, "/srv/app"})
		for _, finding := range report.Findings {
			if strings.Contains(finding.String(), "\n") {
				t.Errorf("a finding of several lines: %q", finding)
			}
		}
		_, err := config.Parse("hale.yaml", report.YAML, config.Options{Env: func(name string) (string, bool) {
			switch {
			case strings.HasSuffix(name, "URL"):
				return "postgres://u:p@127.0.0.1:5432/d", true
			case strings.HasSuffix(name, "PORT"):
				return "5432", true
			}
			return "value", true
		}})
		// What a variable holds is not known here: a port's or a path's may be
		// called anything.
		if variable := regexp.MustCompile(`[:/]\$\{\w+\}`); err != nil && !variable.Match(report.YAML) {
			t.Errorf("hale.yaml is not taken: %v\n%s", err, report.YAML)
		}
	})
}
