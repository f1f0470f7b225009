package config

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"hale/internal/yamlfile"

	"go.yaml.in/yaml/v4"

	"hale/checks"
	"hale/health"
	"hale/internal/checktype"
)

// Check is one entry of health.checks: what every check has, and the options
// of its type; or a group of checks.
type Check struct {
	// Name of the check, unlike that of any other. It is in the health answer and in the path /health/checks/NAME.
	Name string `yaml:"name" jsonschema:"required"`
	// What kind of check it is. A group has any or all instead.
	Type string `yaml:"type"`
	// Templates whose keys the check has besides its own: a name of health.templates, or a list of several, of which the later ones win.
	Template OneOrMore[string] `yaml:"template"`
	// Time from the start of one run to the start of the next.
	Interval time.Duration `yaml:"interval" jsonschema:"default=10s,minimum=10ms,maximum=24h"`
	// Time that one run may take; a longer one has failed.
	Timeout time.Duration `yaml:"timeout" jsonschema:"default=5s,exclusiveMinimum=0,maximum=24h"`
	// Passes in a row that turn a failing check into a passing one.
	Rise int `yaml:"rise" jsonschema:"default=1,minimum=1,maximum=1000"`
	// Failures in a row that turn a passing check into a failing one.
	Fall int `yaml:"fall" jsonschema:"default=1,minimum=1,maximum=1000"`
	// What a failure does to the verdict: critical fails it, degraded only warns.
	Impact health.Impact `yaml:"impact" jsonschema:"enum=critical,enum=degraded,default=critical"`
	// Whom a failure is about: this instance alone, or something shared that every instance uses, such as a database (health.shared_failure).
	Scope health.Scope `yaml:"scope" jsonschema:"enum=instance,enum=shared,default=instance"`
	// Names of the checks without which this one cannot pass: while one of them fails, this one's failure is a consequence, and is not reported beside it.
	DependsOn OneOrMore[string] `yaml:"depends_on"`
	// Endpoints that the check counts for: ready (/health and /health/ready), startup (/health/startup), or a lower-case word of your own such as deep, which makes /health/deep. Absent: ready and startup.
	Profile OneOrMore[Profile] `yaml:"profile"`
	// Checks of a group that is as good as the best of them.
	Any []Check `yaml:"any"`
	// Checks of a group that is as bad as the worst of them.
	All []Check `yaml:"all"`

	// Options are those of the type, ready to run; nil for a group.
	Options checks.Check `yaml:"-" jsonschema:"-"`
}

// Members returns the checks of a group; a check has none.
func (c *Check) Members() []Check { return append(slices.Clip(c.Any), c.All...) }

// BuildChecks returns the checks for a monitor, and a function that gives back
// what they hold between runs, to be called once when no check runs any more.
// The checks of one Config share their connections, so build them once.
func (c *Config) BuildChecks() ([]health.Check, func() error) {
	var closers []io.Closer
	all := build(c.Health.Checks, &closers)
	return all, func() error {
		var errs []error
		for _, closer := range closers {
			errs = append(errs, closer.Close())
		}
		return errors.Join(errs...)
	}
}

func build(checks []Check, closers *[]io.Closer) []health.Check {
	var all []health.Check
	for i := range checks {
		k := &checks[i]
		c := k.withoutRun()
		c.Any, c.All = build(k.Any, closers), build(k.All, closers)
		if k.Options != nil {
			c.Run = k.Options.Run
		}
		all = append(all, c)
		if closer, ok := k.Options.(io.Closer); ok {
			*closers = append(*closers, closer)
		}
	}
	return all
}

// withoutRun is the check for a monitor, but for what it asks.
func (c *Check) withoutRun() health.Check {
	h := health.Check{
		Name: c.Name, Type: c.Type, Interval: c.Interval, Timeout: c.Timeout,
		Rise: c.Rise, Fall: c.Fall, Impact: c.Impact, Scope: c.Scope, DependsOn: c.DependsOn,
	}
	for _, p := range c.Profile {
		h.Profiles = append(h.Profiles, string(p))
	}
	return h
}

// site is what the checks take for granted. The app and the hosts have been
// decoded before them.
func (d *decoder) site() checktype.Site {
	c := d.config
	return checktype.Site{AppURL: string(c.App.URL), Host: c.Hosts.public(), Dir: d.Dir(), Lookup: d.env.lookup, Environ: d.env.environ, User: c.App.User}
}

// public returns the name that users know the app by: the first exact one that
// is allowed, else the domain of the first pattern for a domain.
func (h *Hosts) public() string {
	domain := ""
	for _, p := range h.Allow {
		name, isDomain := strings.CutPrefix(string(p), ".")
		switch {
		case !strings.ContainsFunc(name, unicode.IsLetter) || strings.Contains(name, "]"):
			// "*", an address or a network.
		case strings.Count(name, ":") > 1 || strings.Contains(name, "/"):
			// One in IPv6.
		case !isDomain:
			return name
		case domain == "":
			domain = name
		}
	}
	return domain
}

