package config

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"hale/internal/yamlfile"

	"go.yaml.in/yaml/v4"

	"hale/health"
	"hale/internal/upstream"
)

// agree reports what is wrong with values that are each right by themselves,
// and makes file names relative to the working directory.
func (d *decoder) agree() {
	d.addresses()
	d.commands()
	d.https()
	d.hosts()
	d.checks()
	d.fileNames()
}

// addresses finds addresses that cannot be used side by side.
func (d *decoder) addresses() {
	c := d.config
	if d.OK("listen", "admin") && yamlfile.Overlap(string(c.Listen), string(c.Admin)) {
		if n := d.Node("admin"); n != nil {
			d.Fault(n, "admin", "cannot have the port of listen; write one of its own")
		} else {
			d.FaultOf("listen", "is where admin is by default (%s); write another port, or give admin one", c.Admin)
		}
	}
	if c.App.URL == "" || !d.OK("app.url") {
		return
	}
	app, err := upstream.Parse(string(c.App.URL))
	if err != nil || app.Network() != "tcp" {
		return
	}
	for key, a := range map[string]Address{"listen": c.Listen, "admin": c.Admin} {
		if d.OK(key) && leadsTo(app.Address(), string(a)) {
			d.FaultOf("app.url", "leads back to Hale itself (%s), for ever; write the address of the app", key)
		}
	}
}

// leadsTo tells whether a connection to address to surely reaches a listener at
// address at on this machine.
func leadsTo(to, at string) bool {
	toHost, toPort, toErr := net.SplitHostPort(to)
	atHost, atPort, atErr := net.SplitHostPort(at)
	if toErr != nil || atErr != nil || toPort != atPort || atPort == "0" {
		return false
	}
	return strings.EqualFold(toHost, atHost) || yamlfile.IsLoopback(toHost) && (yamlfile.IsAny(atHost) || yamlfile.IsLoopback(atHost))
}

// commands looks at how the app is run.
func (d *decoder) commands() {
	app := &d.config.App
	d.command("app.command", app.Command)
	for i, step := range app.Before {
		path := fmt.Sprintf("app.before[%d]", i)
		if d.Node(yamlfile.Join(path, "command")) != nil {
			path = yamlfile.Join(path, "command")
		}
		d.command(path, step.Command)
	}
	for i, name := range app.RequireEnv {
		path := fmt.Sprintf("app.require_env[%d]", i)
		if n := d.Node(path); n != nil && d.OK(path) && !yamlfile.VariableName.MatchString(name) {
			d.Fault(n, path, "%s is not the name of a variable; write letters, digits and _ alone, such as SECRET_KEY", d.Seen(n, name))
		}
	}
	for path, text := range map[string]string{"app.user": app.User, envFileKey: app.EnvFile} {
		if n := d.Node(path); n != nil && d.OK(path) && text == "" {
			d.Fault(n, path, "is empty; write one, or take the key away")
		}
	}
	if _, err := d.env.fromFile(); err != nil && d.OK(envFileKey) {
		for line := range strings.Lines(err.Error()) { // one for each fault of the file
			d.FaultNear(envFileKey, strings.TrimSpace(line))
		}
	}
}

func (d *decoder) command(path string, words []string) {
	if n := d.Node(path); n != nil && d.OK(path) && (len(words) == 0 || words[0] == "") {
		d.Fault(n, path, "names no program; write its words, such as [gunicorn, mysite.wsgi]")
	}
}

func (d *decoder) https() {
	h := &d.config.HTTPS
	if h.Redirect != 0 && len(h.TrustedProxies) == 0 && d.OK("https.redirect", "https.trusted_proxies") {
		d.FaultOf("https.trusted_proxies", "with nobody to believe, every request counts as plain HTTP and https.redirect sends it round in circles; name the load balancer's network, such as 10.0.0.0/8, or write redirect: off")
	}
}

func (d *decoder) hosts() {
	const path = "hosts.allow"
	if n := d.Node(path); n != nil && d.OK(path) && len(d.config.Hosts.Allow) == 0 {
		d.Fault(n, path, `allows no host; name the app's, write "*" for any, or take the key away`)
	}
}

// checks looks at the names of checks, which are part of a URL, and at what they
// depend on.
func (d *decoder) checks() {
	const path = "health.checks"
	lines := map[string]int{}
	inOrder := d.checkNames(d.config.Health.Checks, path, lines)
	if inOrder && d.OK(path) {
		d.dependencies(path)
	}
}

