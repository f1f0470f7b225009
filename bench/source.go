package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path"
	"path/filepath"
)

// source is a Go program's package and version. Built here, it has the same Go in
// it as hale, and is not as old as a distribution's.
type source struct{ pkg, version string }

var (
	caddySource = source{"github.com/caddyserver/caddy/v2/cmd/caddy", "v2.11.9"}
	kamalSource = source{"github.com/basecamp/kamal-proxy/cmd/kamal-proxy", "v0.9.0"}
)

// builtDir is where built programs stay for the next run.
const builtDir = "bench/out"

func (s source) name() string { return path.Base(s.pkg) }

func (s source) dir() string { return filepath.Join(builtDir, s.name()+"-"+s.version) }

// program is the path of the one that was built, or the name of the one that is
// installed.
func (s source) program() string {
	file, err := filepath.Abs(filepath.Join(s.dir(), s.name()))
	if err == nil && s.built() {
		return file
	}
	return s.name()
}

func (s source) built() bool {
	_, err := os.Stat(filepath.Join(s.dir(), s.name()))
	return err == nil
}

// build has the program fetched and built, unless it was before.
func (s source) build(ctx context.Context, log *slog.Logger) error {
	if s.built() {
		return nil
	}
	dir, err := filepath.Abs(s.dir())
	if err != nil {
		return err
	}
	log.Info("building", "program", s.name(), "version", s.version)
	cmd := exec.CommandContext(ctx, "go", "install", "-trimpath", "-ldflags=-s -w", s.pkg+"@"+s.version)
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "CGO_ENABLED=0")
	cmd.Dir = os.TempDir() // outside of our module
	if out, err := cmd.CombinedOutput(); err != nil {
		lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
		return fmt.Errorf("%s %s cannot be built: %w: %s", s.name(), s.version, err, bytes.TrimSpace(lines[len(lines)-1]))
	}
	return nil
}

// obtain sees to it that the peer's program is there: it builds it from its source,
// or looks for an installed one.
func (p peer) obtain(ctx context.Context, log *slog.Logger) error {
	if p.source == (source{}) {
		_, err := exec.LookPath(p.argv("", site{})[0])
		return err
	}
	failed := p.source.build(ctx, log)
	if failed == nil {
		return nil
	}
	_, err := exec.LookPath(p.source.name())
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return failed
	}
	if err == nil {
		log.Warn("the installed one is measured", "error", failed)
	}
	return err
}
