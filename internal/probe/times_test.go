package probe

import (
	"bufio"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Each phase has its time: what a server delays is told where it belongs.
func TestTimes(t *testing.T) {
	t.Parallel()
	const first, rest = 300 * time.Millisecond, 2 * time.Second
	for name, test := range map[string]struct {
		timeout time.Duration
		limits  Phases
		outcome Outcome
		times   Times
		because string
	}{
		"in time":              {timeout: 5 * time.Second, outcome: Answered, times: Times{FirstByte: first, Body: rest}},
		"no byte in time":      {timeout: 200 * time.Millisecond, outcome: Silent, because: "no byte of an answer within 200ms"},
		"no end in time":       {timeout: time.Second, outcome: BodyTimeout, times: Times{FirstByte: first, Body: 700 * time.Millisecond}, because: "no end of the body within 1s"},
		"no head within its":   {timeout: 5 * time.Second, limits: Phases{Head: 100 * time.Millisecond}, outcome: Silent, because: "no byte of an answer within 100ms"},
		"no body within its":   {timeout: 5 * time.Second, limits: Phases{Head: time.Second, Body: time.Second}, outcome: BodyTimeout, times: Times{FirstByte: first, Body: time.Second}, because: "no end of the body within 1s"},
		"the time-out is less": {timeout: time.Second, limits: Phases{Body: 4 * time.Second}, outcome: BodyTimeout, times: Times{FirstByte: first, Body: 700 * time.Millisecond}, because: "no end of the body within 1s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				var server sync.WaitGroup
				defer server.Wait()
				defer near.Close()
				server.Go(func() {
					defer far.Close()
					in := bufio.NewReader(far)
					for line := ""; line != "\r\n"; {
						line, _ = in.ReadString('\n')
					}
					time.Sleep(first)
					io.WriteString(far, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
					time.Sleep(rest)
					io.WriteString(far, "ok")
				})
				prober, _ := Find("alb")
				a := Answer{GRPC: -1}
				c := conversation{
					Probe: Probe{Prober: prober, Method: "GET", Path: "/", Version: "HTTP/1.1", Timeout: test.timeout},
					a:     &a, ctx: t.Context(), deadline: time.Now().Add(test.timeout), limits: test.limits, raw: near, conn: &recorder{Conn: near},
				}
				c.wait(c.limits.Head)
				c.speakHTTP1()
				if a.Outcome != test.outcome || a.Times != test.times {
					t.Errorf("%v, %+v; want %v, %+v", a.Outcome, a.Times, test.outcome, test.times)
				}
				if test.because != "" && (a.Err == nil || a.Err.Error() != test.because) {
					t.Errorf("%v, want %s", a.Err, test.because)
				}
			})
		})
	}
}
