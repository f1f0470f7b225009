package configuration

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"hale/internal/balancer/inventory"
	"hale/internal/elb"
	"hale/internal/yamlfile"
)

// agree reports what is wrong with values that are each right by themselves: names
// that are not there or twice, and what ELB would refuse. It also makes file names
// relative to the working directory.
func (r *reader) agree() {
	r.region()
	r.credentials()
	r.certificates()
	r.targetGroups()
	r.loadBalancers()
	r.ports()
	r.scaling()
	r.fileNames()
}

// seen remembers where names are, to tell of a second one.
type seen map[string]int

// name reports a name that is there already.
func (r *reader) name(names seen, path, name, what string) {
	n := r.Node(path)
	if n == nil || !r.OK(path) {
		return
	}
	if line, twice := names[name]; twice {
		r.Fault(n, path, "%s is the name of another %s already (line %d); give each its own", r.Seen(n, name), what, line)
		return
	}
	names[name] = n.Line
}

// region reports a region that ARNs with it could not be read with.
func (r *reader) region() {
	if strings.Trim(r.file.Region, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || r.file.Region == "" {
		r.FaultOf("Region", "is no region; write one such as us-east-1: lower-case letters, digits and hyphens")
	}
}

func (r *reader) credentials() {
	names := seen{}
	for i, c := range r.file.Credentials {
		path := yamlfile.Join(yamlfile.ElementPath("Credentials", i), "AccessKeyId")
		r.name(names, path, c.AccessKeyID, "pair of keys")
		if c.AccessKeyID == "" {
			r.FaultOf(path, "is empty; write a name for the key, such as local")
		}
	}
}

func (r *reader) certificates() {
	names := seen{}
	for i := range r.file.Certificates {
		c, at := &r.file.Certificates[i], yamlfile.ElementPath("Certificates", i)
		r.name(names, yamlfile.Join(at, "Name"), string(c.Name), "certificate")
		files := c.CertificateFile != "" || c.PrivateKeyFile != ""
		switch {
		case !r.OK(at):
		case files && c.ACME():
			r.FaultNear(yamlfile.Join(at, "DomainNames"), "a certificate is from files or obtained by ACME, not both; take the files away, or DomainNames")
		case c.ACME():
			for j, domain := range c.DomainNames {
				if !yamlfile.IsHost(domain) || !strings.Contains(domain, ".") {
					r.FaultNear(yamlfile.ElementPath(yamlfile.Join(at, "DomainNames"), j), "is no domain that ACME's challenge tls-alpn-01 can prove; write one such as www.example.com, without a wildcard")
				}
			}
		case c.CertificateFile == "" && c.PrivateKeyFile == "":
			r.FaultNear(at, "says not where the certificate comes from; write CertificateFile and PrivateKeyFile, or DomainNames")
		case c.CertificateFile == "":
			r.FaultNear(yamlfile.Join(at, "PrivateKeyFile"), "is of no use alone; write CertificateFile as well")
		case c.PrivateKeyFile == "":
			r.FaultNear(yamlfile.Join(at, "CertificateFile"), "is of no use alone; write PrivateKeyFile as well")
		}
	}
}

// empty is an edit of an inventory that has nothing, to see what ELB would refuse.
func (r *reader) empty() *inventory.Edit {
	place := r.file.Place()
	place.Instance = func(string) (netip.Addr, bool) { return netip.Addr{}, true } // whether it runs, is seen when it is registered
	return new(inventory.Inventory).Begin(place, time.Time{})
}

// attributes reports each wrong attribute, and then values that do not go together.
func (r *reader) attributes(at string, table elb.AttributeTable, set map[string]string) {
	keys := table.Keys()
	for _, key := range slices.Sorted(maps.Keys(set)) {
		path := yamlfile.Join(at, yamlfile.ShownKey(key))
		err := table.Check(key, set[key])
		if err == nil {
			continue
		}
		if !slices.Contains(keys, key) {
			text := err.Error()
			near := yamlfile.Nearest(key, keys)
			if i := slices.IndexFunc(keys, func(whole string) bool { return strings.HasPrefix(whole, key+".") }); near == "" && i >= 0 {
				near = keys[i]
			}
			if near != "" {
				text = "unknown attribute; did you mean " + near + "?"
			}
			r.FaultNear(path, text)
		} else {
			r.FaultNear(path, err.Error())
		}
	}
	if r.OK(at) {
		_, err := elb.SetAttributes(table, nil, elb.Attributes(set))
		r.refused(at, err)
	}
}

// tags reports the tags that a file cannot give.
func (r *reader) tags(at string, tags map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		path := yamlfile.Join(yamlfile.Join(at, "Tags"), yamlfile.ShownKey(key))
		switch {
		case strings.HasPrefix(key, "hale:") || strings.HasPrefix(strings.ToLower(key), "aws:"):
			r.FaultNear(path, "tags that begin with hale: or aws: are not for people; write another key")
		case key == "" || len(key) > 128 || len(tags[key]) > 256:
			r.FaultNear(path, "a tag has a key of 1 to 128 characters and a value of up to 256")
		}
	}
	if len(tags) > 48 {
		r.FaultNear(yamlfile.Join(at, "Tags"), "a thing can have 50 tags, of which 2 are hale's own; take some away")
	}
}

