package autoscaling

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// DefaultStopTimeout is the time from SIGTERM to SIGKILL.
const DefaultStopTimeout = 30 * time.Second

// LaunchTemplate says how an instance is started. It comes from the balancer's
// configuration; the API has no action for it.
//
// In Command, Environment and Directory, {port}, {address}, {instance_id} and
// {group} stand for the instance's own. Its environment is the balancer's with
// PORT, HALE_ADDRESS, HALE_INSTANCE_ID and HALE_GROUP added, and Environment
// after that.
type LaunchTemplate struct {
	Name        string
	Command     []string          // the program, looked for in PATH, and its arguments
	Environment map[string]string `json:",omitempty"`
	Directory   string            `json:",omitempty"` // empty: the balancer's
	User        string            `json:",omitempty"` // name or uid; empty: the balancer's. Another one needs root
	// Addresses is what instances listen on: one address, or a prefix, of which
	// each instance has an address of its own. The zero value is 127.0.0.1.
	Addresses netip.Prefix `json:",omitzero"`
	// Ports are those that instances listen on; the zero value is any that is
	// free.
	Ports PortRange `json:",omitzero"`
	// StopTimeout is the time from SIGTERM to SIGKILL; 0: DefaultStopTimeout.
	StopTimeout time.Duration `json:",omitempty"`
}

// PortRange is ports from First to Last, both of them included.
type PortRange struct{ First, Last uint16 }

// ParsePortRange reads 8080 or 20000-20999.
func ParsePortRange(text string) (PortRange, error) {
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	low, err1 := strconv.ParseUint(strings.TrimSpace(first), 10, 16)
	high, err2 := strconv.ParseUint(strings.TrimSpace(last), 10, 16)
	if err1 != nil || err2 != nil || low < 1 || high < low {
		return PortRange{}, fmt.Errorf("%q is no port, nor a range of ports: write 8080 or 20000-20999", text)
	}
	return PortRange{uint16(low), uint16(high)}, nil
}

// ParseAddresses reads an address or a prefix of addresses.
func ParseAddresses(text string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(text); err == nil && address.Zone() == "" {
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is no address, nor a prefix of addresses: write 127.0.0.1 or 127.64.0.0/16", text)
	}
	return prefix.Masked(), nil
}

var loopback = netip.MustParsePrefix("127.0.0.1/32")

// Prefix returns Addresses with its default.
func (t *LaunchTemplate) Prefix() netip.Prefix {
	if !t.Addresses.IsValid() {
		return loopback
	}
	return t.Addresses
}

// Stop returns StopTimeout with its default.
func (t *LaunchTemplate) Stop() time.Duration { return cmp.Or(t.StopTimeout, DefaultStopTimeout) }

var templateName = regexp.MustCompile(`^[a-zA-Z0-9().\-/_]{3,128}$`) // EC2 API, CreateLaunchTemplate

// Check says what is wrong with a template.
func (t *LaunchTemplate) Check() error {
	switch {
	case !templateName.MatchString(t.Name):
		return fmt.Errorf("launch template %q: a name has 3 to 128 letters, digits and ( ) . - / _", t.Name)
	case len(t.Command) == 0 || t.Command[0] == "":
		return fmt.Errorf("launch template %s has no command", t.Name)
	case t.StopTimeout < 0:
		return fmt.Errorf("launch template %s: the stop time-out is negative", t.Name)
	case t.Ports.First != 0 && t.Ports.First == t.Ports.Last && t.Prefix().IsSingleIP():
		return fmt.Errorf("launch template %s: all instances cannot listen on port %d of %s: give a range of ports, or a prefix of addresses such as 127.64.0.0/16", t.Name, t.Ports.First, t.Prefix().Addr())
	}
	for _, name := range slices.Sorted(maps.Keys(t.Environment)) {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(t.Environment[name], "\x00") {
			return fmt.Errorf("launch template %s: %q cannot be a variable of the environment", t.Name, name)
		}
	}
	return nil
}

// Fill puts what is an instance's own in the place of {port} and the others.
func (t *LaunchTemplate) Fill(group string, i *Instance) LaunchTemplate {
	own := strings.NewReplacer(
		"{port}", strconv.Itoa(int(i.Address.Port())),
		"{address}", i.Address.Addr().String(),
		"{instance_id}", i.ID,
		"{group}", group,
	)
	filled := *t
	filled.Command = slices.Clone(t.Command)
	for n, argument := range filled.Command {
		filled.Command[n] = own.Replace(argument)
	}
	filled.Directory = own.Replace(t.Directory)
	filled.Environment = map[string]string{
		"PORT":             strconv.Itoa(int(i.Address.Port())),
		"HALE_ADDRESS":     i.Address.Addr().String(),
		"HALE_INSTANCE_ID": i.ID,
		"HALE_GROUP":       group,
	}
	for name, value := range t.Environment {
		filled.Environment[name] = own.Replace(value)
	}
	return filled
}

