package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"hale/internal/machine"
	"hale/internal/machine/containercheck"
	"hale/internal/probe"
)

// examinePlatform looks at what will become of the app on the platform that it
// runs on: whether the cloud's probers are let in, how long it took to start, and
// how its container is checked.
func (x *examination) examinePlatform(ctx context.Context) {
	x.examineRanges(ctx)
	if !x.Inside {
		return
	}
	x.measureStart(ctx)
	x.examineContainer(ctx)
}

// examineContainer looks at what the app's own container is checked and stopped
// with, where the files that define it lie with the app. Its check runs inside,
// whoever probes from outside.
func (x *examination) examineContainer(ctx context.Context) {
	app := x.surroundings.app()
	if app.PID == 0 {
		x.maybeNotPublished()
		return
	}
	by, sign := app.Container()
	all := definitions(app)
	if by == machine.Kubernetes { // which has checks of its own, and reads none of these files
		all = nil
	}
	if by != "" {
		x.site.recognise(string(by))
	}
	x.examineStop(ctx, app, stopsOf(all, by, x.ports()), by)
	for _, d := range checksOf(all, by, x.ports()) {
		if d.Check == nil {
			continue
		}
		if !x.toolMissing(app, d, by, sign) && by != "" {
			x.firstAddressAlone(ctx, app, d)
		}
		return // what comes first is what the container is started with
	}
}

// notPublished proves an app that listens in a network of its own, as containers
// have, and nobody here who takes what comes to its port.
func notPublished(ctx context.Context, x *examination) []Evidence {
	to := x.current.probe.Address
	if at, err := machine.ListenersOn(to.Port()); err != nil || len(at) > 0 {
		return nil
	}
	elsewhere := x.inContainers(to.Port())
	switch {
	case len(elsewhere) == 0:
		return nil
	case len(elsewhere) > 1: // any of them may be meant, or none
		x.undecided = append(x.undecided, Undecided{
			fmt.Sprintf("whether port %d leads to the wrong place: it does not lead into a container, and %d processes in containers listen on such a port (docker-port-not-published)", to.Port(), len(elsewhere)),
			"docker ps --format '{{.Names}} {{.Ports}}', or kubectl get pods,services -o wide: to which port of this machine is the app published?",
		})
		return nil
	}
	p := elsewhere[0]
	if why := x.anothersContainer(ctx, p); why != "" {
		x.undecided = append(x.undecided, Undecided{
			fmt.Sprintf("whether %s (process %d), which listens on port %d in a container, is this site's app (docker-port-not-published): %s", p.Name(), p.PID, to.Port(), why),
			"docker ps --format '{{.Names}} {{.Ports}}' tells whose container it is, and to which port of this machine it is published",
		})
		return nil
	}
	return append(x.answered("connect to "+to.String()),
		Evidence{Change: "the sockets of this machine", Before: fmt.Sprintf("none listens on port %d", to.Port())},
		Evidence{
			Change: "the sockets of other networks on this machine",
			Before: fmt.Sprintf("%s (process %d) listens on port %d in a network of its own", p.Name(), p.PID, to.Port()),
		})
}

// anothersContainer says what speaks against a process in a container being the
// site's: such a port is published as another one, or the log that the user has
// named has an error, and is not written by that process.
func (x *examination) anothersContainer(ctx context.Context, p machine.Process) string {
	for _, s := range x.surroundings.sockets {
		if s.Owner().Program != dockerProxy || s.Path != "" {
			continue
		}
		proxy, err := machine.Inspect(s.Owner().PID)
		if err != nil {
			continue
		}
		if i := slices.Index(proxy.Args, "-container-port"); i >= 0 && i+1 < len(proxy.Args) && proxy.Args[i+1] == portOf(x.current.probe) {
			return fmt.Sprintf("docker-proxy publishes such a port of a container as %s", s.Address)
		}
	}
	if len(lastError(ctx, x, x.current.probe.Address.String())) > 0 && !slices.ContainsFunc(p.Output(), func(path string) bool { return slices.Contains(x.Logs, path) }) {
		return "it does not write the log that was named, in which there is an error"
	}
	return ""
}

