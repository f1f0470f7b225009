package sites

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"hale/test/servers"
)

// A setting is what the words between @ signs in a configuration stand for:
//
//	@address@, @port@      where the site listens
//	@dir@                  a directory that every user may read
//	@app@                  the loopback address of a well-behaved application
//	@silent@               that of an application that never answers
//	@nobody@               a loopback address on which nobody listens
//	@certificate@, @key@   files, for the site's public names
//	@pem@                  both in one file
//
// What a configuration does not mention is not started.
type setting struct {
	t       testing.TB
	address string
	words   map[string]string
	// logs are those of the programs behind the site's own.
	logs []string
}

// newSetting is the setting of a site that listens on a free address of Private.
func newSetting(t testing.TB) *setting {
	address := private(t)
	return &setting{t: t, address: address, words: map[string]string{
		"@address@": address, "@port@": portOf(address),
	}}
}

var word = regexp.MustCompile(`@[a-z]+@`)

// fill returns a configuration with the words replaced.
func (s *setting) fill(configuration string) string {
	return word.ReplaceAllStringFunc(configuration, func(w string) string {
		if s.words[w] == "" {
			s.define(w)
		}
		return s.words[w]
	})
}

// dir returns the directory that every user may read.
func (s *setting) dir() string { return s.fill("@dir@") }

// file writes a file into the directory, with words replaced, and returns its
// path. Every user may read it. It is as old as a file that was deployed an
// hour ago: servers know files that were changed just now, and so does who
// looks for programs that have not read their configuration.
func (s *setting) file(name, content string) string {
	s.t.Helper()
	path := filepath.Join(s.dir(), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(s.fill(content)), 0o644); err != nil {
		s.t.Fatal(err)
	}
	deployed := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, deployed, deployed); err != nil {
		s.t.Fatal(err)
	}
	return path
}

func (s *setting) define(w string) {
	switch w {
	case "@dir@":
		s.words[w] = publicDir(s.t)
	case "@app@":
		s.words[w] = serve(s.t, "127.0.0.1", app())
	case "@silent@":
		s.words[w] = serve(s.t, "127.0.0.1", http.HandlerFunc(silence))
	case "@nobody@":
		s.words[w] = loopback(s.t)
	case "@certificate@", "@key@", "@pem@":
		s.certify(servers.NewCertificate(s.t, Domain, "www."+Domain))
	default:
		s.t.Fatalf("a configuration says %s, which stands for nothing", w)
	}
}

// silence holds a request until its client goes, or the test ends.
func silence(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// publicDir makes a directory that every user may read, until the test ends. It
// is not one of t.TempDir, whose parent only the test's own user may enter.
func publicDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hale-site-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// site returns the site at the setting's address.
func (s *setting) site(log ...string) Site { return site(s.address, append(log, s.logs...)...) }

// on returns the port of the site on another host.
func (s *setting) on(host string) string { return net.JoinHostPort(host, portOf(s.address)) }

func chmod(t testing.TB, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// thereIs is ready when a file is there.
func thereIs(file string) func(context.Context) error {
	return func(context.Context) error {
		_, err := os.Stat(file)
		return err
	}
}
