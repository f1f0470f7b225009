// Package detect looks at the files of an app and writes a first hale.yaml for
// it: what it is written in, where it answers, which hosts it accepts, which
// database and which environment variables it needs.
//
// Files are read as text and nothing of the app is run, so that looking is
// quick, harmless, and works without the app's own tools. What a file does not
// say is assumed, and every assumption is a Finding that says so. Secrets are
// never copied: the result names the variables that hold them.
package detect

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Report is what was seen of an app.
type Report struct {
	Framework string    `json:"framework"` // "Django"; "" where none was recognised
	Findings  []Finding `json:"findings"`  // in the order in which they were made
	YAML      []byte    `json:"-"`         // a whole hale.yaml with comments
}

// Finding is one thing that was found, or assumed for want of finding it.
type Finding struct {
	Text    string `json:"text"`           // one sentence without a full stop
	File    string `json:"file,omitempty"` // below the app's directory, with slashes; "" where it is in no file
	Line    int    `json:"line,omitempty"` // 0 = the file as a whole
	Assumed bool   `json:"assumed"`        // a guess to be looked at, not a fact
}

// Where returns "FILE:LINE", "FILE" or "".
func (f Finding) Where() string {
	if f.Line > 0 {
		return fmt.Sprintf("%s:%d", f.File, f.Line)
	}
	return f.File
}

// String returns the finding as one line.
func (f Finding) String() string {
	var b strings.Builder
	if f.Assumed {
		b.WriteString("assumed: ")
	}
	b.WriteString(f.Text)
	if where := f.Where(); where != "" {
		b.WriteString(" (" + where + ")")
	}
	return b.String()
}

// Dir looks at the app in dir. It never leaves dir, also not by a symbolic
// link. An app that it does not recognise is no error: the report then holds
// what could be told all the same.
func Dir(dir string) (*Report, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("look at the app: %w", err)
	}
	defer root.Close()
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("look at the app: %w", err)
	}
	return look(&tree{root.FS(), abs}), nil
}

func look(t *tree) *Report {
	a := &app{}
	for _, f := range frameworks() {
		if f.look(t, a) {
			a.framework = f.name
			break
		}
	}
	for _, complete := range []func(*tree, *app){procfile, compose, dockerfile, environmentFile} {
		complete(t, a)
	}
	a.findMigrations(t)
	a.settle()
	return &Report{Framework: a.framework, Findings: a.findings, YAML: a.yaml()}
}

// framework is one kind of app. Look says whether the tree holds such an app,
// and then fills in what it found.
type framework struct {
	name string
	look func(*tree, *app) bool
}

// frameworks returns all kinds, the more telling ones first: a Rails app has a
// package.json too.
func frameworks() []framework {
	return []framework{
		{"Django", django},
		{"Rails", rails},
		{"Spring Boot", springBoot},
		{"Laravel", laravel},
		{"Symfony", symfony},
		{"WordPress", wordPress},
		{"PHP", php},
		{"Next.js", nextJS},
		{"NestJS", nestJS},
		{"Express", express},
		{"Fastify", fastify},
		{"Node.js", node},
		{"FastAPI", fastAPI},
		{"Flask", flask},
		{"Go", golang},
	}
}

// Write writes a hale.yaml to path. It never overwrites: a file that is there
// already is an error that says what to do.
func Write(path string, yaml []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // it holds no secret, and others than the owner may read it
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s: %w and is left as it is: move it away first, or print the new one instead (hale init --print)", path, fs.ErrExist)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.Write(yaml)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, errors.Join(err, os.Remove(path)))
	}
	return nil
}