const dockerProxy = "docker-proxy"

// onContainersLoopback proves that docker-proxy's connection into the container is
// refused because the app listens on the container's own loopback address.
func onContainersLoopback(ctx context.Context, x *examination) []Evidence {
	seen := sameWhatever(ctx, x)
	if len(seen) == 0 {
		return nil
	}
	port := x.current.probe.Address.Port()
	args := x.surroundings.process.Args
	if i := slices.Index(args, "-container-port"); i >= 0 && i+1 < len(args) {
		if n, err := strconv.ParseUint(args[i+1], 10, 16); err == nil {
			port = uint16(n)
		}
	}
	for _, p := range x.inContainers(port) {
		if p.OnLoopbackAlone(port) {
			return append(seen, Evidence{
				Change: "the sockets of other networks on this machine",
				Before: fmt.Sprintf("%s (process %d) listens on port %d of its own loopback address alone", p.Name(), p.PID, port),
			})
		}
	}
	undecided := Undecided{
		fmt.Sprintf("whether the app in the container behind docker-proxy runs, and listens on port %d of all its addresses (docker-published-app-on-loopback): no container is seen where it listens on loopback alone", port),
		"docker ps -a tells whether the container runs, docker exec CONTAINER ss -ltn (or cat /proc/net/tcp) where the app listens",
	}
	if !slices.Contains(x.undecided, undecided) {
		x.undecided = append(x.undecided, undecided)
	}
	return nil
}

// inContainers are the processes that listen on a port in containers with networks of
// their own.
func (x *examination) inContainers(port uint16) []machine.Process {
	elsewhere, err := machine.ListenersElsewhere(port)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(elsewhere, func(p machine.Process) bool {
		by, _ := p.Container()
		return by == "" || x.Owned != nil && !x.Owned(machine.Socket{Owners: []machine.Owner{{PID: p.PID, Program: p.Program}}})
	})
}

// maybeNotPublished tells of containers where nobody listens: what they hold can
// only be seen by root.
func (x *examination) maybeNotPublished() {
	if !x.found("nothing-listening") || os.Geteuid() == 0 {
		return
	}
	for _, socket := range []string{"/run/docker.sock", "/run/containerd/containerd.sock", "/run/podman/podman.sock"} {
		if _, err := os.Stat(socket); err == nil {
			x.undecided = append(x.undecided, Undecided{
				"whether the app listens in a container whose port is not published (docker-port-not-published)",
				"docker ps --format '{{.Names}} {{.Ports}}': is there an arrow from port " + portOf(x.Probe) + "? Or run this as root",
			})
			return
		}
	}
}

// recognise adds what has a hand in the site.
func (s *site) recognise(name string) {
	if !slices.Contains(s.software, name) {
		s.software = append(s.software, name)
	}
}

// ports are those by which the app's container may be known.
func (x *examination) ports() []int {
	ports := []int{int(x.Probe.Address.Port()), int(x.current.probe.Address.Port())}
	if port, err := strconv.Atoi(x.site.rightPort); err == nil {
		ports = append(ports, port)
	}
	return ports
}

// definition is what a file says of a container.
type definition struct {
	containercheck.Definition
	file string
}

func (d *definition) place() string {
	if d.Check == nil {
		return d.file
	}
	return fmt.Sprintf("%s:%d", d.file, d.Check.Line)
}

// Where the files that define a container lie: with the app, in the directory
// above it, or in one of these below.
var definitionDirs = []string{"", "docker", "deploy", "deployment", "ecs", ".aws", "infra"}

// Limits of looking for such files.
const (
	mostDefinitions  = 20
	definitionBytes  = 256 << 10
	shallowestParent = 2 // parts of a path: /srv/shop is a project, /srv is not
)

