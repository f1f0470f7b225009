package dns

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"hale/test/checktest"
)

// speaks is a name server that answers as it is told, over UDP and TCP.
func speaks(t *testing.T, handle dns.HandlerFunc) (address string) {
	t.Helper()
	packets, listener := bothPorts(t)
	address = packets.LocalAddr().String()
	for _, server := range []*dns.Server{{PacketConn: packets, Handler: handle}, {Listener: listener, Handler: handle}} {
		// A server that has not started yet cannot be stopped.
		started, done := make(chan struct{}), make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		go func() {
			defer close(done)
			_ = server.ActivateAndServe()
		}()
		t.Cleanup(func() {
			select {
			case <-started:
			case <-done:
			}
			_ = server.Shutdown()
			<-done
		})
	}
	return address
}

// bothPorts listens on a port that is free for UDP and for TCP.
func bothPorts(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	var err error
	for range 100 {
		var packets net.PacketConn
		if packets, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			break
		}
		var listener net.Listener
		if listener, err = net.Listen("tcp", packets.LocalAddr().String()); err == nil {
			return packets, listener
		}
		packets.Close()
	}
	t.Fatal(err)
	return nil, nil
}

func reply(question *dns.Msg, code int, records ...string) *dns.Msg {
	answer := new(dns.Msg).SetRcode(question, code)
	for _, text := range records {
		record, err := dns.NewRR(text)
		if err != nil {
			panic(err)
		}
		answer.Answer = append(answer.Answer, record)
	}
	return answer
}

// What dnsmasq cannot be made to answer.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		check  Check
		handle func(w dns.ResponseWriter, q *dns.Msg)
		want   string // the error; empty: it passes
	}{
		{"servfail", Check{Domain: "a.test", Record: "A"}, func(w dns.ResponseWriter, q *dns.Msg) {
			_ = w.WriteMsg(reply(q, dns.RcodeServerFailure))
		}, "the name server could not find out about a.test (SERVFAIL: the servers it asks do not answer, or DNSSEC does not verify): SERVER"},
		{"formerr", Check{Domain: "a.test", Record: "A"}, func(w dns.ResponseWriter, q *dns.Msg) {
			_ = w.WriteMsg(reply(q, dns.RcodeFormatError))
		}, "the name server answers FORMERR for a.test: SERVER"},
		{"an unknown code", Check{Domain: "a.test", Record: "A"}, func(w dns.ResponseWriter, q *dns.Msg) {
			_ = w.WriteMsg(reply(q, 14))
		}, "the name server answers code 14 for a.test: SERVER"},
		{"only a referral", Check{Domain: "a.test", Record: "A"}, func(w dns.ResponseWriter, q *dns.Msg) {
			answer := reply(q, dns.RcodeSuccess, "test. 60 IN NS ns.test.")
			answer.Ns, answer.Answer = answer.Answer, nil
			_ = w.WriteMsg(answer)
		}, "the name server only knows whom else to ask for a.test, and does not ask for others: SERVER"},
		{"aliases in a circle", Check{Domain: "a.test", Record: "A"}, func(w dns.ResponseWriter, q *dns.Msg) {
			_ = w.WriteMsg(reply(q, dns.RcodeSuccess, "a.test. 60 IN CNAME b.test.", "b.test. 60 IN CNAME a.test."))
		}, "a.test is an alias of a.test, which has no A record: SERVER"},
		{"addresses of one kind fail", Check{Domain: "a.test"}, func(w dns.ResponseWriter, q *dns.Msg) {
			if q.Question[0].Qtype == dns.TypeA {
				_ = w.WriteMsg(reply(q, dns.RcodeSuccess, "a.test. 60 IN A 10.0.0.1"))
				return
			}
			_ = w.WriteMsg(reply(q, dns.RcodeServerFailure))
		}, "the name server could not find out about a.test (SERVFAIL: the servers it asks do not answer, or DNSSEC does not verify): SERVER"},
		{"a stranger answers first", Check{Domain: "a.test", Record: "A", Expect: []string{"10.0.0.1"}, Only: true}, func(w dns.ResponseWriter, q *dns.Msg) {
			wrongID := reply(q, dns.RcodeSuccess, "a.test. 60 IN A 10.6.6.6")
			wrongID.Id++
			wrongName := reply(q, dns.RcodeSuccess, "b.test. 60 IN A 10.6.6.6")
			wrongName.Question = []dns.Question{{Name: "b.test.", Qtype: dns.TypeA, Qclass: dns.ClassINET}}
			_ = w.WriteMsg(wrongID)
			_ = w.WriteMsg(wrongName)
			_, _ = w.Write([]byte("rubbish"))
			_ = w.WriteMsg(reply(q, dns.RcodeSuccess, "a.test. 60 IN A 10.0.0.1"))
		}, ""},
		{"a stranger answers over TCP", Check{Domain: "a.test", Record: "A", TCP: true}, func(w dns.ResponseWriter, q *dns.Msg) {
			wrongID := reply(q, dns.RcodeSuccess, "a.test. 60 IN A 10.6.6.6")
			wrongID.Id++
			_ = w.WriteMsg(wrongID)
		}, "the answer is not that of a name server: SERVER"},
		{"text of a stranger", Check{Domain: "a.test", Record: "TXT", Expect: []string{"x"}}, func(w dns.ResponseWriter, q *dns.Msg) {
			_ = w.WriteMsg(reply(q, dns.RcodeSuccess, `a.test. 60 IN TXT "a\010b\027[31m"`))
		}, "a.test: expected x among the answers, got a\\010b\\027[31m: SERVER"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.check.Server = speaks(t, test.handle)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			output, err := test.check.Run(ctx)
			want := strings.ReplaceAll(test.want, "SERVER", test.check.Server)
			if want == "" && err != nil || want != "" && (err == nil || err.Error() != want) {
				t.Errorf("%q, error = %v\nwant %s", output, err, want)
			}
		})
	}
}