// checkNames reports whether all names will do. Lines are those of the names so
// far.
func (d *decoder) checkNames(checks []Check, list string, lines map[string]int) bool {
	inOrder := true
	for i := range checks {
		c := &checks[i]
		path := yamlfile.ElementPath(list, i)
		inOrder = d.checkName(c.Name, yamlfile.Join(path, "name"), lines) && inOrder
		inOrder = d.checkNames(c.Any, yamlfile.Join(path, "any"), lines) && inOrder
		inOrder = d.checkNames(c.All, yamlfile.Join(path, "all"), lines) && inOrder
	}
	return inOrder
}

func (d *decoder) checkName(name, path string, lines map[string]int) bool {
	n := d.Node(path)
	if n == nil || !d.OK(path) {
		return false
	}
	if wrong := wrongName(name); wrong != "" {
		d.Fault(n, path, "%s %s", d.Seen(n, name), wrong)
		return false
	}
	if line, ok := lines[name]; ok {
		d.Fault(n, path, "%s is the name of another check already (line %d); give each its own", d.Seen(n, name), line)
		return false
	}
	lines[name] = n.Line
	return true
}

// dependencies reports what the monitor has against depends_on.
func (d *decoder) dependencies(list string) {
	var all []health.Check
	for i := range d.config.Health.Checks {
		all = append(all, d.config.Health.Checks[i].standIn())
	}
	for _, wrong := range asHealthSays(all...) {
		i := slices.IndexFunc(all, func(c health.Check) bool { return c.Name == wrong.Check })
		if wrong.Field != "DependsOn" || i < 0 {
			continue
		}
		c := &d.config.Health.Checks[i]
		n, path := d.placeOf(c, yamlfile.ElementPath(list, i), "depends_on", slices.Index(c.DependsOn, wrong.Value))
		if n != nil {
			d.Fault(n, path, "%s %s", d.Seen(n, wrong.Value), d.WithoutSecrets(d.Node(list), wrong.Problem))
		}
	}
}

// standIn is the check as far as others depend on it.
func (c *Check) standIn() health.Check {
	h := health.Check{Name: c.Name, DependsOn: c.DependsOn}
	if members := c.Members(); len(members) == 0 {
		h.Run = nothing
	} else {
		for i := range members {
			h.All = append(h.All, members[i].standIn())
		}
	}
	return h
}

// placeOf finds the element of a list, or the one word in its place, that a
// check has from the file itself or from one of its templates.
func (d *decoder) placeOf(c *Check, path, key string, i int) (*yaml.Node, string) {
	homes := []string{path}
	for _, name := range slices.Backward(c.Template) {
		homes = append(homes, yamlfile.Join("health.templates", yamlfile.ShownKey(name)))
	}
	for _, home := range homes {
		list := yamlfile.Join(home, key)
		for _, at := range []string{yamlfile.ElementPath(list, i), list} {
			if n := d.Node(at); n != nil {
				return n, at
			}
		}
	}
	return nil, ""
}

// wrongName says why a name cannot stand in /health/checks/NAME, or "".
func wrongName(name string) string {
	switch {
	case strings.TrimSpace(name) == "":
		return "is no name; write a word or two that say what is checked"
	case name != strings.TrimSpace(name):
		return "begins or ends with a space; take it away"
	case strings.ContainsAny(name, `/\?#%`) || name == "." || name == "..":
		return "cannot be part of a URL's path (/health/checks/NAME); write it without / \\ ? # and %"
	case name != yamlfile.OneLine(name):
		return "has characters that cannot be printed; write it on one line, in plain text"
	case len(name) > 100:
		return "is too long; write at most 100 characters"
	}
	return ""
}

// fileNames makes relative file names relative to the directory of hale.yaml.
func (d *decoder) fileNames() {
	c := d.config
	c.App.EnvFile = d.InDir(c.App.EnvFile)
	for _, l := range []*LogTarget{&c.AccessLog, &c.Health.Log} {
		if *l != LogStdout && *l != LogStderr {
			*l = LogTarget(d.InDir(string(*l)))
		}
	}
	if name, ok := c.Hosts.InstanceAddress.File(); ok {
		c.Hosts.InstanceAddress = InstanceAddress("file:" + d.InDir(name))
	}
}
