// Package explain turns the errors of the network into a line that says what
// was met and where, for people who have not seen the code.
package explain

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"
)

// Error is an explained error. The original is wrapped, not printed.
type Error struct {
	Text string
	Err  error
}

func (e *Error) Error() string { return e.Text }
func (e *Error) Unwrap() error { return e.Err }

// Network explains an error of connecting to, writing to or reading from
// address, which may be a host:port or the path of a unix socket. It returns
// nil for nil.
func Network(err error, address string) error {
	if err == nil {
		return nil
	}
	return &Error{network(err, address), err}
}

// Waiting is Network for a run that began at start with ctx, which may have run
// out of its time: then waiting says what it waited for, as in "no answer". Who
// is interrupted is not told that the other side is slow.
func Waiting(ctx context.Context, start time.Time, waiting, address string, err error) error {
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		return &Error{network(context.Canceled, address), errors.Join(context.Canceled, err)}
	}
	if budget, ok := Budget(ctx, start); ok && IsTimeout(err) {
		return &Error{fmt.Sprintf("%s within %v: %s", waiting, budget, address), err}
	}
	return Network(err, address)
}

func network(err error, address string) string {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		switch {
		case dns.IsNotFound:
			return fmt.Sprintf("name does not resolve: %s", dns.Name)
		case dns.IsTimeout:
			return fmt.Sprintf("name server does not answer: looking up %s", dns.Name)
		default:
			return fmt.Sprintf("name lookup failed: %s: %s", dns.Name, dns.Err)
		}
	}
	if text := certificate(err); text != "" {
		return fmt.Sprintf("TLS: %s: %s", text, address)
	}
	for _, known := range []struct {
		err  error
		text string
	}{
		{syscall.ECONNREFUSED, "connection refused"},
		{syscall.ECONNRESET, "connection reset"},
		{syscall.EPIPE, "connection closed by the other side"},
		{syscall.EHOSTUNREACH, "no route to host"},
		{syscall.ENETUNREACH, "network unreachable"},
		{syscall.EADDRNOTAVAIL, "no local address or port left"},
		{syscall.EMFILE, "too many open files in this process"},
		{fs.ErrNotExist, "no such socket"},
		{fs.ErrPermission, "permission denied"},
		{syscall.ETIMEDOUT, "connection timed out"},
		{io.ErrUnexpectedEOF, "connection closed in the middle of the answer"},
		{io.EOF, "connection closed without an answer"},
		{context.Canceled, "interrupted"},
		{net.ErrClosed, "connection closed"},
	} {
		if errors.Is(err, known.err) {
			return known.text + ": " + address
		}
	}
	if IsTimeout(err) {
		return "no answer in time: " + address
	}
	// It may quote what the other side said, as net/http does.
	return fmt.Sprintf("%s: %s", Line(Innermost(err)), address)
}

// certificate explains what is wrong with a server's certificate, or with its
// idea of TLS; empty if the error is about neither.
func certificate(err error) string {
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		cert := invalid.Cert
		if now := time.Now(); now.Before(cert.NotBefore) {
			return fmt.Sprintf("certificate is not valid before %s", cert.NotBefore.UTC().Format(time.DateTime))
		}
		return fmt.Sprintf("certificate expired on %s", cert.NotAfter.UTC().Format(time.DateTime))
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "certificate signed by an unknown authority"
	}
	if name, ok := errors.AsType[x509.HostnameError](err); ok {
		return fmt.Sprintf("certificate is not for %s but for %s", name.Host, names(name.Certificate))
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || errors.Is(err, http.ErrSchemeMismatch) {
		return "the server does not speak TLS on this port"
	}
	// Alerts, ours and the server's, and most other errors of crypto/tls have no
	// type of their own, but all begin so.
	if text, ok := strings.CutPrefix(Innermost(err), "tls: "); ok {
		return text
	}
	return ""
}

func names(cert *x509.Certificate) string {
	all := append([]string(nil), cert.DNSNames...)
	for _, ip := range cert.IPAddresses {
		all = append(all, ip.String())
	}
	if len(all) == 0 {
		return "no name at all"
	}
	if len(all) > 3 {
		all = append(all[:3], "...")
	}
	return Line(strings.Join(all, ", "))
}

// IsTimeout reports whether an error means that time ran out.
func IsTimeout(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// Innermost returns the text of the innermost error of a chain: the cause,
// without what each layer put before it. Of joined errors it takes the first.
func Innermost(err error) string {
	for {
		switch e := err.(type) { //nolint:errorlint // walks the chain itself
		case interface{ Unwrap() error }:
			if e.Unwrap() == nil {
				return err.Error()
			}
			err = e.Unwrap()
		case interface{ Unwrap() []error }:
			err = e.Unwrap()[0]
		default:
			return err.Error()
		}
	}
}

// Budget returns how long a run has between start and the deadline of its
// context, rounded up for people, since a run begins a moment after its context
// does; ok is false if there is no deadline.
func Budget(ctx context.Context, start time.Time) (d time.Duration, ok bool) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return 0, false
	}
	d = deadline.Sub(start)
	switch {
	case d >= time.Second:
		return roundUp(d, 100*time.Millisecond), true
	case d >= 100*time.Millisecond:
		return roundUp(d, 50*time.Millisecond), true
	default:
		return roundUp(d, time.Millisecond), true
	}
}

func roundUp(d, unit time.Duration) time.Duration { return (d + unit - 1).Truncate(unit) }