// refused reports what ELB refuses, at a key.
func (r *reader) refused(path string, err error) {
	if err != nil {
		r.FaultNear(path, err.Error())
	}
}

// places are the keys that refusals are about, by words in them.
var places = []struct{ words, key string }{
	{"PrivateIPv4Address", "SubnetMappings"},
	{"subnet", "Subnets"},
	{"SSL policy", "SslPolicy"},
	{"Certificates and SSL policies", "Certificates"},
	{"ertificate", "Certificates"},
	{"ALPN", "AlpnPolicy"},
	{"Listener protocol", "Protocol"},
	{"protocol version", "ProtocolVersion"},
	{"a name has 3", "LaunchTemplateName"},
	{"has no command", "Command"},
	{"cannot listen on port", "Ports"},
	{"variable of the environment", "Environment"},
	{"Group name", "AutoScalingGroupName"},
	{"Max bound", "MaxSize"},
	{"Desired capacity", "DesiredCapacity"},
	{"Availability Zone", "AvailabilityZones"},
	{"Termination policy", "TerminationPolicies"},
	{"hook", "LifecycleHooks"},
}

// refusedOf reports what ELB refuses of a thing, at the key that it is about.
func (r *reader) refusedOf(at string, err error) {
	if err == nil {
		return
	}
	for _, p := range places {
		if path := yamlfile.Join(at, p.key); strings.Contains(err.Error(), p.words) && r.Node(path) != nil {
			r.FaultNear(path, err.Error())
			return
		}
	}
	r.refused(at, err)
}

// own tells whether a thing has no fault of its own: those below a key do not
// count.
func (r *reader) own(at, below string, keys []string) bool {
	return !slices.ContainsFunc(keys, func(key string) bool { return key != below && !r.OK(yamlfile.Join(at, key)) })
}

// known reports a name that nothing has.
func (r *reader) known(path, name string, names []string, what, key string) {
	n := r.Node(path)
	if n == nil || !r.OK(path) || slices.Contains(names, name) {
		return
	}
	hint := "there are " + yamlfile.Alternatives(names)
	if len(names) == 0 {
		hint = "there are none in " + key
	}
	if near := yamlfile.Nearest(name, names); near != "" && !r.FromEnvironment(n) {
		hint = "did you mean " + near + "?"
	}
	r.Fault(n, path, "%s is no %s; %s", r.Seen(n, name), what, hint)
}

// fileNames makes relative file names relative to the directory of the file.
func (r *reader) fileNames() {
	f := r.file
	if f.AccessLog != yamlfile.LogStdout && f.AccessLog != yamlfile.LogStderr {
		f.AccessLog = yamlfile.LogTarget(r.InDir(string(f.AccessLog)))
	}
	if f.StateDirectory != StateOff {
		f.StateDirectory = StateDirectory(r.InDir(string(f.StateDirectory)))
	}
	for i := range f.LaunchTemplates {
		if t := &f.LaunchTemplates[i]; !strings.HasPrefix(t.Directory, "{") {
			t.Directory = r.InDir(t.Directory)
		}
	}
	for i := range f.Certificates {
		c := &f.Certificates[i]
		for _, name := range []*string{&c.CertificateFile, &c.PrivateKeyFile, &c.CacheDirectory} {
			*name = r.InDir(*name)
		}
	}
}
