package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestOutputIsBounded(t *testing.T) {
	t.Parallel()
	o, err := openOutput(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	file, err := o.create("i-1")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	write := func(text string) {
		t.Helper()
		if _, err := file.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	holds := func(path, want string) {
		t.Helper()
		if text, err := os.ReadFile(path); err != nil || string(text) != want {
			t.Errorf("%s holds %q, %v; want %q", filepath.Base(path), text, err, want)
		}
	}
	bound := func() {
		t.Helper()
		if err := o.bound(10, 2, func(id string) bool { return id == "i-1" }); err != nil {
			t.Fatal(err)
		}
	}
	write("12345")
	bound()
	holds(o.path("i-1"), "12345")
	write("6789abcdef")
	bound()
	holds(o.path("i-1"), "")
	holds(o.path("i-1")+".1", "6789abcdef")
	write("more") // by the same process, which knows of nothing
	holds(o.path("i-1"), "more")

	for n, id := range []string{"i-2", "i-3", "i-4", "i-5"} { // that are gone, the last one most recently
		at := time.Now().Add(time.Duration(n-10) * time.Minute)
		for _, path := range []string{o.path(id), o.path(id) + ".1"} {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(path, at, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	bound()
	names, err := filepath.Glob(filepath.Join(string(o), "*"))
	if err != nil {
		t.Fatal(err)
	}
	for n := range names {
		names[n] = filepath.Base(names[n])
	}
	if got, want := strings.Join(names, " "), "i-1.log i-1.log.1 i-4.log i-4.log.1 i-5.log i-5.log.1"; got != want {
		t.Errorf("left are %s, want %s", got, want)
	}
}
