package rule

import (
	"strings"
	"testing"
)

func TestWildcard(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		pattern, subject string
		fold, escapes    bool
		want             bool
	}{
		{pattern: "", subject: "", want: true},
		{pattern: "", subject: "a"},
		{pattern: "/img", subject: "/img", want: true},
		{pattern: "/img", subject: "/img/"},
		{pattern: "/img", subject: "/IMG"},
		{pattern: "/img", subject: "/IMG", fold: true, want: true},
		{pattern: "/img/*", subject: "/img/", want: true},
		{pattern: "/img/*", subject: "/img/a/b", want: true},
		{pattern: "/img/*", subject: "/img"},
		{pattern: "/api/v?/x", subject: "/api/v1/x", want: true},
		{pattern: "/api/v?/x", subject: "/api/v12/x"},
		{pattern: "/api/v?/x", subject: "/api/v/x"},
		{pattern: "*.example.com", subject: "a.example.com", want: true},
		{pattern: "*.example.com", subject: "a.b.example.com", want: true},
		{pattern: "*.example.com", subject: "example.com"},
		{pattern: "*.example.com", subject: ".example.com", want: true},
		{pattern: "*", subject: "", want: true},
		{pattern: "**", subject: "a", want: true},
		{pattern: "?*", subject: ""},
		{pattern: "*?", subject: "a", want: true},
		{pattern: "a*a", subject: "a"},
		{pattern: "a*a", subject: "aa", want: true},
		{pattern: "a*b*c", subject: "abbc", want: true},
		{pattern: "a*b*c", subject: "acb"},
		{pattern: "*ab*ab*", subject: "abab", want: true},
		{pattern: "*ab*ab*", subject: "aba"},
		{pattern: "*?b*", subject: "bb", want: true},
		{pattern: "*?b*", subject: "b"},
		{pattern: "*a?c*", subject: "xaacy", want: true},
		{pattern: "*Chrome*", subject: "Mozilla/5.0 chrome/1", fold: true, want: true},
		{pattern: `a\*`, subject: "a*", escapes: true, want: true},
		{pattern: `a\*`, subject: "ab", escapes: true},
		{pattern: `a\?`, subject: "a?", escapes: true, want: true},
		{pattern: `a\\*`, subject: `a\b`, escapes: true, want: true},
		{pattern: `a\b`, subject: `a\b`, escapes: true, want: true},
		{pattern: `a\`, subject: `a\`, escapes: true, want: true},
		{pattern: `a\*`, subject: `a\b`, want: true},
	} {
		w := newWildcard(test.pattern, test.fold, test.escapes)
		if got := w.matches(test.subject); got != test.want {
			t.Errorf("pattern %q, fold %v, escapes %v: %q matches %v, want %v", test.pattern, test.fold, test.escapes, test.subject, got, test.want)
		}
	}
}

// A pattern that makes others try every split is done at once: 16 KB of a header
// against five stars.
func TestWildcardIsQuick(t *testing.T) {
	t.Parallel()
	w := newWildcard("*a*a*a*a*b", true, false)
	if w.matches(strings.Repeat("a", 16<<10)) {
		t.Error("it matches")
	}
	w = newWildcard("*"+strings.Repeat("a", 120)+"b*", true, false)
	if w.matches(strings.Repeat("a", 16<<10)) {
		t.Error("it matches")
	}
}

// naive is what a pattern means, without a thought for time.
func naive(pattern, subject string, escapes bool) bool {
	if pattern == "" {
		return subject == ""
	}
	switch c := pattern[0]; {
	case c == '*':
		return naive(pattern[1:], subject, escapes) || subject != "" && naive(pattern, subject[1:], escapes)
	case c == '?':
		return subject != "" && naive(pattern[1:], subject[1:], escapes)
	case c == '\\' && escapes && len(pattern) > 1 && strings.IndexByte(`*?\`, pattern[1]) >= 0:
		return subject != "" && subject[0] == pattern[1] && naive(pattern[2:], subject[1:], escapes)
	default:
		return subject != "" && subject[0] == c && naive(pattern[1:], subject[1:], escapes)
	}
}

func FuzzWildcard(f *testing.F) {
	for _, seed := range [][2]string{
		{"*ab*ab*", "abab"}, {"*?b*", "bb"}, {"a*b*c", "abbc"}, {`\*?\\*`, `*x\`}, {"**?", "a"}, {"/Img/*", "/iMG/a"}, {"", ""},
	} {
		f.Add(seed[0], seed[1], true, true)
		f.Add(seed[0], seed[1], false, false)
	}
	f.Fuzz(func(t *testing.T, pattern, subject string, fold, escapes bool) {
		if len(pattern) > 24 || len(subject) > 48 || strings.Count(pattern, "*") > MaxWildcards || strings.ContainsRune(pattern, anyChar) {
			return // the naive way takes too long, and values have no controls
		}
		w := newWildcard(pattern, fold, escapes)
		want := naive(pattern, subject, escapes)
		if fold {
			want = naive(lower(pattern), lower(subject), escapes)
		}
		if got := w.matches(subject); got != want {
			t.Errorf("pattern %q, fold %v, escapes %v: %q matches %v, want %v", pattern, fold, escapes, subject, got, want)
		}
	})
}

func TestWildcardsAreCounted(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string][2]int{ // without and with escapes
		"":          {0, 0},
		"a*b?":      {2, 2},
		"***":       {3, 3},
		`\*\?`:      {2, 0},
		`\\*`:       {1, 1},
		`a\b*`:      {1, 1},
		`ends in \`: {0, 0},
	} {
		if got := wildcards(pattern, false); got != want[0] {
			t.Errorf("%q has %d, want %d", pattern, got, want[0])
		}
		if got := wildcards(pattern, true); got != want[1] {
			t.Errorf("%q with escapes has %d, want %d", pattern, got, want[1])
		}
	}
}

// Only ASCII is folded: U+212A, the Kelvin sign, is no k.
func TestLower(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{"": "", "abc": "abc", "aBC.Ä": "abc.Ä", "\u212a": "\u212a", "Z": "z", "[@": "[@"} {
		if got := lower(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}
