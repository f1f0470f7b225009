package explain_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"hale/internal/explain"
)

func TestNetwork(t *testing.T) {
	t.Parallel()
	op := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", err)}
	}
	for _, test := range []struct {
		err  error
		want string
	}{
		{op(syscall.ECONNREFUSED), "connection refused: db:5432"},
		{op(syscall.ECONNRESET), "connection reset: db:5432"},
		{op(syscall.EHOSTUNREACH), "no route to host: db:5432"},
		{op(syscall.ETIMEDOUT), "connection timed out: db:5432"},
		{op(syscall.EACCES), "permission denied: db:5432"},
		{op(fs.ErrNotExist), "no such socket: db:5432"},
		{fmt.Errorf("read: %w", io.EOF), "connection closed without an answer: db:5432"},
		{io.ErrUnexpectedEOF, "connection closed in the middle of the answer: db:5432"},
		{context.DeadlineExceeded, "no answer in time: db:5432"},
		{os.ErrDeadlineExceeded, "no answer in time: db:5432"},
		{context.Canceled, "interrupted: db:5432"},
		{&net.DNSError{Name: "db.invalid", IsNotFound: true}, "name does not resolve: db.invalid"},
		{&net.DNSError{Name: "db", IsTimeout: true}, "name server does not answer: looking up db"},
		{&net.DNSError{Name: "db", Err: "server misbehaving"}, "name lookup failed: db: server misbehaving"},
		{errors.New("odd"), "odd: db:5432"},
		{fmt.Errorf("layer: %w", errors.New("odd")), "odd: db:5432"},
		{errors.New("said\x1b[31m " + strings.Repeat("x", 1000)), "said[31m " + strings.Repeat("x", 191) + "...: db:5432"},
		{x509.HostnameError{Certificate: &x509.Certificate{DNSNames: []string{"a\x1b[31m.example"}}, Host: "h"}, "TLS: certificate is not for h but for a[31m.example: db:5432"},
		{errors.Join(nil, errors.New("odd"), io.ErrNoProgress), "odd: db:5432"},
	} {
		got := explain.Network(test.err, "db:5432")
		if got == nil || got.Error() != test.want || !errors.Is(got, test.err) {
			t.Errorf("%v is explained as %v, want %s", test.err, got, test.want)
		}
	}
	if err := explain.Network(nil, "db:5432"); err != nil {
		t.Errorf("nil is explained as %v", err)
	}
}

func TestWaiting(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	start := time.Now()
	late := fmt.Errorf("read: %w", os.ErrDeadlineExceeded)
	for _, test := range []struct {
		err  error
		want string
	}{
		{late, "no answer within 1h0m0s: db:5432"},
		{syscall.ECONNREFUSED, "connection refused: db:5432"},
	} {
		if got := explain.Waiting(ctx, start, "no answer", "db:5432", test.err); got.Error() != test.want || !errors.Is(got, test.err) {
			t.Errorf("%v: %v, want %s", test.err, got, test.want)
		}
	}
	cancel()
	if got := explain.Waiting(ctx, start, "no answer", "db:5432", late); got.Error() != "interrupted: db:5432" || !errors.Is(got, context.Canceled) {
		t.Errorf("cancelled: %v", got)
	}
	if got := explain.Waiting(ctx, start, "no answer", "db:5432", nil); got != nil {
		t.Errorf("no error: %v", got)
	}
}

func TestBudget(t *testing.T) {
	t.Parallel()
	start := time.Now()
	for given, want := range map[time.Duration]string{
		5 * time.Second: "5s", 4990 * time.Millisecond: "5s", 299 * time.Millisecond: "300ms", 52 * time.Millisecond: "52ms",
	} {
		ctx, cancel := context.WithDeadline(t.Context(), start.Add(given))
		if got, ok := explain.Budget(ctx, start); !ok || got.String() != want {
			t.Errorf("%v is %v, want %s", given, got, want)
		}
		cancel()
	}
	if _, ok := explain.Budget(t.Context(), start); ok {
		t.Error("there is a budget without a deadline")
	}
}

func TestLine(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                            "",
		"\n \n first\r\nsecond":       "first",
		"a\tb\x00c\x1b[0m":            "a bc[0m",
		"caf\xc3\xa9 \xff":            "café \uFFFD",
		strings.Repeat("é", 200):      strings.Repeat("é", 200),
		strings.Repeat("é", 201) + "": strings.Repeat("é", 200) + "...",
	} {
		if got := explain.Line(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func FuzzLine(f *testing.F) {
	f.Add("OK - \x1b[31mred\xff\n")
	f.Fuzz(func(t *testing.T, s string) {
		line := explain.Line(s)
		if !utf8.ValidString(line) || utf8.RuneCountInString(line) > 203 || strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) && r != ' ' }) {
			t.Errorf("%q becomes %q", s, line)
		}
	})
}