// definitions are those that lie with a process's app. What cannot be read is
// passed over.
func definitions(app machine.Process) []definition {
	home := app.Home()
	if home == "" || home == "/" {
		return nil
	}
	dirs := []string{home}
	if parent := filepath.Dir(home); strings.Count(parent, "/") >= shallowestParent {
		dirs = append(dirs, parent)
	}
	var all []definition
	for _, dir := range dirs {
		for _, below := range definitionDirs {
			names, err := app.ReadDir(filepath.Join(dir, below))
			if err != nil {
				continue
			}
			for _, name := range names {
				if containercheck.KindOf(name) == "" || len(all) >= mostDefinitions {
					continue
				}
				file := filepath.Join(dir, below, name)
				content, err := app.ReadFile(file, definitionBytes)
				if err != nil {
					continue
				}
				read, err := containercheck.Read(file, content)
				if err != nil {
					continue
				}
				for _, d := range read {
					all = append(all, definition{d, file})
				}
			}
		}
		if len(all) > 0 {
			return all // those above belong to another app
		}
	}
	return all
}

// checksOf are the definitions that may have the container's check, what
// overrides the rest first: of ECS, the task definition alone, for it does not
// heed a Dockerfile's check (ECS API, HealthCheck); else a compose file, then a
// Dockerfile.
func checksOf(all []definition, by machine.Container, ports []int) []definition {
	tasks := theOne(all, containercheck.Task, ports)
	if by == machine.ECS || by == "" && len(tasks) > 0 {
		return tasks
	}
	own := theOne(all, containercheck.Compose, ports)
	if len(own) > 0 && own[0].NoCheck {
		return nil
	}
	return append(own, theOne(all, containercheck.Dockerfile, ports)...)
}

// stopsOf are the definitions that may say how the container is stopped.
func stopsOf(all []definition, by machine.Container, ports []int) []definition {
	image := theOne(all, containercheck.Dockerfile, ports)
	if by == machine.ECS {
		return image
	}
	return append(theOne(all, containercheck.Compose, ports), image...)
}

// theOne picks the definition of one kind that is the app's own container's: the
// only one, or the only one with its port, that is built here, or with the usual
// name; none if that does not tell.
func theOne(all []definition, kind containercheck.Kind, ports []int) []definition {
	for _, fits := range []func(definition) bool{
		func(definition) bool { return true },
		func(d definition) bool {
			return slices.ContainsFunc(d.Ports, func(port int) bool { return slices.Contains(ports, port) })
		},
		func(d definition) bool { return d.Builds },
		func(d definition) bool {
			return slices.Contains([]string{"dockerfile", "containerfile"}, strings.ToLower(path.Base(d.file)))
		},
	} {
		if left := slices.DeleteFunc(slices.Clone(all), func(d definition) bool { return d.Kind != kind || !fits(d) }); len(left) == 1 {
			return left
		}
	}
	return nil
}

// toolMissing proves a check that starts a program which the container lacks.
// Outside of a container only the image could tell.
func (x *examination) toolMissing(app machine.Process, d definition, by machine.Container, sign string) bool {
	missing := ""
	for _, way := range d.Check.Programs() {
		lacking := ""
		for _, name := range way {
			if strings.Contains(name, "/") && !path.IsAbs(name) {
				continue // relative to where the image works, which the app may have left
			}
			_, err := app.FindProgram(name)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				x.undecided = append(x.undecided, Undecided{"whether the container has " + printable(name, 40) + ", which its own check starts: " + printable(err.Error(), 120), "run this as root"})
				return true
			}
			if err != nil {
				lacking = name
				break
			}
		}
		if lacking == "" {
			return false // this way works
		}
		if missing == "" {
			missing = lacking
		}
	}
	switch {
	case missing == "":
		return false
	case by == "":
		x.undecided = append(x.undecided, Undecided{
			fmt.Sprintf("whether the image has %s, which the container's own check starts (%s); the app here, in no container as far as can be seen, does not have it", printable(missing, 40), d.place()),
			"docker run --rm --entrypoint which IMAGE " + printable(missing, 40) + "; or run this where the container is",
		})
		return true
	}
	x.asideOf("container-healthcheck-tool-missing", []Evidence{
		{Change: "the container's own check, " + d.place(), Before: printable(d.Check.Brief(), 160)},
		{Change: fmt.Sprintf("%s, in the PATH of %s (process %d)", printable(missing, 40), app.Name(), app.PID), Before: "not there"},
		{Change: "what tells that it is in a container", Before: sign},
	})
	return true
}