// decodeNode implements nodeDecoder.
func (c *Check) decodeNode(d *decoder, n *yaml.Node, path string) {
	yamlfile.SetDefaults(c)
	m := d.Mapping(n, path)
	if m == nil {
		return
	}
	d.useTemplates(c, m)
	d.member(m)
	if isGroup(m) {
		d.group(c, m)
		return
	}
	common := checkKeys(keysOfGroupsAlone)
	if len(d.groups) > 0 {
		common = checkKeys(append(slices.Clone(keysOfMembers), keysOfGroupsAlone...))
	}
	d.Fields(m, reflect.ValueOf(c).Elem(), "a check", common)
	if m.ByKey["type"] == nil && !m.Misspelt("type", common) {
		d.Fault(m.Node, yamlfile.Join(m.Path, "type"), "is missing; a check needs it")
	}

	t, known := d.checkType(c.Type)
	if !known {
		d.unknownType(m, c.Type)
		// Which keys it may have cannot be told; those that no type has are wrong.
		all := append(slices.Clone(common), d.allOptionKeys()...)
		for _, p := range m.Pairs {
			p.Taken = p.Taken || slices.Contains(all, p.Key.Value) || d.of(p).template != ""
		}
		d.Unknown(m, "a check", common, nil)
		return
	}

	before := d.Count()
	options := t.New(d.site())
	v := reflect.ValueOf(options).Elem()
	keys, where := append(slices.Clone(common), yamlfile.KeysOf(v.Type())...), "a check of type "+t.Name
	d.Fields(m, v, where, keys)
	d.brought(m, t)
	d.Unknown(m, where, keys, func(key string) string { return d.otherType(t, key) })
	if d.Count() == before {
		d.invalid(m, options.Validate())
	}
	c.Options = options
}

// brought reports the keys that templates bring and that are no check's of this
// type. Keys that no type has were reported in the template.
func (d *decoder) brought(m *yamlfile.Mapping, t checktype.Type) {
	for _, p := range m.Pairs {
		if p.Taken || d.of(p).template == "" {
			continue
		}
		p.Taken = true
		if others := d.otherType(t, p.Key.Value); others != "" {
			d.Fault(d.of(p).use.node, d.of(p).use.path, "the template %s brings %s; %s", yamlfile.ShownKey(d.of(p).template), p.Key.Value, others)
		}
	}
}

// keysOfGroupsAlone are the keys that make a check a group.
var keysOfGroupsAlone = []string{"any", "all"}

// checkKeys returns the keys that checks of all types have, but for some.
func checkKeys(without []string) []string {
	return slices.DeleteFunc(yamlfile.KeysOf(reflect.TypeFor[Check]()), func(key string) bool { return slices.Contains(without, key) })
}

// allOptionKeys returns the keys of the options of all types.
func (d *decoder) allOptionKeys() []string {
	var all []string
	for _, t := range d.options.Types {
		all = append(all, d.optionKeys(t)...)
	}
	return all
}

func (d *decoder) checkType(name string) (checktype.Type, bool) {
	i := slices.IndexFunc(d.options.Types, func(t checktype.Type) bool { return t.Name == name })
	if i < 0 {
		return checktype.Type{}, false
	}
	return d.options.Types[i], true
}

// unknownType reports the type of a check, unless it has no type at all or one
// with a fault already.
func (d *decoder) unknownType(m *yamlfile.Mapping, name string) {
	path := yamlfile.Join(m.Path, "type")
	n := d.Node(path)
	if n == nil || !d.OK(path) {
		return
	}
	var names []string
	for _, t := range d.options.Types {
		names = append(names, t.Name)
	}
	hint := "hale check --list names them all"
	if near := yamlfile.Nearest(name, names); near != "" && !d.FromEnvironment(n) {
		hint = "did you mean " + near + "?"
	}
	d.Fault(n, path, "%s is not a type of check; %s", d.Seen(n, name), hint)
}

// otherType says which other types have an option.
func (d *decoder) otherType(this checktype.Type, key string) string {
	var names []string
	for _, t := range d.options.Types {
		if t.Name != this.Name && slices.Contains(d.optionKeys(t), key) {
			names = append(names, t.Name)
		}
	}
	switch {
	case len(names) == 0:
		return ""
	case len(names) > 4:
		names = append(names[:3], "others")
	}
	return fmt.Sprintf("it is for checks of type %s, not %s", yamlfile.Alternatives(names), this.Name)
}

// optionKeys returns the keys of a type's own options.
func (d *decoder) optionKeys(t checktype.Type) []string {
	keys, ok := d.keys[t.Name]
	if !ok {
		if d.keys == nil {
			d.keys = map[string][]string{}
		}
		keys = yamlfile.KeysOf(reflect.TypeOf(t.New(checktype.Site{})).Elem())
		d.keys[t.Name] = keys
	}
	return keys
}

// invalid reports what Validate refused, each option at its own place.
func (d *decoder) invalid(m *yamlfile.Mapping, err error) {
	switch err := err.(type) { //nolint:errorlint // the tree of joined errors is walked by hand
	case nil:
	case *checks.OptionError:
		n, path := m.Node, yamlfile.Join(m.Path, err.Key)
		key, _, _ := strings.Cut(strings.ReplaceAll(err.Key, "[", "."), ".")
		if p := m.ByKey[key]; p != nil {
			n = yamlfile.Target(p.Value)
			if p.Home != "" {
				path = yamlfile.Join(p.Home, err.Key)
			}
		} else if !d.OK("app") && d.config.App.URL == "" {
			return // it may lack only what it has from there
		}
		if at := d.Node(path); at != nil {
			n = at
		}
		d.Fault(n, path, "%s", d.WithoutSecrets(n, err.Err.Error()))
	case interface{ Unwrap() []error }:
		for _, e := range err.Unwrap() {
			d.invalid(m, e)
		}
	default:
		if option, ok := errors.AsType[*checks.OptionError](err); ok {
			d.invalid(m, option)
			return
		}
		d.Fault(m.Node, m.Path, "%s", d.WithoutSecrets(m.Node, err.Error()))
	}
}
