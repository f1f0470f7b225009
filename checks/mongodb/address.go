package mongodb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"hale/checks"
	"hale/checks/internal/trust"
	"hale/internal/explain"
)

const (
	forms     = "write mongodb://USER:PASSWORD@HOST:PORT,HOST:PORT/DATABASE?replicaSet=NAME or mongodb+srv://USER:PASSWORD@HOST/DATABASE" //nolint:gosec // placeholders
	srvScheme = "mongodb+srv://"
)

// resolver is what net.Resolver has for mongodb+srv://.
type resolver interface {
	LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

func (c *Check) trust() trust.Options {
	return trust.Options{CA: c.CA, Certificate: c.Certificate, Key: c.Key, Dir: c.Dir, Insecure: c.Insecure}
}

// validateURL reads the URL as the driver does, without asking DNS.
func (c *Check) validateURL() error {
	if c.URL == "" {
		return errors.New("is missing: " + forms)
	}
	plain := c.URL
	if s, ok, err := parseSRV(c.URL); err != nil {
		return err
	} else if ok {
		plain = s.plain([]string{s.host}, nil)
	} else if !strings.HasPrefix(c.URL, "mongodb://") {
		return errors.New("has another scheme: " + forms)
	}
	// What the driver says of a URL without user and password can be repeated.
	_, rest, _ := strings.Cut(plain, "://")
	if at := strings.LastIndex(rest, "@"); at >= 0 {
		bare := "mongodb://" + rest[at+1:]
		if err := options.Client().ApplyURI(bare).Validate(); err != nil && options.Client().ApplyURI(plain).Validate() != nil {
			return unusable(err)
		}
		if options.Client().ApplyURI(plain).Validate() != nil {
			return errors.New("cannot be read: " + forms + ", with special characters in user and password percent-encoded (@ as %40, / as %2F, # as %23, ? as %3F, : as %3A)")
		}
		return nil
	}
	if err := options.Client().ApplyURI(plain).Validate(); err != nil {
		return unusable(err)
	}
	return nil
}

// unusable says what the driver finds wrong with a URL.
func unusable(err error) error {
	text := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "error parsing uri: "), "error validating uri: ")
	return fmt.Errorf("cannot be used: %s", explain.Line(text))
}

func (c *Check) validateTLS() error {
	if err := c.trust().Validate(); err != nil {
		return err
	}
	if (c.CA != "" || c.Certificate != "" || c.Insecure) && !c.tls() {
		return checks.Optionf("url", "has no tls=true, so that ca, certificate and insecure mean nothing: add it, or remove them")
	}
	return nil
}

// tls reports whether the URL demands TLS.
func (c *Check) tls() bool {
	plain := c.URL
	if s, ok, err := parseSRV(c.URL); err == nil && ok {
		plain = s.plain([]string{s.host}, nil)
	}
	return options.Client().ApplyURI(plain).TLSConfig != nil
}

// options returns the driver's settings for one run. Its errors are explained,
// and hold no password.
func (c *Check) options(ctx context.Context) (*options.ClientOptions, error) {
	plain := c.URL
	if s, ok, err := parseSRV(c.URL); err != nil {
		return nil, fmt.Errorf("url %w", err)
	} else if ok {
		resolver := c.resolver
		if resolver == nil {
			resolver = net.DefaultResolver
		}
		if plain, err = s.resolve(ctx, resolver); err != nil {
			return nil, err
		}
	}
	o := options.Client().ApplyURI(plain)
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("url %w", redact(c.URL, err))
	}
	if o.TLSConfig != nil && (c.CA != "" || c.Certificate != "" || c.Insecure) {
		config, err := c.trust().Config("")
		if err != nil {
			return nil, err
		}
		o.SetTLSConfig(config)
	}
	if o.AppName == nil {
		o.SetAppName("hale")
	}
	// The client's life is one run's: no monitor needs a connection of its own,
	// and the run's time is the only limit.
	o.SetServerMonitoringMode("poll").SetMinPoolSize(0).SetMaxPoolSize(1).SetRetryReads(false)
	if deadline, ok := ctx.Deadline(); ok {
		o.SetServerSelectionTimeout(max(time.Millisecond, time.Until(deadline)))
	}
	return o, nil
}

