package memcached

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"testing"

	"hale/checks"
)

// heard is a session with a server that has said all that it will say.
func heard(text string) *session { return &session{r: bufio.NewReader(strings.NewReader(text))} }

func TestValue(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, in, value string
		found           bool
		err             error
	}{
		{"found", "VALUE k 0 3\r\na\r\n\r\nEND\r\n", "a\r\n", true, nil},
		{"found, with cas", "VALUE k 0 1 77\r\nx\r\nEND\r\n", "x", true, nil},
		{"empty", "VALUE k 0 0\r\n\r\nEND\r\n", "", true, nil},
		{"not found", "END\r\n", "", false, nil},
		{"another key", "VALUE other 0 1\r\nx\r\nEND\r\n", "", false, errStranger},
		{"twice", "VALUE k 0 1\r\nx\r\nVALUE k 0 1\r\nx\r\nEND\r\n", "", false, errStranger},
		{"absurd size", "VALUE k 0 99999999999\r\n", "", false, errStranger},
		{"negative size", "VALUE k 0 -3\r\n", "", false, errStranger},
		{"cut", "VALUE k 0 30\r\nx", "", false, io.ErrUnexpectedEOF},
		{"cut in a line", "VAL", "", false, io.ErrUnexpectedEOF},
		{"refused", "SERVER_ERROR busy\r\n", "", false, refusal("SERVER_ERROR busy")},
		{"no end", strings.Repeat("x", 10_000), "", false, errStranger},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			value, found, err := heard(test.in).value("k")
			if !errors.Is(err, test.err) || err == nil && (value != test.value || found != test.found) {
				t.Errorf("got %q, %v, %v", value, found, err)
			}
		})
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add("VALUE k 0 3\r\nabc\r\nEND\r\nSTAT curr_connections 10\r\nSTAT version 1.6\r\nEND\r\n")
	f.Add("SERVER_ERROR out of memory storing object\r\n")
	f.Add("STAT a\r\nEND\r\n")
	f.Fuzz(func(_ *testing.T, text string) {
		s := heard(text)
		for range len(text) + 1 {
			if _, _, err := s.value("k"); err != nil {
				break
			}
			if _, err := s.stats(); err != nil {
				break
			}
		}
	})
}

func TestValidate(t *testing.T) {
	t.Parallel()
	const address = "127.0.0.1:11211"
	for _, test := range []struct {
		name  string
		check Check
		want  string
	}{
		{"nothing", Check{}, "address: is missing: write host:port or the path of a unix socket, such as 127.0.0.1:11211"},
		{"no port", Check{Address: "cache"}, `address: "cache" is not host:port or the path of a unix socket: write it as 127.0.0.1:11211`},
		{"mode", Check{Address: address, Mode: "set"}, `mode: "set" is neither ping nor write`},
		{"prefix of no key", Check{Address: address, KeyPrefix: "x"}, "key_prefix: has no effect without mode: write"},
		{"space in the prefix", Check{Address: address, Mode: "write", KeyPrefix: "a b"}, `key_prefix: "a b" holds a space or a control character`},
		{"long prefix", Check{Address: address, Mode: "write", KeyPrefix: strings.Repeat("x", 225)}, "key_prefix: has 225 bytes, more than the 224 that are left of a key"},
		{"swapped", Check{Address: address, WarnConnections: 90, MaxConnections: 80}, "warn_connections: 90% is more than max_connections (80%): the check would fail before it warns"},
		{"password of nobody", Check{Address: address, Password: "hunter2"}, "user: is missing: the password is somebody's"},
		{"user without a password", Check{Address: address, User: "app"}, "password: is missing"},
		{"line break in the password", Check{Address: address, User: "app", Password: "hunter2\r\nflush_all"}, "password: holds a space or a line break, which memcached takes in none"},
		{"TLS on a socket", Check{Address: "/run/memcached.sock", TLS: true}, "tls: a unix socket has no TLS"},
		{"CA without TLS", Check{Address: address, CA: "ca.pem"}, "ca: has no effect without TLS: write tls: true"},
		{"half a certificate", Check{Address: address, TLS: true, Key: "k.pem"}, "certificate: is missing: the file of the certificate that belongs to key"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := test.check.Validate()
			if err == nil || err.Error() != test.want {
				t.Fatalf("error = %v\nwant    %s", err, test.want)
			}
			if _, ok := errors.AsType[*checks.OptionError](err); !ok {
				t.Errorf("not an OptionError: %#v", err)
			}
		})
	}
}