// A packet that is lost is asked for again.
func TestLostPacket(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	server := speaks(t, func(w dns.ResponseWriter, q *dns.Msg) {
		if asked.Add(1) > 1 {
			_ = w.WriteMsg(reply(q, dns.RcodeSuccess, "a.test. 60 IN A 10.0.0.1"))
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second) // two for each question
	defer cancel()
	if output, err := (&Check{Domain: "a.test", Record: "A", Server: server}).Run(ctx); err != nil || asked.Load() != 2 {
		t.Errorf("%q, %v after %d questions", output, err, asked.Load())
	}
}

// Of the servers in resolv.conf, the next one is asked if one is silent, or
// cannot tell.
func TestResolvConf(t *testing.T) {
	t.Parallel()
	good := speaks(t, func(w dns.ResponseWriter, q *dns.Msg) {
		_ = w.WriteMsg(reply(q, dns.RcodeSuccess, "test. 60 IN MX 10 mail.test."))
	})
	failing := speaks(t, func(w dns.ResponseWriter, q *dns.Msg) { _ = w.WriteMsg(reply(q, dns.RcodeRefused)) })
	silent := speaks(t, func(dns.ResponseWriter, *dns.Msg) {})
	check := &Check{Domain: "test", Record: "MX"}
	for _, test := range []struct {
		name    string
		servers []string
		want    string
	}{
		{"refuses", []string{failing, good}, ""},
		{"silent", []string{silent, good}, ""},
		{"all refuse", []string{failing, failing}, "the name server refuses to answer for test (REFUSED: it does not serve this client, or not this name): " + failing},
		{"the last is silent", []string{failing, silent}, "no answer within 4s: " + silent},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
			defer cancel()
			found, err := check.ask(ctx, test.servers)
			if test.want == "" && (err != nil || list(found) != "10 mail.test") || test.want != "" && (err == nil || checktest.OnTime(err.Error(), 4*time.Second) != test.want) {
				t.Errorf("%v, error = %v\nwant %s", found, err, test.want)
			}
		})
	}

	// The file itself, whose servers have the port 53.
	conf := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(conf, []byte("search internal\nnameserver 127.0.0.1\noptions ndots:2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := (&Check{Domain: "test", Record: "MX", resolvConf: conf}).Run(ctx); err == nil || !strings.HasSuffix(err.Error(), ": 127.0.0.1:53") {
		t.Errorf("error = %v, want one of 127.0.0.1:53", err)
	}
	if _, err := (&Check{Domain: "test", Record: "MX", resolvConf: conf + "x"}).Run(ctx); err == nil || !strings.HasPrefix(err.Error(), "no name servers: ") {
		t.Errorf("error = %v", err)
	}
}

func FuzzRead(f *testing.F) {
	question := new(dns.Msg).SetQuestion("a.test.", dns.TypeTXT)
	for _, records := range [][]string{{"a.test. 60 IN TXT x"}, {"a.test. 60 IN CNAME a.test."}, {"a.test. 60 IN SRV 1 2 3 b.test."}} {
		packed, err := reply(question, dns.RcodeSuccess, records...).Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packed)
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		answer := new(dns.Msg)
		if answer.Unpack(packet) != nil || !answers(answer, new(dns.Msg).SetQuestion("a.test.", dns.TypeTXT)) && len(answer.Question) == 0 {
			return
		}
		for kind := range records {
			found, err := (&Check{Domain: "a.test", Record: kind}).read(answer, kind, "server")
			if (err == nil) != (len(found) > 0) {
				t.Errorf("%d answers, %v", len(found), err)
			}
			if err == nil && strings.ContainsAny(list(found), "\n\r\x00\x1b") {
				t.Errorf("%q", list(found))
			}
		}
	})
}
