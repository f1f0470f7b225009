// Package port checks that something listens on a port or a unix socket of this
// machine, without connecting to it.
package port

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"hale/checks"
	"hale/checks/internal/report"
	"hale/internal/explain"
	"hale/internal/proc"
)

// DefaultWarnQueue is that of a Check's zero field.
const DefaultWarnQueue = checks.Percent(50)

// Check looks in the kernel's tables for a socket that listens.
//
// It proves that a program has opened the port, on the address that it should,
// and how many connections wait there to be accepted: a queue that grows is a
// program that is busy, or hangs, before anybody's connection is refused. It
// does not prove that the program answers. It costs one question to the kernel,
// and the program nothing: it sees no connection. It needs no rights; for
// Program, those of the program's user, or root's. It is for Linux, and sees the
// network namespace in which Hale runs.
//
//	&port.Check{Port: 8000, Address: "127.0.0.1", Program: "gunicorn"}
//	&port.Check{Socket: "/run/app.sock"}
type Check struct {
	Port      int            `yaml:"port" jsonschema:"minimum=0,maximum=65535" jsonschema_description:"The number of the port."`
	Socket    string         `yaml:"socket" jsonschema_description:"The path of a unix socket, or its abstract name after an @, in place of a port."`
	Protocol  string         `yaml:"protocol" jsonschema:"enum=tcp,enum=udp,default=tcp" jsonschema_description:"The port's protocol."`
	Address   string         `yaml:"address" jsonschema_description:"The address of this machine on which the port must be reachable; loopback for any of those, all for every address. Without it, any will do."`
	Only      bool           `yaml:"only" jsonschema:"default=false" jsonschema_description:"The port must not be reachable on any other address, as befits a service that is nobody else's business."`
	Program   string         `yaml:"program" jsonschema_description:"The name of the program that must be the one that listens, without directories."`
	WarnQueue checks.Percent `yaml:"warn_queue" jsonschema:"default=50%" jsonschema_description:"Warn when more of the queue of connections that wait to be accepted is taken than this."`
	MaxQueue  checks.Percent `yaml:"max_queue" jsonschema_description:"Fail when more of the queue is taken than this; without it, never: a full one is busy."`

	fs proc.FS
}

// Validate refuses a check of neither a port nor a socket, or of both.
func (c *Check) Validate() error {
	var errs []error
	switch {
	case c.Port == 0 && c.Socket == "":
		errs = append(errs, checks.Optionf("port", "is missing: write its number, or the path of a unix socket as socket"))
	case c.Port != 0 && c.Socket != "":
		errs = append(errs, checks.Optionf("socket", "and port are two questions: make two checks of them"))
	case c.Port < 0 || c.Port > 65535:
		errs = append(errs, checks.Optionf("port", "%d is not a port from 1 to 65535", c.Port))
	case c.Socket != "" && (c.Protocol != "" || c.Address != ""):
		errs = append(errs, checks.Optionf("socket", "has neither protocol nor address: remove them"))
	case c.Socket != "" && !filepath.IsAbs(c.Socket) && !strings.HasPrefix(c.Socket, "@"):
		errs = append(errs, checks.Optionf("socket", "%q is not an absolute path: that is how the kernel knows it", c.Socket))
	}
	if c.Protocol != "" && c.Protocol != "tcp" && c.Protocol != "udp" {
		errs = append(errs, checks.Optionf("protocol", "%q is neither tcp nor udp", c.Protocol))
	}
	if _, err := netip.ParseAddr(c.Address); c.Address != "" && c.Address != everywhere && c.Address != loopback && err != nil {
		errs = append(errs, checks.Optionf("address", "%q is not an address: write 127.0.0.1 or ::1, loopback, or all", c.Address))
	}
	if c.Only && (c.Address == "" || c.Address == everywhere) {
		errs = append(errs, checks.Optionf("only", "goes with an address, or loopback, which is missing"))
	}
	if strings.Contains(c.Program, "/") {
		errs = append(errs, checks.Optionf("program", "%q has a directory: write %q", c.Program, filepath.Base(c.Program)))
	}
	if c.MaxQueue > 0 && c.WarnQueue > c.MaxQueue {
		errs = append(errs, checks.Optionf("warn_queue", "%v is more than max_queue (%v): the check would fail before it warns", c.WarnQueue, c.MaxQueue))
	}
	return errors.Join(errs...)
}

// Run looks for the socket, or the sockets: a port may be open on several
// addresses, and by several processes.
func (c *Check) Run(ctx context.Context) (string, error) {
	all, err := c.listening(ctx)
	if err != nil {
		return "", err
	}
	var mine []listener
	for _, l := range all {
		if l.port == c.Port && samePath(l.path, c.Socket) {
			mine = append(mine, l)
		}
	}
	if len(mine) == 0 {
		return "", errors.New("nothing listens on " + c.name() + c.leftover())
	}
	if text := c.wrongAddress(mine); text != "" {
		return "", errors.New(text)
	}
	by := ""
	if c.Program != "" {
		if by, err = c.owner(mine); err != nil {
			return "", err
		}
	}
	var found report.Report
	c.judge(&found, mine, by)
	return found.Result()
}

