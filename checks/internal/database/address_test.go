package database

import (
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// The parser agrees with net/url about what that one writes.
func FuzzParseAddress(f *testing.F) {
	f.Add("app", "p@ss/w:o#r?d%", "db.internal", uint16(5432), "app")
	f.Add("", "", "::1", uint16(0), "")
	f.Add("ü", "%41", "127.0.0.1", uint16(1), "a b")
	f.Fuzz(func(t *testing.T, user, password, host string, port uint16, database string) {
		for _, s := range []string{user, password, host, database} {
			if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Skip()
			}
		}
		if !isHost(host) || strings.ContainsAny(host, "/%") || strings.Contains(host, ":") && strings.Contains(host, ".") {
			t.Skip()
		}
		u := url.URL{Scheme: "postgres", User: url.UserPassword(user, password), Host: host, Path: "/" + strings.ReplaceAll(database, "@", "-")}
		if strings.Contains(host, ":") {
			u.Host = "[" + host + "]"
		}
		if port != 0 {
			u.Host += ":" + strconv.Itoa(int(port))
		}
		a, err := parseAddress(u.String())
		if err != nil {
			t.Fatalf("%s: %v", u.String(), err)
		}
		if a.user != user || a.password != password || a.host != host || a.port != int(port) || a.path != strings.ReplaceAll(database, "@", "-") {
			t.Errorf("%s is read as %+v", u.String(), a)
		}
	})
}

// Whatever is made of a URL, no error repeats it.
func FuzzNoSecretInErrors(f *testing.F) {
	for _, s := range []string{
		"postgres://u:", "://", "mysql://u:12/", "sqlite://", "postgres://u:p@h:", "postgres://u:p@h/d?", "?", "#", "[", "postgres:", "=",
	} {
		f.Add(s, "@h/d")
		f.Add(s, "")
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		const secret = "hunter2!"
		if strings.Contains(before, secret) {
			t.Skip()
		}
		a, err := parseAddress(before + secret + after)
		if err == nil {
			_, err = a.open("")
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%q: %v", before+secret+after, err)
		}
	})
}
