package config_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hale/internal/config"
)

var update = flag.Bool("update", false, "write what is found into testdata, to be read before it is committed")

const wantPrefix = "# want: "

// variables are the environment of all tests. No fault may show a value that
// has "secret" in it.
var variables = map[string]string{
	"APP_URL":   "http://127.0.0.1:8000",
	"DATABASE":  "postgres://app:secret-of-mine@db.internal/app",
	"DOLLAR":    "$secret",
	"EMPTY":     "",
	"LINK":      "https://secret.internal/x",
	"LONG_PORT": "98765",
	"MYSQL":     "mysql://app:secret%40of-mine@db.internal/app#1",
	"MYSQL_CA":  "mysql://app:x@db.internal/app?ssl-ca=/secretfile",
	"MYSQL_KEY": "mysql://app:x@db.internal/app?ssl-cert=secretfile&ssl-key=secretfile",
	"MYSQL_TLS": "mysql://app:x@db.internal/app?ssl-mode=secret-1",
	"PG_TLS":    "postgres://app:x@db.internal/app?sslmode=secret-1-require",
	"PORT":      "8080",
	"SCHEME":    "mysql",
	"SECRET":    "my-secret/value:1",
	"SHORT":     "secret",
}

func lookup(name string) (string, bool) {
	value, ok := variables[name]
	return value, ok && name != "APP_URL"
}

// TestBrokenFiles reads each file of testdata/broken, whose last lines say what
// must be said of it: "# want: hale.yaml:3:5: key: text". Where such lines would
// change what the file is, they are in a file beside it, NAME.want.
func TestBrokenFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/broken/*.yaml")
	if err != nil || len(files) < 100 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			data, want := brokenFile(t, file)
			got := faultsOf(t, data)
			for _, line := range got {
				for _, secret := range []string{"secret", "hunter2", "98765", "db.internal"} {
					if strings.Contains(line, secret) {
						t.Errorf("tells a secret: %s", line)
					}
				}
			}
			if *update {
				writeWant(t, file, data, got)
				return
			}
			if d := diff(want, got); d != "" {
				t.Errorf("%s:\n%s", file, d)
			}
		})
	}
}

// brokenFile returns what a file holds and the lines that are wanted of it.
func brokenFile(t *testing.T, file string) (data []byte, want []string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	expected := data
	if beside, err := os.ReadFile(wantFile(file)); err == nil {
		expected = beside
	}
	for line := range strings.Lines(string(expected)) {
		if w, ok := strings.CutPrefix(line, wantPrefix); ok {
			want = append(want, strings.TrimSuffix(w, "\n"))
		}
	}
	if bytes.HasPrefix(data, []byte(wantPrefix)) {
		return nil, want
	}
	if text, _, ok := bytes.Cut(data, []byte("\n"+wantPrefix)); ok {
		data = append(text, '\n')
	}
	return data, want
}

func wantFile(file string) string { return strings.TrimSuffix(file, ".yaml") + ".want" }

func faultsOf(t *testing.T, data []byte) []string {
	t.Helper()
	c, err := config.Parse("hale.yaml", data, config.Options{Env: lookup})
	if err == nil {
		t.Fatalf("accepted: %+v", c)
	}
	wrong, ok := errors.AsType[*config.Error](err)
	if !ok {
		t.Fatalf("%T: %v", err, err)
	}
	if c != nil {
		t.Error("a configuration came with the error")
	}
	return strings.Split(wrong.Error(), "\n")
}

func writeWant(t *testing.T, file string, data []byte, lines []string) {
	t.Helper()
	var want strings.Builder
	for _, line := range lines {
		want.WriteString(wantPrefix + line + "\n")
	}
	out := append(bytes.Clone(data), want.String()...)
	if _, err := os.Stat(wantFile(file)); err == nil {
		file, out = wantFile(file), []byte(want.String())
	}
	if err := os.WriteFile(file, out, 0o600); err != nil {
		t.Fatal(err)
	}
}

// diff lists the lines that differ.
func diff(want, got []string) string {
	var b strings.Builder
	for i := range max(len(want), len(got)) {
		w, g := at(want, i), at(got, i)
		if w != g {
			fmt.Fprintf(&b, "  - %s\n  + %s\n", w, g)
		}
	}
	return b.String()
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(nothing)"
}
