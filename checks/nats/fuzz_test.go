package nats

import (
	"bufio"
	"strings"
	"testing"
)

// What a server sends can be anything.
func FuzzNext(f *testing.F) {
	for _, seed := range []string{
		"INFO {}\r\nMSG a 1 5\r\nhello\r\n", "MSG a 1 reply 2\r\nhi\r\n", "HMSG a 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n",
		"HMSG a 1 99 12\r\n", "MSG a 1 99999999999\r\n", "MSG\r\n", "-ERR 'x'\r\n", "+OK\r\npong\r\n", "MSG a 1 1\r\nxyz",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := &session{reader: bufio.NewReader(strings.NewReader(strings.ReplaceAll(text, "PING", "PONG")))}
		for range 100 {
			m, err := s.next()
			if err != nil {
				return
			}
			if len(m.header)+len(m.payload) > len(text) {
				t.Fatalf("%q holds a message of %d bytes", text, len(m.header)+len(m.payload))
			}
			_ = m.noResponders()
		}
	})
}

func FuzzParseServers(f *testing.F) {
	for _, seed := range []string{"nats://u:p@h:1", "tls://[::1]", "nats://a,nats://b", "nats://t@h/", "nats://%zz@h"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, list string) {
		servers, err := parseServers(list)
		if err == nil && len(servers) != strings.Count(list, ",")+1 {
			t.Fatalf("%q: %d servers", list, len(servers))
		}
	})
}