// srv is a URL whose hosts are in DNS (Initial DNS Seedlist Discovery). It is
// resolved here, since the driver does so without regard to the run's time.
type srv struct {
	login string // with its @; may be empty
	host  string
	rest  string // /DATABASE
	query url.Values
}

// parseSRV takes a URL of the form mongodb+srv:// apart; ok is false for any
// other.
func parseSRV(raw string) (s srv, ok bool, err error) {
	raw, ok = strings.CutPrefix(raw, srvScheme)
	if !ok {
		return srv{}, false, nil
	}
	if at := strings.LastIndex(raw, "@"); at >= 0 {
		s.login, raw = raw[:at+1], raw[at+1:]
	}
	raw, query, _ := strings.Cut(raw, "?")
	s.host, s.rest, _ = strings.Cut(raw, "/")
	s.rest = "/" + s.rest
	if s.query, err = url.ParseQuery(query); err != nil {
		return srv{}, false, errors.New("cannot be read: " + forms)
	}
	if s.host == "" || strings.ContainsAny(s.host, ":,") {
		return srv{}, false, errors.New("has to name one host without a port after mongodb+srv://: " + forms)
	}
	return s, true, nil
}

// plain returns the URL with its hosts in place. More are the options from DNS,
// which those of the URL go before.
func (s srv) plain(hosts []string, more url.Values) string {
	query := url.Values{"tls": {"true"}}
	for _, values := range []url.Values{more, s.query} {
		for key, value := range values {
			switch strings.ToLower(key) {
			case "ssl", "tls":
				query["tls"] = value
			case "srvmaxhosts", "srvservicename":
			default:
				query[key] = value
			}
		}
	}
	return "mongodb://" + s.login + strings.Join(hosts, ",") + s.rest + "?" + query.Encode()
}

// resolve asks DNS for the hosts and the options. Its errors are explained.
func (s srv) resolve(ctx context.Context, resolver resolver) (string, error) {
	service := cmp.Or(s.query.Get("srvServiceName"), "mongodb")
	_, records, err := resolver.LookupSRV(ctx, service, "tcp", s.host)
	if err != nil {
		return "", explain.Network(err, s.host)
	}
	var hosts []string
	for _, record := range records {
		host := strings.TrimSuffix(record.Target, ".")
		// Else whoever answers for DNS could have the password sent anywhere.
		if !strings.HasSuffix(strings.ToLower(host), "."+parent(s.host)) {
			return "", fmt.Errorf("DNS names a server outside of %s for %s: %s", parent(s.host), s.host, explain.Line(host))
		}
		hosts = append(hosts, net.JoinHostPort(host, strconv.Itoa(int(record.Port))))
	}
	if len(hosts) == 0 {
		return "", fmt.Errorf("DNS names no server for %s", s.host)
	}
	if most, err := strconv.Atoi(s.query.Get("srvMaxHosts")); err == nil && most > 0 && most < len(hosts) {
		hosts = hosts[:most]
	}
	texts, err := resolver.LookupTXT(ctx, s.host)
	if dns, ok := errors.AsType[*net.DNSError](err); err != nil && (!ok || !dns.IsNotFound) {
		return "", explain.Network(err, s.host)
	}
	if len(texts) > 1 {
		return "", fmt.Errorf("DNS has more than one TXT record for %s", s.host)
	}
	var more url.Values
	for _, text := range texts {
		if more, err = url.ParseQuery(text); err != nil {
			return "", fmt.Errorf("the TXT record of %s is not made of options", s.host)
		}
		for key := range more {
			switch strings.ToLower(key) {
			case "authsource", "replicaset", "loadbalanced":
			default:
				return "", fmt.Errorf("the TXT record of %s has an option that it must not: %s", s.host, explain.Line(key))
			}
		}
	}
	return s.plain(hosts, more), nil
}

// parent returns the domain that a name's servers have to be in: what follows
// its first label, or the name itself if that has fewer than three.
func parent(host string) string {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if strings.Count(host, ".") < 2 {
		return host
	}
	_, domain, _ := strings.Cut(host, ".")
	return domain
}
