package migrations

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"hale/internal/account"
)

// djangoOptions are those that concern Django alone.
type djangoOptions struct {
	python   string
	settings string
	alias    string
	apps     []string
	user     string
	lookup   func(string) (string, bool)
	environ  func() []string
	url      string // of the database; no message may hold it
}

// noPython, as the interpreter, has the files read instead.
const noPython = "none"

// errNoDjango says that an interpreter cannot import Django, so that it is not
// the project's.
var errNoDjango = errors.New("has no Django")

// loadDjango asks the project's own interpreter for the migrations, or reads the
// files where there is none.
func loadDjango(ctx context.Context, s source) (code, error) {
	project, err := s.loadDjango(ctx)
	if err != nil {
		return nil, err
	}
	for _, app := range s.django.apps {
		if migrated, installed := project.apps[app]; !installed || !migrated {
			return nil, fmt.Errorf("apps names %q, which is not an app with migrations", app)
		}
	}
	project.only = s.django.apps
	return project, nil
}

func (s source) loadDjango(ctx context.Context) (*django, error) {
	if !isDir(s.dir) {
		return nil, fmt.Errorf("no such directory: %s", s.dir)
	}
	var reason string
	switch pythons := s.pythons(); {
	case s.django.python == noPython:
		reason = "as its files say"
	case len(s.paths) > 0:
		reason = "as its files in paths say"
	case len(pythons) == 0:
		reason = "as its files say: there is no python3"
	default:
		var err error
		for _, python := range pythons {
			var project *django
			if project, err = s.askDjango(ctx, python); err == nil {
				return project, nil
			}
			if !errors.Is(err, errNoDjango) || s.django.python != "" {
				return nil, err
			}
		}
		reason = "as its files say: " + err.Error()
	}
	project, err := readDjango(ctx, s)
	if err != nil {
		return nil, err
	}
	if len(project.migrations) == 0 {
		// A project may bring none, but where files are all that is known that
		// would prove nothing.
		return nil, fmt.Errorf("no migrations below %s (%s): set dir, paths or python", s.dir, reason)
	}
	project.partial = reason
	return project, nil
}

// pythons returns the interpreters that may be the project's, the likeliest
// first.
func (s source) pythons() []string {
	if python := s.django.python; python != "" {
		if strings.Contains(python, "/") {
			python = s.path(python)
		}
		return []string{python}
	}
	places := []string{filepath.Join(s.dir, ".venv"), filepath.Join(s.dir, "venv")}
	if env, ok := s.variable("VIRTUAL_ENV"); ok && env != "" {
		places = append(places, env)
	}
	var found []string
	for _, place := range places {
		if python := filepath.Join(place, "bin/python"); isFile(python) {
			found = append(found, python)
		}
	}
	// A system's packages of Django are for the system's own interpreter.
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if python, err := exec.LookPath(name); err == nil && !slices.Contains(found, python) {
			found = append(found, python)
		}
	}
	return found
}

// variable finds a variable of the app's environment.
func (s source) variable(name string) (string, bool) {
	for _, variable := range s.environment() {
		if value, ok := strings.CutPrefix(variable, name+"="); ok {
			return value, true
		}
	}
	if s.django.lookup == nil {
		return os.LookupEnv(name)
	}
	return s.django.lookup(name)
}

// askDjango runs the interpreter once.
func (s source) askDjango(ctx context.Context, python string) (*django, error) {
	alias := cmp.Or(s.django.alias, "default")
	p := interpreter{path: python, dir: s.dir, hidden: s.secrets()}
	if err := s.command(&p); err != nil {
		return nil, err
	}
	p.env = slices.Concat(p.env, []string{"HALE_DATABASE_ALIAS=" + alias})
	document, err := p.run(ctx)
	if err != nil {
		return nil, err
	}
	project, plan, err := parsePlan(document)
	if err != nil {
		return nil, fmt.Errorf("%s could not tell the project's migrations: %w", python, err)
	}
	return project, plan.fits(alias, s.kind)
}

// command says what to run: manage.py's shell, so that everything is as the
// project itself sets it up, or without manage.py Django with the settings.
func (s source) command(p *interpreter) error {
	p.env = slices.Concat(os.Environ(), s.environment(), []string{"PYTHONDONTWRITEBYTECODE=1"})
	if s.django.user != "" {
		user, err := account.Lookup(s.django.user)
		if err != nil {
			return fmt.Errorf("user %s: %w", s.django.user, err)
		}
		p.credential = user.Credential()
		p.env = slices.Concat(p.env, user.Environment())
	}
	if isFile(filepath.Join(s.dir, "manage.py")) {
		p.args = []string{"manage.py", "shell", "--command", djangoScript}
		if s.django.settings != "" {
			p.args = append(p.args, "--settings", s.django.settings)
		}
		return nil
	}
	settings := s.django.settings
	if settings == "" {
		settings, _ = s.variable(settingsVariable)
	}
	if settings == "" {
		return fmt.Errorf("no manage.py in %s, and DJANGO_SETTINGS_MODULE is not set: set dir or settings", s.dir)
	}
	p.args = []string{"-c", "import django\ndjango.setup()\n" + djangoScript}
	p.env = append(p.env, settingsVariable+"="+settings)
	return nil
}

const settingsVariable = "DJANGO_SETTINGS_MODULE"

// environment returns the variables that the app has beside those of this
// process.
func (s source) environment() []string {
	if s.django.environ == nil {
		return nil
	}
	return s.django.environ()
}
