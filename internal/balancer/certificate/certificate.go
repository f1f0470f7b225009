// Package certificate holds the certificates that listeners can name: from files,
// read again when they change, and obtained by ACME (RFC 8555).
package certificate

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Source is where a certificate comes from: files, or an authority for domains.
type Source struct {
	// ARN is what listeners name it by.
	ARN string

	// CertificateFile and PrivateKeyFile are in PEM; the chain follows the
	// certificate.
	CertificateFile, PrivateKeyFile string

	// ACME is in place of files, if it has domains.
	ACME ACME

	// Unread says that files which cannot be read are no error: the log is told, and
	// they are read when they have changed. Until then, clients have no certificate.
	Unread bool
}

// certificate is one that a Store has.
type certificate interface {
	// get returns the certificate for a client.
	get(hello *tls.ClientHelloInfo) (*tls.Certificate, error)
	// changed reads again what may have changed. With an error, what was there
	// stays.
	changed() (bool, error)
}

// checkEvery is how often files are looked at.
const checkEvery = 10 * time.Second

// Store holds certificates by ARN. Its methods may be called at the same time. The
// zero value has none.
type Store struct {
	// Log is told of files that were read again, and that could not be. Nil:
	// nobody is.
	Log *slog.Logger

	mu   sync.Mutex // one Use or look at a time
	held atomic.Pointer[map[string]held]
}

// held is a certificate and where it came from.
type held struct {
	source Source
	certificate
}

func (s *Store) all() map[string]held {
	if all := s.held.Load(); all != nil {
		return *all
	}
	return nil
}

func (s *Store) log() *slog.Logger {
	if s.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Log
}

// Use has the store hold these certificates, and no others. What it has already is
// read again; if that fails, what was read before stays, and the log is told. A new
// one that cannot be read is an error, and nothing is changed then.
func (s *Store) Use(sources []Source) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, next := s.all(), make(map[string]held, len(sources))
	var errs []error
	for _, source := range sources {
		if there, ok := old[source.ARN]; ok && same(there.source, source) {
			next[source.ARN] = there
			s.look(source.ARN, there)
			continue
		}
		made, err := open(source)
		switch {
		case err != nil && source.Unread:
			s.log().Error("a certificate cannot be read: clients of its listeners are refused until it can be", "certificate", source.ARN, "error", err)
		case err != nil:
			errs = append(errs, err)
			continue
		}
		next[source.ARN] = held{source, made}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	s.held.Store(&next)
	return nil
}

// same tells whether both are of one place.
func same(a, b Source) bool {
	return sameFile(a.CertificateFile, b.CertificateFile) && sameFile(a.PrivateKeyFile, b.PrivateKeyFile) && a.ACME.same(b.ACME)
}

// sameFile compares two names, of which one may be relative.
func sameFile(a, b string) bool {
	if a == b || a == "" || b == "" {
		return a == b
	}
	first, err := filepath.Abs(a)
	second, err2 := filepath.Abs(b)
	return err == nil && err2 == nil && first == second
}

// open returns a certificate; one of files, also with an error.
func open(s Source) (certificate, error) {
	if len(s.ACME.DomainNames) > 0 {
		return obtained(s.ACME), nil
	}
	f := &files{certificateFile: s.CertificateFile, keyFile: s.PrivateKeyFile}
	_, err := f.changed()
	return f, err
}

// Has tells whether there is a certificate of that ARN.
func (s *Store) Has(arn string) bool {
	_, ok := s.all()[arn]
	return ok
}

// Certificate returns the certificate of that ARN for a client that says hello.
func (s *Store) Certificate(arn string, hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c, ok := s.all()[arn]
	if !ok {
		return nil, fmt.Errorf("there is no certificate %s", arn)
	}
	return c.get(hello)
}

// Watch looks at files from time to time, until ctx ends.
func (s *Store) Watch(ctx context.Context) {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.Look()
		case <-ctx.Done():
			return
		}
	}
}

// Look reads the files again that have changed. What cannot be read stays as it
// was, and the log is told, once for each change.
func (s *Store) Look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.all()
	for _, arn := range slices.Sorted(maps.Keys(all)) {
		s.look(arn, all[arn])
	}
}

func (s *Store) look(arn string, c held) {
	switch changed, err := c.changed(); {
	case err != nil:
		s.log().Error("a certificate has changed and cannot be read: the one before is used", "certificate", arn, "error", err)
	case changed:
		s.log().Info("a certificate has changed", "certificate", arn)
	}
}
