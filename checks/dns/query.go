package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/miekg/dns"

	"hale/internal/explain"
)

// udpSize is how large an answer over UDP may be: what fits into a packet on
// any way, as DNS flag day 2020 and Go's own resolver have it.
const udpSize = 1232

// patience bounds a run without a deadline.
const patience = 10 * time.Second

// ask asks name servers, one after the other until one has an answer.
func (c *Check) ask(ctx context.Context, servers []string) ([]answer, error) {
	kinds := []string{c.Record}
	if c.Record == "" {
		kinds = []string{"A", "AAAA"}
	}
	var found []answer
	var empty error
	for _, kind := range kinds {
		some, err := c.askFor(ctx, kind, servers)
		if none, ok := errors.AsType[*noSuchRecord](err); ok {
			empty = none
			continue
		}
		if err != nil {
			return nil, err
		}
		found = append(found, some...)
	}
	if len(found) == 0 {
		return nil, empty
	}
	return found, nil
}

// noSuchRecord is the answer that a name exists, but has no record of a kind.
type noSuchRecord struct{ text string }

func (e *noSuchRecord) Error() string { return e.text }

// askFor asks for one kind of record.
func (c *Check) askFor(ctx context.Context, kind string, servers []string) ([]answer, error) {
	name := c.Domain
	if reverse, err := dns.ReverseAddr(name); kind == "PTR" && err == nil {
		name = reverse
	}
	question := new(dns.Msg).SetQuestion(dns.Fqdn(name), records[kind])
	question.SetEdns0(udpSize, false)

	start := time.Now()
	budget, hasBudget := explain.Budget(ctx, start)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	// A packet may get lost: the only server is asked twice over UDP.
	if len(servers) == 1 && !c.TCP {
		servers = []string{servers[0], servers[0]}
	}
	var last error
	for i, server := range servers {
		reply, err := c.attempt(ctx, question, server, len(servers)-i)
		switch {
		case err != nil && hasBudget && explain.IsTimeout(err):
			last = &explain.Error{Text: fmt.Sprintf("no answer within %v: %s", budget, server), Err: err}
		case err != nil:
			last = c.broken(err, server)
		case reply.Rcode == dns.RcodeServerFailure || reply.Rcode == dns.RcodeRefused || reply.Rcode == dns.RcodeNotImplemented:
			last = c.complaint(reply.Rcode, server)
		default:
			return c.read(reply, kind, server)
		}
		// Only silence is worth another try with the same server.
		if ctx.Err() != nil || i+1 < len(servers) && servers[i+1] == server && !explain.IsTimeout(last) {
			break
		}
	}
	return nil, last
}

// attempt asks one server, in its share of the time that is left.
func (c *Check) attempt(ctx context.Context, question *dns.Msg, server string, attempts int) (*dns.Msg, error) {
	deadline, _ := ctx.Deadline()
	ctx, cancel := context.WithTimeout(ctx, time.Until(deadline)/time.Duration(attempts))
	defer cancel()
	if !c.TCP {
		reply, err := exchange(ctx, question, "udp", server)
		if err != nil || !reply.Truncated {
			return reply, err
		}
	}
	return exchange(ctx, question, "tcp", server)
}

// exchange sends a question and waits for the answer to it.
func exchange(ctx context.Context, question *dns.Msg, network, server string) (*dns.Msg, error) {
	var dialer net.Dialer
	socket, err := dialer.DialContext(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer socket.Close()
	// The context ends waiting, whether by its deadline or by being cancelled.
	stop := context.AfterFunc(ctx, func() { _ = socket.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	question.Id = dns.Id()
	conn := &dns.Conn{Conn: socket, UDPSize: udpSize}
	if err := conn.WriteMsg(question); err != nil {
		return nil, err
	}
	for {
		reply, err := conn.ReadMsg()
		netErr, isNet := errors.AsType[net.Error](err)
		switch {
		case err == nil && answers(reply, question):
			return reply, nil
		case network == "udp" && (err == nil || !isNet):
			// Anybody can send a packet: what is no answer to this question is none.
		case isNet && netErr.Timeout() && ctx.Err() != nil:
			return nil, ctx.Err()
		case err == nil || !isNet && reply != nil:
			return nil, errNotDNS
		default:
			return nil, err
		}
	}
}

var errNotDNS = errors.New("the answer is not that of a name server")

func answers(reply, question *dns.Msg) bool {
	return reply.Response && reply.Id == question.Id && len(reply.Question) == 1 &&
		reply.Question[0].Qtype == question.Question[0].Qtype &&
		dns.CanonicalName(reply.Question[0].Name) == dns.CanonicalName(question.Question[0].Name)
}

// broken explains an error of the exchange.
func (c *Check) broken(err error, server string) error {
	if _, ok := errors.AsType[*dns.Error](err); ok || errors.Is(err, errNotDNS) {
		return &explain.Error{Text: errNotDNS.Error() + ": " + server, Err: err}
	}
	return explain.Network(err, server)
}

// complaint explains what a server says when it has no answer.
func (c *Check) complaint(code int, server string) error {
	switch code {
	case dns.RcodeNameError:
		return fmt.Errorf("name does not resolve: %s (NXDOMAIN: %s)", c.Domain, server)
	case dns.RcodeServerFailure:
		return fmt.Errorf("the name server could not find out about %s (SERVFAIL: the servers it asks do not answer, or DNSSEC does not verify): %s", c.Domain, server)
	case dns.RcodeRefused:
		return fmt.Errorf("the name server refuses to answer for %s (REFUSED: it does not serve this client, or not this name): %s", c.Domain, server)
	default:
		return fmt.Errorf("the name server answers %s for %s: %s", rcode(code), c.Domain, server)
	}
}

func rcode(code int) string {
	if name, ok := dns.RcodeToString[code]; ok {
		return name
	}
	return fmt.Sprintf("code %d", code)
}

// read takes the records of a kind out of a reply.
func (c *Check) read(reply *dns.Msg, kind, server string) ([]answer, error) {
	if reply.Rcode != dns.RcodeSuccess {
		return nil, c.complaint(reply.Rcode, server)
	}
	var found []answer
	for _, record := range reply.Answer {
		if a, ok := answerOf(record); ok && record.Header().Rrtype == records[kind] {
			found = append(found, a)
		}
	}
	if len(found) > 0 {
		return found, nil
	}
	what := kind + " record"
	if c.Record == "" {
		what = "address"
	}
	alias := slices.IndexFunc(reply.Answer, func(r dns.RR) bool { return r.Header().Rrtype == dns.TypeCNAME })
	switch {
	case alias >= 0:
		return nil, &noSuchRecord{fmt.Sprintf("%s is an alias of %s, which has no %s: %s", c.Domain, explain.Line(plain(lastAlias(reply))), what, server)}
	case !reply.Authoritative && !reply.RecursionAvailable && len(reply.Ns) > 0:
		return nil, fmt.Errorf("the name server only knows whom else to ask for %s, and does not ask for others: %s", c.Domain, server)
	default:
		return nil, &noSuchRecord{fmt.Sprintf("%s has no %s: %s", c.Domain, what, server)}
	}
}

// lastAlias follows a chain of aliases to its end.
func lastAlias(reply *dns.Msg) string {
	name := reply.Question[0].Name
	for range reply.Answer {
		for _, record := range reply.Answer {
			if alias, ok := record.(*dns.CNAME); ok && dns.CanonicalName(alias.Hdr.Name) == dns.CanonicalName(name) {
				name = alias.Target
			}
		}
	}
	return name
}
