package listen_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hale/internal/listen"
	"hale/internal/probe"
)

const request = "GET /health HTTP/1.1\r\nHost: 10.0.1.23:8080\r\nConnection: close\r\nUser-Agent: ELB-HealthChecker/2.0\r\n\r\n"

// ask sends what it is given, and returns what is answered within a second.
func ask(t *testing.T, s *site, text string) string {
	t.Helper()
	c := s.dial(node)
	c.send(text)
	time.Sleep(time.Second)
	c.Close()
	synctest.Wait() // until that has been told
	return c.got()
}

func TestAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		answer listen.Answer
		send   string
		want   string
	}{
		"200 by default": {
			listen.Answer{},
			request,
			"HTTP/1.1 200 OK\r\nDate: *\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
		},
		"a status and a body": {
			listen.Answer{Status: 503, Body: "no\n"},
			request,
			"HTTP/1.1 503 Service Unavailable\r\nDate: *\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n",
		},
		"header of one's own": {
			listen.Answer{Body: "{}", Header: []probe.Field{{Name: "content-type", Value: "application/json"}, {Name: "X-A", Value: "b"}}},
			request,
			"HTTP/1.1 200 OK\r\nDate: *\r\nContent-Length: 2\r\nConnection: close\r\ncontent-type: application/json\r\nX-A: b\r\n\r\n{}",
		},
		"no body with 204": {
			listen.Answer{Status: 204, Body: "ok\n"},
			request,
			"HTTP/1.1 204 No Content\r\nDate: *\r\nConnection: close\r\n\r\n",
		},
		"no body for HEAD": {
			listen.Answer{Body: "ok\n"},
			"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
			"HTTP/1.1 200 OK\r\nDate: *\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 3\r\nConnection: close\r\n\r\n",
		},
		"HTTP/1.1 stays open": {
			listen.Answer{},
			"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
			"HTTP/1.1 200 OK\r\nDate: *\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 0\r\n\r\n",
		},
		"HTTP/1.0 stays open if asked": {
			listen.Answer{},
			"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
			"HTTP/1.1 200 OK\r\nDate: *\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n",
		},
		"HTTP/1.0 does not else": {
			listen.Answer{},
			"GET / HTTP/1.0\r\n\r\n",
			"HTTP/1.1 200 OK\r\nDate: *\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
		},
		"HTTP/0.9 has no head": {listen.Answer{Body: "ok\n"}, "GET /\r\n", "ok\n"},
		"who waits to send its body is told to": {
			listen.Answer{},
			"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx",
			"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nDate: *\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
		},
		"what is not HTTP": {
			listen.Answer{},
			"EHLO a\r\n",
			"HTTP/1.1 400 Bad Request\r\nDate: *\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 12\r\nConnection: close\r\n\r\nBad Request\n",
		},
		"a head that is too large": {
			listen.Answer{},
			"GET / HTTP/1.1\r\nCookie: " + strings.Repeat("a", 40<<10) + "\r\n\r\n",
			"HTTP/1.1 431 Request Header Fields Too Large\r\nDate: *\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 32\r\nConnection: close\r\n\r\nRequest Header Fields Too Large\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t, listen.Server{Answer: test.answer}, target, &notes{})
				c := s.dial(node)
				go c.send(test.send)
				time.Sleep(time.Second)
				got := c.got()
				c.Close()
				before, after, _ := strings.Cut(got, "Date: ")
				if _, rest, ok := strings.Cut(after, "\r\n"); ok {
					got = before + "Date: *\r\n" + rest
				}
				if got != test.want {
					t.Errorf("answered\n%q, want\n%q", got, test.want)
				}
			})
		})
	}
}

// A client that is slow, silent or idle is hung up on when patience is over.
func TestPatienceEnds(t *testing.T) {
	for name, test := range map[string]struct {
		send string
		kind listen.Kind
	}{
		"silent":            {"", listen.Silent},
		"a head cut":        {"GET / HTTP/1.1\r\nHo", listen.Cut},
		"a PROXY header":    {"PROXY TCP4 1", listen.Cut},
		"a TLS hello":       {"\x16\x03\x01\x02\x00\x01", listen.Cut},
		"an HTTP/2 preface": {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", listen.Cut},
		"a body cut":        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx", listen.Whole},
		"kept and idle":     {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", listen.Whole},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				told := &notes{}
				s := start(t, listen.Server{Patience: 7 * time.Second}, target, told)
				c := s.dial(node)
				begun := time.Now()
				c.send(test.send)
				<-c.heard
				if took := time.Since(begun); took < 7*time.Second || took > 15*time.Second {
					t.Errorf("hung up on after %v, want about 7s", took)
				}
				if visits, _ := told.all(); len(visits) != 1 || visits[0].Kind != test.kind {
					t.Errorf("told %v, want one of %q", visits, test.kind)
				}
			})
		})
	}
}

