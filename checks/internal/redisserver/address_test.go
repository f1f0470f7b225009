package redisserver

import (
	"testing"

	"hale/checks/internal/resp"
)

func TestParseAddress(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		url  string
		want Address
	}{
		{"redis://h", Address{Where: "h:6379", host: "h"}},
		{"redis://", Address{Where: "localhost:6379", host: "localhost"}},
		{"redis://:p@h:1/2", Address{Where: "h:1", host: "h", password: "p", Database: 2}},
		{"redis://u:p%40%2F%23@[::1]:1/", Address{Where: "[::1]:1", host: "::1", user: "u", password: "p@/#"}},
		{"rediss://h?ssl_cert_reqs=required&db=3", Address{Where: "h:6379", host: "h", TLS: true, Database: 3}},
		{"rediss://h/0?ssl_cert_reqs=none", Address{Where: "h:6379", host: "h", TLS: true, insecure: true}},
		{"valkeys://h", Address{Where: "h:6379", host: "h", TLS: true}},
		{"unix:///run/r.sock", Address{Where: "/run/r.sock"}},
		{"unix://u:p@/run/r.sock?db=1", Address{Where: "/run/r.sock", user: "u", password: "p", Database: 1}},
		{"unix:///run/r.sock?username=u&password=p", Address{Where: "/run/r.sock", user: "u", password: "p"}},
		{"redis+socket:///run/r.sock?virtual_host=/4", Address{Where: "/run/r.sock", Database: 4}},
		{"redis://h?max_connections=5&health_check_interval=30", Address{Where: "h:6379", host: "h"}},
	} {
		got, err := ParseAddress(test.url)
		if err != nil || *got != test.want {
			t.Errorf("%s: got %+v, %v\nwant %+v", test.url, got, err, test.want)
		}
	}
}

// What the tests with a real server do not bring about.
func TestComplaint(t *testing.T) {
	t.Parallel()
	for refusal, want := range map[resp.Error]string{
		"ASK 3999 127.0.0.1:6381": "a node of a cluster, which takes only the keys of its own slots: write mode: ping and cluster: true",
		"DENIED Redis is running in protected mode because protected mode is enabled": "the server is in protected mode: it has no password, and so talks to its own machine alone",
		"ERR invalid password":                             "wrong password",                               // before Redis 6
		"ERR Client sent AUTH, but no password is set":     "the server has no password, but the URL does", // before Redis 6
		"ERR wrong number of arguments for 'auth' command": "wrong number of arguments for 'auth' command",
		"NEWCODE something\x1b[31m happened":               "NEWCODE something[31m happened",
	} {
		if got := complaint(refusal, new(Address)); got != want {
			t.Errorf("%s: got %q, want %q", refusal, got, want)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, seed := range []string{"redis://u:p@h:1/2?db=3", "unix:///s?password=p", "rediss://[::1]", "redis://:a/b#c?d@h", "redis+socket:///s?virtual_host=/1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, url string) {
		a, err := ParseAddress(url)
		if err != nil {
			if a != nil {
				t.Error("an address and an error")
			}
			return
		}
		if a.Where == "" || a.Database < 0 {
			t.Errorf("%q: %+v", url, a)
		}
	})
}
