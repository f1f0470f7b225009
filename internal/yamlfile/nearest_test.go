package yamlfile

import "testing"

func TestNearest(t *testing.T) {
	words := []string{"fail_status", "path", "log", "details", "shared_failure", "checks", "url", "user"}
	for _, test := range []struct{ typed, want string }{
		{"fail_status", "fail_status"},
		{"fail-status", "fail_status"},
		{"failStatus", "fail_status"},
		{"failstatus", "fail_status"},
		{"pth", "path"},
		{"paht", "path"},
		{"detail", "details"},
		{"check", "checks"},
		{"Checks", "checks"},
		{"uri", "url"},
		{"usr", "user"},
		{"shared_fialure", "shared_failure"},
		{"completely", ""},
		{"", ""},
		{"x", ""},
		{"détails", "details"},
	} {
		if got := Nearest(test.typed, words); got != test.want {
			t.Errorf("%q: got %q, want %q", test.typed, got, test.want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"a", "", 1},
		{"", "abc", 3},
		{"abc", "abc", 0},
		{"abc", "abd", 1},
		{"abc", "acb", 1},
		{"ca", "abc", 3},
		{"kitten", "sitting", 3},
	} {
		if got := distance(test.a, test.b); got != test.want {
			t.Errorf("%q to %q: got %d, want %d", test.a, test.b, got, test.want)
		}
	}
}