// Who sends a byte now and then is not waited for longer than who sends none.
func TestPatienceIsForAWholeRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := &notes{}
		s := start(t, listen.Server{Patience: 10 * time.Second}, target, told)
		c := s.dial(node)
		begun := time.Now()
		go func() {
			for {
				select {
				case <-c.heard:
					return
				case <-time.After(time.Second):
					c.send("a")
				}
			}
		}()
		c.send("GET / HTTP/1.1\r\nX: ")
		<-c.heard
		if took := time.Since(begun); took > 15*time.Second {
			t.Errorf("a client that drips held the connection for %v", took)
		}
	})
}

// Delay shows how long a prober waits.
func TestDelayTellsWhoDoesNotWait(t *testing.T) {
	for name, leave := range map[string]func(*client){
		"closes":                    func(c *client) { c.Close() },
		"resets":                    func(c *client) { c.reset() },
		"sends more than is waited": func(c *client) { c.send(strings.Repeat("x", 64<<10)) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				told := &notes{}
				s := start(t, listen.Server{Answer: listen.Answer{Delay: time.Hour}}, target, told)
				c := s.dial(node)
				c.send(request)
				time.Sleep(5 * time.Second)
				leave(c)
				synctest.Wait()
				_, left := told.all()
				if len(left) != 1 || left[0].Answered || left[0].After != 5*time.Second || left[0].Visit != 1 {
					t.Errorf("told %+v, want one that left after 5 s", left)
				}
				c.Close()
			})
		})
	}
}

func TestCountEndsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := &notes{}
		s := start(t, listen.Server{Count: 3, Answer: listen.Answer{Body: "ok\n", Delay: time.Second}}, target, told)
		idle := s.dial(node) // never says a word, and must not hold it up
		kept := s.dial(node)
		kept.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
		time.Sleep(2 * time.Second)
		slow, last := s.dial(node), s.dial(node)
		slow.send("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
		synctest.Wait()
		last.send("GET /3 HTTP/1.1\r\nHost: a\r\n\r\n")
		synctest.Wait()
		late := s.dial(node)
		late.send("GET /4 HTTP/1.1\r\nHost: a\r\n\r\n")
		for _, c := range []*client{idle, kept, slow, last, late} {
			<-c.heard
		}
		<-s.served
		visits, _ := told.all()
		var targets []string
		for _, v := range visits {
			targets = append(targets, v.Request.Target)
		}
		if want := []string{"/1", "/2", "/3"}; !slices.Equal(targets, want) {
			t.Errorf("told %v, want %v", targets, want)
		}
		for name, c := range map[string]*client{"/1": kept, "/2": slow, "/3": last} {
			if !strings.HasSuffix(c.got(), "ok\n") {
				t.Errorf("%s was answered %q", name, c.got())
			}
		}
		if s.result.Visits != 3 || s.err != nil {
			t.Errorf("summary %+v, %v", s.result, s.err)
		}
	})
}

// An interrupt ends it whatever the clients do.
func TestInterruptEndsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := &notes{}
		s := start(t, listen.Server{Answer: listen.Answer{Delay: time.Hour}}, target, told)
		for _, text := range []string{
			"", "GET", "PROXY ", "\x16\x03", request, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n",
		} {
			s.dial(node).send(text)
		}
		synctest.Wait()
		begun := time.Now()
		summary := s.end()
		if took := time.Since(begun); took != 0 {
			t.Errorf("took %v", took)
		}
		if summary.Visits != 1 || summary.Connections != 7 || s.err != nil {
			t.Errorf("summary %+v, %v; want 1 visit on 7 connections", summary, s.err)
		}
		if visits, left := told.all(); len(visits) != 1 || len(left) != 0 {
			t.Errorf("told %d visits, %d left; those that the server cut are not told", len(visits), len(left))
		}
	})
}

func TestALogThatFailsEndsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("disk full")
		s := start(t, listen.Server{}, target, &notes{fails: broken})
		other := s.dial(node)
		s.dial(node).send(request)
		<-s.served
		<-other.heard
		if !errors.Is(s.err, broken) {
			t.Errorf("error %v, want %v", s.err, broken)
		}
	})
}

func TestConnectionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, listen.Server{Patience: time.Minute}, target, &notes{})
		for range 256 {
			s.dial(node)
		}
		synctest.Wait()
		over := s.dial(node)
		<-over.heard
		time.Sleep(2 * time.Minute) // the others' time is up
		if got := ask(t, s, request); !strings.HasPrefix(got, "HTTP/1.1 200") {
			t.Errorf("answered %q when there was room again", got)
		}
		if summary := s.end(); summary.TurnedAway != 1 {
			t.Errorf("%d turned away, want 1", summary.TurnedAway)
		}
	})
}

