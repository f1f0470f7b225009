package serve

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestJSONLine(t *testing.T) {
	var l jsonLine
	l.begin(time.Date(2026, 11, 20, 12, 0, 0, 1500, time.UTC))
	l.str("path", "/a\"b\\c\n\x7f\xff€")
	l.str("absent", "")
	l.int("status", 200)
	l.ms("took_ms", 1234*time.Microsecond)
	got := string(l.end())
	want := `{"time":"2026-11-20T12:00:00.000001Z","path":"/a\"b\\c\u000a` + "\x7f" + `\ufffd€","status":200,"took_ms":1.234}` + "\n"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func FuzzJSONString(f *testing.F) {
	for _, s := range []string{"", "plain", "\x00\x1f\"\\", "\xff\xfe", "€", "\u2028"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var got string
		if err := json.Unmarshal(appendJSONString(nil, s), &got); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		if want := strings.ToValidUTF8(s, ""); utf8.ValidString(s) && got != want {
			t.Fatalf("%q came back as %q", s, got)
		}
	})
}