// Place finds an address for a new instance: one that none of the others has, and
// that is free. A port that is 0 is free when the kernel is asked for any; free
// returns the one that it then has.
func (t *LaunchTemplate) Place(taken map[netip.AddrPort]bool, free func(netip.AddrPort) (netip.AddrPort, bool)) (netip.AddrPort, error) {
	prefix := t.Prefix()
	own := !prefix.IsSingleIP()
	busy := make(map[netip.Addr]bool)
	for at := range taken {
		busy[at.Addr()] = true
	}
	tried := 0
	for address := prefix.Addr(); prefix.Contains(address) && tried < mostTried; address = address.Next() {
		if own && (busy[address] || edge(prefix, address)) {
			continue
		}
		for more := range int(t.Ports.Last-t.Ports.First) + 1 {
			at := netip.AddrPortFrom(address, t.Ports.First+uint16(more))
			if taken[at] || tried >= mostTried {
				continue
			}
			for range tries(at) {
				tried++
				if at, ok := free(at); ok && !taken[at] {
					return at, nil
				}
			}
		}
	}
	if t.Ports.First == 0 {
		return netip.AddrPort{}, fmt.Errorf("no free port on %s", prefix)
	}
	return netip.AddrPort{}, fmt.Errorf("no free port of %d-%d on %s", t.Ports.First, t.Ports.Last, prefix)
}

// mostTried bounds the search for a free port.
const mostTried = 1000

// tries is how often an address is asked for. The kernel may name a port that an
// instance was told and does not listen on yet; another time it names another.
func tries(at netip.AddrPort) int {
	if at.Port() == 0 {
		return 10
	}
	return 1
}

// edge tells whether an address is the first one of a prefix, which is the
// network's and not a host's.
func edge(prefix netip.Prefix, address netip.Addr) bool {
	return address.Is4() && prefix.Bits() < 31 && address == prefix.Masked().Addr()
}

// Template is a launch template with its versions. A change of it in the
// configuration makes a new one.
type Template struct {
	Name     string
	Latest   int                     // version
	Versions map[int]*LaunchTemplate // the last ones, and those that are in use
}

// ID returns the template's id, which is made of its name.
func (t *Template) ID() string { return TemplateID(t.Name) }

// TemplateID returns the id of the template of that name.
func TemplateID(name string) string {
	sum := sha256.Sum256([]byte(name))
	return "lt-" + hex.EncodeToString(sum[:])[:17]
}

// TemplateRef names a version of a template. Version 0 is the latest one,
// whichever that is when an instance is launched.
type TemplateRef struct {
	Name    string
	Version int `json:",omitempty"`
}

// find returns the template that a reference names, with the version that it has
// now; nil if there is none.
func (s *State) find(ref TemplateRef) (*LaunchTemplate, TemplateRef) {
	t := s.Templates[ref.Name]
	if t == nil {
		return nil, ref
	}
	ref.Version = cmp.Or(ref.Version, t.Latest)
	return t.Versions[ref.Version], ref
}

// Latest returns the latest version of a template, nil if there is none of that
// name.
func (s *State) Latest(name string) *LaunchTemplate {
	t, _ := s.find(TemplateRef{Name: name})
	return t
}

// SetTemplates takes the templates of the configuration. One that has changed
// gets a new version; one that is not there any more goes, unless a group still
// names it.
func (e *Edit) SetTemplates(templates []LaunchTemplate) error {
	var wrong []error
	given := make(map[string]bool)
	for _, t := range templates {
		if err := t.Check(); err != nil {
			wrong = append(wrong, err)
		}
		if given[t.Name] {
			wrong = append(wrong, fmt.Errorf("launch template %s is there twice", t.Name))
		}
		given[t.Name] = true
	}
	if err := errors.Join(wrong...); err != nil {
		return err
	}
	used := e.next.usedTemplates()
	for name := range e.next.Templates {
		if !given[name] && !usesTemplate(used, name) {
			delete(e.next.Templates, name)
		}
	}
	for _, t := range templates {
		e.setTemplate(t, used)
	}
	return nil
}

func (e *Edit) setTemplate(t LaunchTemplate, used map[TemplateRef]bool) {
	old := e.next.Templates[t.Name]
	if old == nil {
		e.next.Templates[t.Name] = &Template{Name: t.Name, Latest: 1, Versions: map[int]*LaunchTemplate{1: &t}}
		return
	}
	if same(old.Versions[old.Latest], &t) {
		return
	}
	next := &Template{Name: t.Name, Latest: old.Latest + 1, Versions: map[int]*LaunchTemplate{old.Latest + 1: &t}}
	for version, kept := range old.Versions {
		if version > next.Latest-keptVersions || used[TemplateRef{t.Name, version}] {
			next.Versions[version] = kept
		}
	}
	e.next.Templates[t.Name] = next
}

// same compares what would be stored: a map without entries is none.
func same(a, b *LaunchTemplate) bool {
	x, err1 := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && bytes.Equal(x, y)
}

// keptVersions is how many versions of a template are kept at least.
const keptVersions = 10

// usedTemplates returns what groups, instances and refreshes name.
func (s *State) usedTemplates() map[TemplateRef]bool {
	used := make(map[TemplateRef]bool)
	for _, g := range s.Groups {
		used[g.Template] = true
		for i := range g.Instances {
			used[g.Instances[i].Template] = true
		}
		for _, r := range g.Refreshes {
			if r.Status.Running() && r.Template != nil {
				used[*r.Template] = true
			}
		}
	}
	return used
}

func usesTemplate(used map[TemplateRef]bool, name string) bool {
	for ref := range used {
		if ref.Name == name {
			return true
		}
	}
	return false
}