// leftover tells of a socket's file without a program.
func (c *Check) leftover() string {
	if info, err := os.Stat(c.Socket); err == nil && info.Mode()&os.ModeSocket != 0 {
		return ": the file is there, but its program has ended, or never accepted connections"
	}
	return ""
}

func (c *Check) name() string {
	if c.Socket != "" {
		return c.Socket
	}
	return "port " + strconv.Itoa(c.Port) + "/" + c.protocol()
}

func (c *Check) protocol() string { return cmp.Or(c.Protocol, "tcp") }

// Words in place of an address.
const (
	everywhere = "all"
	loopback   = "loopback"
)

// wrongAddress says how the addresses that are listened on are not those that
// should be; empty if they are.
func (c *Check) wrongAddress(mine []listener) string {
	if c.Address == "" {
		return ""
	}
	reachable := false
	for _, l := range mine {
		switch {
		case c.wanted(l.address), !c.Only && c.covered(l.address):
			reachable = true
		case c.Only:
			return fmt.Sprintf("%s is reachable on %s, not on %s alone", c.name(), where(l.address), c.Address)
		}
	}
	switch {
	case reachable:
		return ""
	case c.Address == everywhere:
		return fmt.Sprintf("%s is reachable on %s alone, not on all addresses", c.name(), addresses(mine))
	default:
		return fmt.Sprintf("%s is reachable on %s, not on %s", c.name(), addresses(mine), c.Address)
	}
}

// wanted tells whether an address that is listened on is the one of Address.
func (c *Check) wanted(address netip.Addr) bool {
	switch c.Address {
	case everywhere:
		return address.IsUnspecified()
	case loopback:
		return address.IsLoopback()
	default:
		want, err := netip.ParseAddr(c.Address)
		return err == nil && want.Unmap() == address
	}
}

// covered tells whether listening on an address is listening on that of Address
// as well. A socket on :: takes IPv4, unless it was told not to, which the
// kernel's tables do not tell.
func (c *Check) covered(address netip.Addr) bool {
	want, err := netip.ParseAddr(c.Address)
	return address.IsUnspecified() && (err != nil || address.Is6() || want.Unmap().Is4())
}

func where(address netip.Addr) string {
	if address.IsUnspecified() {
		return "all addresses"
	}
	return address.String()
}

func addresses(mine []listener) string {
	var texts []string
	for _, l := range mine {
		texts = append(texts, where(l.address))
	}
	return strings.Join(texts, ", ")
}

// judge looks at the queues: the fullest counts.
func (c *Check) judge(found *report.Report, mine []listener, by string) {
	fullest := mine[0]
	for _, l := range mine {
		if l.taken() > fullest.taken() {
			fullest = l
		}
	}
	on := ""
	if c.Socket == "" {
		on = ", on " + addresses(mine)
	}
	text := fmt.Sprintf("%s listens on %s%s", cmp.Or(by, "something"), c.name(), on)
	if fullest.limit == 0 {
		if fullest.waiting > 0 {
			text += fmt.Sprintf("; %s", waiting(fullest.waiting))
		}
		found.Passf("%s", text)
		return
	}
	text = fmt.Sprintf("%s; %s of %d that may", text, waiting(fullest.waiting), fullest.limit)
	warn := c.WarnQueue
	if warn == 0 {
		warn = DefaultWarnQueue
		if c.MaxQueue > 0 {
			warn = min(warn, c.MaxQueue)
		}
	}
	switch share := fullest.taken(); {
	case c.MaxQueue > 0 && share > c.MaxQueue:
		found.Failf("%s: more than %v", text, c.MaxQueue)
	case share > warn:
		found.Warnf("%s: the program accepts too slowly, or hangs", text)
	default:
		found.Passf("%s", text)
	}
}

func waiting(n int) string {
	if n == 1 {
		return "1 connection waits"
	}
	return fmt.Sprintf("%d connections wait", n)
}

// owner returns the process that listens, which has to be of Program.
func (c *Check) owner(mine []listener) (string, error) {
	processes, err := c.fs.Find(proc.Query{Program: c.Program})
	if err != nil {
		return "", err
	}
	if len(processes) == 0 {
		return "", fmt.Errorf("%s does not run, and something else listens on %s", c.Program, c.name())
	}
	var denied error
	for _, p := range processes {
		inodes, err := c.fs.Sockets(p.PID)
		if err != nil {
			denied = err
			continue
		}
		for _, l := range mine {
			if inodes[l.inode] {
				return fmt.Sprintf("%s (process %d)", explain.Line(p.Name), p.PID), nil
			}
		}
	}
	if denied != nil {
		return "", fmt.Errorf("whose socket listens on %s cannot be seen: %w", c.name(), denied)
	}
	return "", fmt.Errorf("%s runs, but something else listens on %s", c.Program, c.name())
}
