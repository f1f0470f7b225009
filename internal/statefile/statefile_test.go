package statefile_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hale/internal/statefile"
)

type book struct{ Pages int }

func TestStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "here")
	s, state, err := statefile.Open[book](dir, "book.json")
	if err != nil || state.Pages != 0 {
		t.Fatalf("an empty directory: %+v, %v", state, err)
	}
	if err := s.Save(&book{7}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := statefile.Open[book](dir, "book.json"); err == nil || !strings.Contains(err.Error(), "is in use by another") {
		t.Errorf("opened twice: %v", err)
	}
	if other, _, err := statefile.Open[book](dir, "other.json"); err != nil {
		t.Errorf("another file of the directory: %v", err)
	} else {
		other.Release()
	}
	if state, err := statefile.Read[book](dir, "book.json"); err != nil || state.Pages != 7 {
		t.Errorf("read: %+v, %v", state, err)
	}
	s.Release()
	s.Release()
	if state, err := s.Take(); err != nil || state.Pages != 7 {
		t.Errorf("taken again: %+v, %v", state, err)
	}
	s.Release()
	(*statefile.Store[book])(nil).Release()
}

// What a process left that ended while it wrote is not taken for a state.
func TestHalfWritten(t *testing.T) {
	dir := t.TempDir()
	s, _, err := statefile.Open[book](dir, "book.json")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Release()
	if err := s.Save(&book{7}); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "book.json.new"), `{"Version":1,"Sta`)
	if state, err := statefile.Read[book](dir, "book.json"); err != nil || state.Pages != 7 {
		t.Errorf("read: %+v, %v", state, err)
	}
	if err := s.Save(&book{8}); err != nil {
		t.Fatal(err)
	}
	if state, err := statefile.Read[book](dir, "book.json"); err != nil || state.Pages != 8 {
		t.Errorf("read: %+v, %v", state, err)
	}
}

func TestADirectoryThatCannotBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err := statefile.Open[book](file, "book.json")
	if want := "make the state directory: mkdir " + file + ": not a directory; name another with --state"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestRefusals(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"no JSON", "pages: 7", "mend the file, or move it away to begin anew"},
		{"of another version", `{"Version":2}`, "is of version 2, and this program reads version 1: use the program that wrote it"},
		{"of another form", `{"Version":1,"State":{"Pages":"seven"}}`, "mend the file, or move it away to begin anew"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "book.json"), tt.text)
			for range 2 { // what is refused is not held
				_, _, err := statefile.Open[book](dir, "book.json")
				if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), filepath.Join(dir, "book.json")) {
					t.Errorf("got %v", err)
				}
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
