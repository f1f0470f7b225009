package balancer_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"hale/internal/balancer"
	"hale/internal/balancer/inventory"
	"hale/internal/elb"
	"hale/internal/elb/accesslog"
	"hale/internal/elb/rule"
	"hale/test/servers"
)

// site is a house with groups by name, rules, and an access log that is read.
type site struct {
	*house
	groups map[string]string // ARNs
	log    *entries
}

// newSite returns one whose listener's default group, "app", is empty.
func newSite(t *testing.T, attributes elb.Attributes) *site {
	t.Helper()
	return siteOf(t, balancer.Options{}, inventory.ListenerSettings{Protocol: elb.HTTP}, attributes)
}

func siteOf(t *testing.T, o balancer.Options, l inventory.ListenerSettings, attributes elb.Attributes) *site {
	t.Helper()
	s := &site{groups: map[string]string{}, log: new(entries)}
	o.AccessLog = s.log
	s.house = &house{Balancer: open(t, o), t: t}
	s.newGroup("app", elb.Kind{}, nil)
	l.Port = servers.FreePort(t)
	l.Default = []rule.Action{rule.ForwardTo(s.groups["app"])}
	s.url = fmt.Sprintf("http://127.0.0.1:%d", l.Port)
	s.change(func(e *inventory.Edit) error {
		lb, err := e.CreateLoadBalancer(inventory.NewLoadBalancer{Name: "site", Scheme: inventory.Internal, Attributes: attributes})
		if err != nil {
			return err
		}
		s.loadBalancer = lb.ARN
		made, err := e.CreateListener(lb.ARN, l)
		if err == nil {
			s.listener = made.ARN
		}
		return err
	})
	return s
}

func (s *site) newGroup(name string, kind elb.Kind, attributes elb.Attributes) {
	s.t.Helper()
	kind.Protocol, kind.Targets = elb.HTTP, elb.Addresses
	check := elb.HealthCheck{Path: "/health", Interval: 5 * time.Second, Timeout: 2 * time.Second}
	if kind.Version == elb.GRPC {
		check.Path = ""
	}
	s.change(func(e *inventory.Edit) error {
		g, err := e.CreateGroup(inventory.NewGroup{Name: name, Kind: kind, Port: 80, Attributes: attributes, HealthCheck: check})
		if err == nil {
			s.groups[name] = g.ARN
		}
		return err
	})
}

// fill registers targets in a group that a rule uses, and waits for them.
func (s *site) fill(group string, targets ...netip.AddrPort) {
	s.t.Helper()
	s.group = s.groups[group]
	s.register(targets...)
	for _, target := range targets {
		s.await(target, elb.Healthy)
	}
}

func (s *site) rule(priority int, action rule.Action, conditions ...rule.Condition) {
	s.t.Helper()
	s.ruleOf(rule.Rule{Priority: priority, Conditions: conditions, Actions: []rule.Action{action}})
}

func (s *site) ruleOf(r rule.Rule) {
	s.t.Helper()
	s.change(func(e *inventory.Edit) error {
		_, err := e.CreateRule(s.listener, r, nil)
		return err
	})
}

func path(values ...string) rule.Condition {
	return rule.Condition{Field: rule.PathPattern, Values: values}
}

// fixed is an action that answers with a text.
func fixed(body string) rule.Action {
	return rule.Action{Type: rule.FixedResponse, FixedResponseConfig: &rule.FixedResponseConfig{StatusCode: "200", MessageBody: body}}
}

// send sends bytes on a connection of its own, and returns the answer.
func (s *site) send(wire string) reply {
	s.t.Helper()
	conn := s.dial()
	defer conn.Close()
	_, _ = io.WriteString(conn, wire)
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	method, _, _ := strings.Cut(wire, " ")
	got, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		s.t.Fatalf("no answer to %.60q: %v", wire, err)
	}
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	if err != nil {
		s.t.Fatalf("answer to %.60q: %v", wire, err)
	}
	if got.Close {
		got.Header.Set("Connection", "close") // which net/http has taken out
	}
	return reply{got.StatusCode, got.Status, got.Header, string(body)}
}

func (s *site) dial() net.Conn {
	s.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	return conn
}

// entries are what was logged.
type entries struct {
	mu   sync.Mutex
	list []accesslog.Entry
}

// Log implements balancer.AccessLog.
func (e *entries) Log(entry *accesslog.Entry) {
	e.mu.Lock()
	defer e.mu.Unlock()
	kept := *entry
	kept.Targets, kept.TargetStatuses = slices.Clone(kept.Targets), slices.Clone(kept.TargetStatuses)
	e.list = append(e.list, kept)
}

// next waits for an entry, and takes all that there are away. Requests are logged
// after they are answered.
func (e *entries) next(t *testing.T) accesslog.Entry {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		e.mu.Lock()
		if n := len(e.list); n > 0 {
			last := e.list[n-1]
			e.list = nil
			e.mu.Unlock()
			return last
		}
		e.mu.Unlock()
	}
	t.Fatal("nothing was logged")
	return accesslog.Entry{}
}

// newEcho returns a target that answers with the head that it got, byte by byte;
// at some paths, with what no target should.
func newEcho(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
				defer conn.Close()
				r := bufio.NewReader(conn)
				for echo(conn, r) {
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		end()
		serving.Wait()
	})
	return netip.MustParseAddrPort(l.Addr().String())
}

// wrongAnswers are those of targets that are broken, by path.
var wrongAnswers = map[string]string{
	"/closes":    "",
	"/no-http":   "220 mail.example.com ESMTP\r\n\r\n",
	"/large":     "HTTP/1.1 200 OK\r\nX-Large: " + strings.Repeat("a", 33<<10) + "\r\nContent-Length: 0\r\n\r\n",
	"/ambiguous": "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
}

// echo answers a request. It reports whether there may be another one.
func echo(conn net.Conn, r *bufio.Reader) bool {
	var head strings.Builder
	length := 0
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return false
		}
		head.WriteString(line)
		if value, is := strings.CutPrefix(strings.ToLower(line), "content-length: "); is {
			length, _ = strconv.Atoi(strings.TrimSpace(value))
		}
		if line == "\r\n" {
			break
		}
	}
	if strings.Contains(strings.ToLower(head.String()), "\r\ntransfer-encoding: chunked\r\n") {
		_, _ = io.Copy(io.Discard, httputil.NewChunkedReader(r))
		length = len("\r\n")
	}
	if _, err := r.Discard(length); err != nil {
		return false
	}
	target := strings.Fields(head.String())[1]
	wrong, broken := wrongAnswers[target]
	switch {
	case broken:
		_, _ = io.WriteString(conn, wrong)
		return false
	case target == "/resets":
		_ = conn.(*net.TCPConn).SetLinger(0)
		return false
	case target == "/silent":
		_, _ = r.ReadByte() // until the other side has had enough
		return false
	}
	_, err := fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Length: %d\r\n\r\n%s", head.Len(), &head)
	return err == nil
}