// asideOf writes down a finding that has nothing to do with the answer, nor with
// the gate that it was seen behind.
func (x *examination) asideOf(id string, seen []Evidence) {
	if x.found(id) {
		return
	}
	behind := x.behind
	x.behind = ""
	x.conclude(id, x.current, seen)
	x.behind = behind
}

// firstAddressAlone proves a check that asks localhost with a program that takes
// the first address of a name and no other, where nobody listens at that one.
func (x *examination) firstAddressAlone(ctx context.Context, app machine.Process, d definition) {
	asked, ok := d.Check.Asks()
	port, err := portNumber(asked.Port)
	if !ok || err != nil || asked.Host != "localhost" || !x.firstIsV6(app) {
		return
	}
	tool := ""
	for _, way := range d.Check.Programs() {
		for _, name := range way {
			wget := path.Base(name) == "wget" || d.Check.Starts(name, "wget")
			if file, err := app.FindProgram(name); err == nil && wget && path.Base(file) == "busybox" {
				tool = file
			}
		}
	}
	if tool == "" {
		return
	}
	seen := []Evidence{
		{Change: "the container's own check, " + d.place(), Before: printable(d.Check.Brief(), 160)},
		{Change: "wget is " + tool, Before: "it takes the first address of localhost, ::1, and no other"},
	}
	if app.OwnNetwork() {
		v4, v6, err := app.Listens(port)
		if err != nil || !v4 || v6 {
			return
		}
		x.asideOf("container-healthcheck-localhost-v6", append(seen, Evidence{
			Change: "the sockets of the container", Before: fmt.Sprintf("port %d: IPv4 alone", port),
		}))
		return
	}
	if !x.going() || len(x.sent)+2 > MostRequests {
		return
	}
	at := func(ip netip.Addr) exchange {
		p := x.current.probe
		p.Address, p.Source = netip.AddrPortFrom(ip, port), netip.Addr{}
		p.Path, p.Protocol, p.Host = asked.Path, probe.HTTP, net.JoinHostPort("localhost", asked.Port)
		if asked.Secure {
			p.Protocol = probe.HTTPS
		}
		return x.send(ctx, p)
	}
	v6, v4 := at(netip.IPv6Loopback()), at(netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	if x.going() && v6.sign.class == classRefused && !v4.sign.class.transport() {
		x.asideOf("container-healthcheck-localhost-v6", append(seen, Evidence{
			Change: fmt.Sprintf("127.0.0.1 instead of ::1, port %d", port), Before: x.brief(v6), After: x.brief(v4),
		}))
	}
}

func portNumber(text string) (uint16, error) {
	port, err := strconv.ParseUint(text, 10, 16)
	return uint16(port), err
}

// firstIsV6 tells whether the app's localhost is ::1 before 127.0.0.1: a resolver
// puts the former first where the file of hosts has both (RFC 6724, section 2.1).
func (x *examination) firstIsV6(app machine.Process) bool {
	content, err := app.ReadFile("/etc/hosts", definitionBytes)
	if err != nil {
		return false
	}
	for line := range bytes.Lines(content) {
		line, _, _ = bytes.Cut(line, []byte("#"))
		if words := strings.Fields(string(line)); len(words) > 1 && words[0] == "::1" && slices.Contains(words[1:], "localhost") {
			return true
		}
	}
	return false
}