// A flood of bytes is neither kept nor waited for.
func TestBodiesAreBounded(t *testing.T) {
	for name, send := range map[string]string{
		"by length": "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n",
		"in chunks": "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n7fffffff\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				told := &notes{}
				s := start(t, listen.Server{}, target, told)
				c := s.dial(node)
				go func() {
					c.send(send)
					part := strings.Repeat("x", 64<<10)
					for {
						if _, err := io.WriteString(c.Conn, part); err != nil {
							return
						}
					}
				}()
				<-c.heard
				visits, _ := told.all()
				if len(visits) != 1 || len(visits[0].Raw) > 32<<10 || visits[0].Size > 2<<20 {
					t.Fatalf("told %d visits, want one with at most 32 KiB of 2 MiB", len(visits))
				}
				if !strings.HasPrefix(c.got(), "HTTP/1.1 200") {
					t.Errorf("answered %q", c.got())
				}
			})
		})
	}
}

func TestSummary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, listen.Server{Probers: probe.Probers()}, target, &notes{})
		for range 4 {
			for _, from := range []string{"10.0.2.17:1001", "10.0.3.18:1002"} {
				c := s.dial(from)
				c.send(request)
				<-c.heard
				c.Close()
			}
			time.Sleep(30 * time.Second)
		}
		s.dial(node).Close()
		c := s.dial(node)
		c.send("PING\r\n")
		<-c.heard
		synctest.Wait()
		var b strings.Builder
		if err := s.end().Write(&b); err != nil {
			t.Fatal(err)
		}
		const want = `10 visits on 10 connections in 2m0s
  alb               8  from 2 addresses, each about every 30s
  bare connections  1  from 1 address
  not HTTP          1  from 1 address
`
		if b.String() != want {
			t.Errorf("summary:\n%s\nwant:\n%s", b.String(), want)
		}
	})
}

func TestNothingCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, listen.Server{}, target, &notes{})
		time.Sleep(90 * time.Second)
		var b strings.Builder
		if err := s.end().Write(&b); err != nil || b.String() != "nothing came in 90s\n" {
			t.Errorf("%q, %v", b.String(), err)
		}
	})
}

// What apps may stumble over is told in full once, and then as the first time.
func TestMayStumble(t *testing.T) {
	const rest = "User-Agent: x\r\nAccept: */*\r\nX-Forwarded-Proto: https\r\n\r\n"
	for want, sent := range map[string]string{
		"":                      "GET / HTTP/1.1\r\nHost: a.example\r\n" + rest,
		"host-is-ip":            "GET / HTTP/1.1\r\nHost: 10.0.0.1\r\n" + rest,
		"host-is-ip ":           "GET / HTTP/1.1\r\nHost: [::1]\r\n" + rest,
		"host-is-ip  ":          "GET / HTTP/1.1\r\nHost: ::1\r\n" + rest,
		"host-has-port":         "GET / HTTP/1.1\r\nHost: a.example:80\r\n" + rest,
		"host-is-localhost":     "GET / HTTP/1.1\r\nHost: LocalHost\r\n" + rest,
		"no-host":               "GET / HTTP/1.1\r\n" + rest,
		"no-host ":              "GET / HTTP/1.1\r\nHost:\r\n" + rest,
		"http-1.0 no-host":      "GET / HTTP/1.0\r\n" + rest,
		"method":                "HEAD / HTTP/1.1\r\nHost: a.example\r\n" + rest,
		"method ":               "OPTIONS * HTTP/1.1\r\nHost: a.example\r\n" + rest,
		"no-accept":             "GET / HTTP/1.1\r\nHost: a.example\r\nForwarded: proto=https\r\nUser-Agent: x\r\n\r\n",
		"no-user-agent":         "GET / HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-Ssl: on\r\nAccept: a\r\n\r\n",
		"no-x-forwarded-proto":  "GET / HTTP/1.1\r\nHost: a.example\r\nUser-Agent: x\r\nAccept: a\r\n\r\n",
		"malformed":             "GET / HTTP/1.1\r\nHost: a.example\r\nHost: a.example\r\n" + rest,
		"http-0.9":              "GET /\r\n",
		"not-http":              "PING\r\n",
		"proxy-header":          "PROXY UNKNOWN\r\nGET / HTTP/1.1\r\nHost: a.example\r\n" + rest,
		"http2-prior-knowledge": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + h2("a.example", "user-agent", "x", "accept", "a", "x-forwarded-proto", "https"),
		"http2-prior-knowledge grpc": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" +
			h2("10.0.0.1", "content-type", "application/grpc"),
	} {
		t.Run(fmt.Sprintf("%s: %.20q", want, sent), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				told := &notes{}
				s := start(t, listen.Server{}, target, told)
				ask(t, s, sent)
				visits, _ := told.all()
				if len(visits) != 1 {
					t.Fatalf("told %d visits", len(visits))
				}
				var ids []string
				for _, st := range visits[0].Stumbles {
					ids = append(ids, st.ID)
				}
				if got := strings.Join(ids, " "); got != strings.TrimSpace(want) {
					t.Errorf("may stumble over %q, want %q", got, strings.TrimSpace(want))
				}
			})
		})
	}
}
