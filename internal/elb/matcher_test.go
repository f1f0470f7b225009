package elb_test

import (
	"strings"
	"testing"

	"hale/internal/elb"
)

func TestMatcher(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text      string
		want      string // String; "": as text
		passes    []int
		passesNot []int
	}{
		{text: "200", passes: []int{200}, passesNot: []int{0, -1, 199, 201, 301}},
		{text: "200,202", passes: []int{200, 202}, passesNot: []int{201}},
		{text: "200-299", passes: []int{200, 250, 299}, passesNot: []int{199, 300}},
		{text: "200-299,404", passes: []int{204, 404}, passesNot: []int{403, 405}},
		{text: " 200 - 299 , 404", want: "200-299,404", passes: []int{404}},
		{text: "12", passes: []int{12}, passesNot: []int{0, 1, 200}},
		{text: "0-99", passes: []int{0, 99}, passesNot: []int{100}},
		{text: "7-7", want: "7", passes: []int{7}, passesNot: []int{6, 8}},
	} {
		m, err := elb.ParseMatcher(test.text)
		if err != nil {
			t.Errorf("%q: %v", test.text, err)
			continue
		}
		want := test.want
		if want == "" {
			want = test.text
		}
		if m.String() != want {
			t.Errorf("%q is written as %q, want %q", test.text, m, want)
		}
		for _, code := range test.passes {
			if !m.Matches(code) {
				t.Errorf("%q does not match %d", test.text, code)
			}
		}
		for _, code := range test.passesNot {
			if m.Matches(code) {
				t.Errorf("%q matches %d", test.text, code)
			}
		}
	}
	if (elb.Matcher{}).Matches(0) {
		t.Error("the zero matcher matches")
	}
}

func TestMatcherRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":          "no codes",
		" ":         "no codes",
		"ok":        `"ok" is no code`,
		"200,":      `"" is no code`,
		"200-":      `"200-" is no code`,
		"-200":      `"-200" is no code`,
		"+200":      `"+200" is no code`,
		"2xx":       `"2xx" is no code`,
		"1000":      `"1000" is no code`,
		"200-1-300": `"200-1-300" is no code`,
		"299-200":   "the range 299-200 runs backwards; write 200-299",
	} {
		if _, err := elb.ParseMatcher(text); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestMatcherBounds(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]int{
		"200": {200, 200}, "200-299,404": {200, 404}, "404,200-299": {200, 404}, "0-99": {0, 99}, "12,7": {7, 12},
	} {
		m, err := elb.ParseMatcher(text)
		if err != nil {
			t.Fatal(err)
		}
		if m.Lowest() != want[0] || m.Highest() != want[1] {
			t.Errorf("%s: %d to %d, want %v", text, m.Lowest(), m.Highest(), want)
		}
	}
	if m := (elb.Matcher{}); m.Lowest() != 0 || m.Highest() != 0 {
		t.Error("the zero matcher has codes")
	}
}

// What a matcher reads, it writes in a form that means the same.
func FuzzParseMatcher(f *testing.F) {
	for _, seed := range []string{"200", "200-299,404", "0-99", " 1 - 2 ,3", "9-1", ",", "--", "200-"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := elb.ParseMatcher(text)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\x00\x1b\n") {
				t.Errorf("the error of %q is not fit for a terminal: %q", text, err)
			}
			return
		}
		again, err := elb.ParseMatcher(m.String())
		if err != nil || again.String() != m.String() {
			t.Fatalf("%q was written as %q, and read as %q, %v", text, m, again, err)
		}
		for _, code := range []int{0, 12, 99, 200, 301, 404, 999} {
			if m.Matches(code) != again.Matches(code) {
				t.Errorf("%q and %q differ on %d", text, m, code)
			}
		}
	})
}
