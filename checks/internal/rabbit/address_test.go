package rabbit

import (
	"net/url"
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]Address{
		"amqp://":          {Where: "localhost:5672", host: "localhost", vhost: "/", user: "guest", password: "guest"},
		"amqp://mq":        {Where: "mq:5672", host: "mq", vhost: "/", user: "guest", password: "guest"},
		"amqp://mq/":       {Where: "mq:5672", host: "mq", vhost: "/", user: "guest", password: "guest"},
		"amqp://mq//":      {Where: "mq:5672", host: "mq", vhost: "/", user: "guest", password: "guest"},
		"amqp://mq/%2F":    {Where: "mq:5672", host: "mq", vhost: "/", user: "guest", password: "guest"},
		"amqp://mq/%2Fapp": {Where: "mq:5672", host: "mq", vhost: "/app", user: "guest", password: "guest"},
		"amqps://u:p%40%2F@[::1]/app?heartbeat=5": {Where: "[::1]:5671", TLS: true, host: "::1", vhost: "app", user: "u", password: "p@/"},
		"pyamqp://u:p@mq:15672/a/b":               {Where: "mq:15672", host: "mq", vhost: "a/b", user: "u", password: "p"},
	} {
		if got, err := ParseAddress(raw); err != nil || *got != want {
			t.Errorf("%s: got %+v, %v; want %+v", raw, got, err, want)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, seed := range []string{"amqp://u:p@mq:5672/app", "amqps://mq/%2F?heartbeat=3", "pyamqp://", "amqp://u:p/w@mq"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		a, err := ParseAddress(raw)
		if err == nil {
			if a.vhost == "" || !strings.Contains(a.Where, ":") {
				t.Errorf("%q: %+v", raw, a)
			}
			return
		}
		// What is in front of the host is secret.
		if u, parseErr := url.Parse(raw); parseErr == nil {
			if password, _ := u.User.Password(); len(password) > 8 && strings.Contains(err.Error(), password) {
				t.Errorf("%q: %v", raw, err)
			}
		}
	})
}
