// Package dns checks that a name resolves, and to what it should.
package dns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"hale/checks"
	"hale/internal/explain"
)

// Check looks up a name.
//
// It proves that the system's resolver, or a given name server, has an answer,
// and what the answer is. It does not prove that other machines get the same
// one: name servers cache, and may answer each asker differently. It costs one
// question a run, or two for IPv4 and IPv6. It needs no rights.
//
// Without Server, addresses (and names of addresses) are looked up as Go
// programs do: in /etc/hosts, then at the name servers of /etc/resolv.conf with
// its search list, in the order of /etc/nsswitch.conf; sources of C libraries
// alone (mDNS, SSSD, nscd) are not asked. All other records are asked of the
// name servers of /etc/resolv.conf, and the name is taken as complete.
//
//	&dns.Check{Domain: "db.internal", Expect: []string{"10.0.0.0/8"}, Only: true}
//	&dns.Check{Domain: "mysite.com", Record: "MX", Server: "10.0.0.2"}
type Check struct {
	Domain     string   `yaml:"domain" jsonschema:"required" jsonschema_description:"The name to look up, with record PTR an address."`
	Record     string   `yaml:"record" jsonschema:"enum=A,enum=AAAA,enum=CNAME,enum=MX,enum=NS,enum=PTR,enum=SRV,enum=TXT" jsonschema_description:"The kind of record; without it, addresses of either kind."`
	Server     string   `yaml:"server" jsonschema_description:"The name server to ask, host or host:port; without it, the system's resolver."`
	Expect     []string `yaml:"expect" jsonschema_description:"Values that must all be among the answers; for addresses also networks, of which one must hold an answer."`
	Only       bool     `yaml:"only" jsonschema:"default=false" jsonschema_description:"There may be no answers beside those of expect."`
	MinAnswers int      `yaml:"min_answers" jsonschema:"default=1,minimum=1" jsonschema_description:"The least number of answers."`
	TCP        bool     `yaml:"tcp" jsonschema:"default=false" jsonschema_description:"Ask over TCP from the start, not only when an answer is too large for UDP."`

	resolvConf string // file; empty means /etc/resolv.conf
}

// records are the kinds of records that can be asked for.
var records = map[string]uint16{
	"A": dns.TypeA, "AAAA": dns.TypeAAAA, "CNAME": dns.TypeCNAME, "MX": dns.TypeMX,
	"NS": dns.TypeNS, "PTR": dns.TypePTR, "SRV": dns.TypeSRV, "TXT": dns.TypeTXT,
}

// Validate refuses what is no name, and expectations that no answer can meet.
func (c *Check) Validate() error {
	var errs []error
	_, notAddress := netip.ParseAddr(c.Domain)
	_, notName := dns.IsDomainName(c.Domain)
	switch {
	case c.Domain == "":
		errs = append(errs, checks.Optionf("domain", "is missing: write the name to look up"))
	case c.Record == "PTR" && notAddress != nil && !strings.HasSuffix(strings.TrimSuffix(c.Domain, "."), ".arpa"):
		errs = append(errs, checks.Optionf("domain", "%q is not an address, for which PTR asks", c.Domain))
	case c.Record != "PTR" && notAddress == nil:
		errs = append(errs, checks.Optionf("domain", "%q is an address, not a name; with record PTR its name is asked for", c.Domain))
	case !notName || strings.ContainsAny(c.Domain, " \t\n/"):
		errs = append(errs, checks.Optionf("domain", "%q is not a name of DNS", c.Domain))
	}
	if _, ok := records[c.Record]; !ok && c.Record != "" {
		errs = append(errs, checks.Optionf("record", "%q is not a kind of record known here: write A, AAAA, CNAME, MX, NS, PTR, SRV or TXT", c.Record))
	}
	if c.Server != "" {
		if _, _, err := net.SplitHostPort(serverAddress(c.Server)); err != nil || strings.ContainsAny(c.Server, " /") {
			errs = append(errs, checks.Optionf("server", "%q is neither host nor host:port", c.Server))
		}
	}
	for _, want := range c.Expect {
		if c.addresses() && !isNetwork(want) {
			errs = append(errs, checks.Optionf("expect", "%q is neither an address nor a network such as 10.0.0.0/8", want))
		}
	}
	if c.Only && len(c.Expect) == 0 {
		errs = append(errs, checks.Optionf("only", "goes with expect, which is missing"))
	}
	if c.MinAnswers < 0 {
		errs = append(errs, checks.Optionf("min_answers", "%d is negative", c.MinAnswers))
	}
	return errors.Join(errs...)
}

// addresses tells whether the answers are addresses.
func (c *Check) addresses() bool { return c.Record == "" || c.Record == "A" || c.Record == "AAAA" }

// serverAddress completes the address of a name server.
func serverAddress(server string) string {
	if _, err := netip.ParseAddr(server); err == nil {
		return net.JoinHostPort(server, "53")
	}
	if _, _, err := net.SplitHostPort(server); err == nil {
		return server
	}
	return net.JoinHostPort(server, "53")
}

// Run asks, and judges the answers.
func (c *Check) Run(ctx context.Context) (string, error) {
	found, where, err := c.lookUp(ctx)
	if err != nil {
		return "", err
	}
	if least := cmp.Or(c.MinAnswers, 1); len(found) < least {
		return "", fmt.Errorf("%s has %s, expected at least %d%s", c.Domain, counted(found), least, where)
	}
	if text := c.unexpected(found); text != "" {
		return "", errors.New(text + where)
	}
	text := fmt.Sprintf("%s: %s", c.Domain, list(found))
	if ttl, ok := shortest(found); ok {
		text += fmt.Sprintf(" (for %v)", ttl)
	}
	return text + where, nil
}

// unexpected says what is missing among the answers, or too much; empty if
// nothing is.
func (c *Check) unexpected(found []answer) string {
	for _, want := range c.Expect {
		if !slices.ContainsFunc(found, func(a answer) bool { return a.is(want) }) {
			return fmt.Sprintf("%s: expected %s among the answers, got %s", c.Domain, want, list(found))
		}
	}
	if !c.Only {
		return ""
	}
	for _, a := range found {
		if !slices.ContainsFunc(c.Expect, a.is) {
			return fmt.Sprintf("%s: %s is not expected among the answers %s", c.Domain, a, list(found))
		}
	}
	return ""
}

// lookUp returns the answers, of which there is at least one, and where they
// are from as the end of a message.
func (c *Check) lookUp(ctx context.Context) (found []answer, where string, err error) {
	switch {
	case c.Server != "":
		found, err = c.ask(ctx, []string{serverAddress(c.Server)})
		return found, ": " + serverAddress(c.Server), err
	case c.addresses() || c.Record == "PTR":
		found, err = c.system(ctx)
		return found, "", err
	default:
		config, err := dns.ClientConfigFromFile(cmp.Or(c.resolvConf, "/etc/resolv.conf"))
		if err != nil {
			return nil, "", fmt.Errorf("no name servers: %s", explain.Line(err.Error()))
		}
		var servers []string
		for _, server := range config.Servers {
			servers = append(servers, net.JoinHostPort(server, config.Port))
		}
		if len(servers) == 0 {
			return nil, "", errors.New("no name servers in " + cmp.Or(c.resolvConf, "/etc/resolv.conf"))
		}
		found, err = c.ask(ctx, servers)
		return found, "", err
	}
}

// system looks up addresses, and names of addresses, with the system's
// resolver.
func (c *Check) system(ctx context.Context) ([]answer, error) {
	start := time.Now()
	resolver := &net.Resolver{PreferGo: true}
	var found []answer
	var err error
	if c.Record == "PTR" {
		var names []string
		names, err = resolver.LookupAddr(ctx, c.Domain)
		for _, name := range names {
			found = append(found, answer{forms: []string{plain(name)}})
		}
	} else {
		var addresses []netip.Addr
		addresses, err = resolver.LookupNetIP(ctx, map[string]string{"": "ip", "A": "ip4", "AAAA": "ip6"}[c.Record], c.Domain)
		for _, address := range addresses {
			found = append(found, answer{forms: []string{address.Unmap().String()}})
		}
	}
	if err == nil {
		return found, nil
	}
	if budget, ok := explain.Budget(ctx, start); ok && ctx.Err() != nil && explain.IsTimeout(ctx.Err()) {
		return nil, &explain.Error{Text: fmt.Sprintf("no answer within %v: looking up %s", budget, c.Domain), Err: err}
	}
	return nil, explain.Network(err, c.Domain)
}
