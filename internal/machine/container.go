package machine

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"hale/internal/explain"
)

// Container is what runs the container that a process is in.
type Container string

// What runs containers.
const (
	ECS        Container = "ecs"
	Kubernetes Container = "kubernetes"
	Podman     Container = "podman"
	Docker     Container = "docker"
)

// Container tells what runs the container that the process is in, and the sign
// by which that is known; "" for one that is in none, as far as can be seen. The
// signs are variables of its environment, of which only the names are looked at
// (ECS guide, "Task metadata endpoint"; Kubernetes guide, "Service"), files that
// the runtimes put into the root, and the names of control groups.
func (p Process) Container() (by Container, sign string) {
	for _, mark := range []struct {
		by       Container
		variable string
	}{{ECS, "ECS_CONTAINER_METADATA_URI_V4"}, {ECS, "ECS_CONTAINER_METADATA_URI"}, {Kubernetes, "KUBERNETES_SERVICE_HOST"}} {
		if set, err := p.Env(mark.variable); err == nil && set {
			return mark.by, mark.variable + " in its environment"
		}
	}
	groups, _, _ := tail(procFile(p.PID, "cgroup"), DefaultTail)
	for _, mark := range []struct {
		by   Container
		part string
	}{{Kubernetes, "/kubepods"}, {ECS, "/ecs/"}, {Podman, "/libpod-"}, {Docker, "/docker/"}, {Docker, "/docker-"}} {
		if strings.Contains(string(groups), mark.part) {
			return mark.by, "its control group"
		}
	}
	root := rootOf(p.PID)
	if root == "" && booted() {
		return "", "" // a machine whose files were once an image's
	}
	for _, mark := range []struct {
		by   Container
		file string
	}{{Docker, "/.dockerenv"}, {Podman, "/run/.containerenv"}} {
		if _, err := os.Lstat(filepath.Join("/", root, mark.file)); err == nil {
			return mark.by, mark.file + " in its root"
		}
	}
	return "", ""
}

// booted tells whether the first process here is a machine's, and no container's.
func booted() bool {
	name, _, err := tail(procFile(1, "comm"), DefaultTail)
	return err == nil && slices.Contains([]string{"systemd", "init", "runit", "openrc-init"}, strings.TrimSpace(string(name)))
}

// OwnNetwork tells that the process has a network of its own, as in a container:
// its 127.0.0.1 is not ours.
func (p Process) OwnNetwork() bool {
	theirs, err := os.Readlink(procFile(p.PID, "ns/net"))
	ours, ourErr := os.Readlink("/proc/self/ns/net")
	return err == nil && ourErr == nil && theirs != ours
}

// defaultPath is where Docker looks for programs where an image names no PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// FindProgram returns the file that the process would run under a name: in the
// directories of its own PATH, below its own root, with all links followed. The
// error is fs.ErrNotExist where there is none; other errors mean that this
// process may not look.
func (p Process) FindProgram(name string) (file string, err error) {
	if err := supported(); err != nil {
		return "", err
	}
	dirs := []string{""}
	if !strings.Contains(name, "/") {
		path, set, err := p.Lookup("PATH")
		if err != nil {
			return "", err
		}
		if !set {
			path = defaultPath
		}
		dirs = filepath.SplitList(path)
	}
	root := rootOf(p.PID)
	for _, dir := range dirs {
		file, err := resolveIn(root, inDir(filepath.Join(dir, name), p.Home()))
		if err == nil {
			var info fs.FileInfo
			if info, err = os.Stat(filepath.Join("/", root, file)); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
				return file, nil
			}
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errNotDirectory) {
			return "", fmt.Errorf("look for %s: %w", name, err)
		}
	}
	return "", &explain.Error{Text: "the process has no program " + name, Err: fs.ErrNotExist}
}

var errNotDirectory = errors.New("not a directory")

// resolveIn follows the links of a path below a root, which are relative to that
// root. The kernel follows those in /proc/PID/root by ours.
func resolveIn(root, name string) (string, error) {
	const mostLinks = 40 // as many as the kernel follows
	done, rest, links := "/", strings.Split(filepath.Clean("/"+name), "/"), 0
	for len(rest) > 0 {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			done = filepath.Dir(done)
			continue
		}
		next := filepath.Join(done, part)
		info, err := os.Lstat(filepath.Join("/", root, next))
		switch {
		case err != nil && strings.Contains(err.Error(), "not a directory"):
			return "", errNotDirectory
		case err != nil:
			return "", err
		case info.Mode()&fs.ModeSymlink == 0:
			done = next
			continue
		}
		to, err := os.Readlink(filepath.Join("/", root, next))
		if err != nil {
			return "", err
		}
		if links++; links > mostLinks {
			return "", fmt.Errorf("%s: too many links", name)
		}
		if filepath.IsAbs(to) {
			done = "/"
		}
		rest = append(strings.Split(to, "/"), rest...)
	}
	return done, nil
}

// Home is the working directory by the name that the process itself has for it:
// below its own root, the kernel's name begins with that.
func (p Process) Home() string {
	root, err := os.Readlink(procFile(p.PID, "root"))
	if err != nil || root == "/" {
		return p.Dir
	}
	if inside, ok := strings.CutPrefix(p.Dir, root); ok && (inside == "" || inside[0] == '/') {
		return filepath.Clean("/" + inside)
	}
	return p.Dir
}

// ReadFile returns the first bytes of a file that the process knows under a
// name, most at most.
func (p Process) ReadFile(name string, most int) ([]byte, error) {
	root := rootOf(p.PID)
	file, err := resolveIn(root, inDir(name, p.Home()))
	if err != nil {
		return nil, err
	}
	content, cut, err := tail(filepath.Join("/", root, file), most)
	if err == nil && cut {
		return nil, fmt.Errorf("%s is longer than %d bytes", name, most)
	}
	return content, err
}

// ReadDir returns the names of the files, of no directories, that the process
// knows in a directory.
func (p Process) ReadDir(dir string) ([]string, error) {
	root := rootOf(p.PID)
	dir, err := resolveIn(root, inDir(dir, p.Home()))
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(filepath.Join("/", root, dir))
	var names []string
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// Listens tells whether somebody listens on a port at 127.0.0.1, and at ::1, of
// the process's own network.
func (p Process) Listens(port uint16) (v4, v6 bool, err error) {
	for _, table := range []struct {
		name string
		v6   bool
	}{{"net/tcp", false}, {"net/tcp6", true}} {
		content, _, err := tail(procFile(p.PID, table.name), mostSocketTable)
		if table.v6 && errors.Is(err, fs.ErrNotExist) {
			continue // a machine without IPv6
		}
		if err != nil {
			return false, false, err
		}
		for _, bound := range listening(string(content), port) {
			ip, ok := parseKernelAddress(bound.address)
			switch {
			case !ok:
			case !table.v6:
				v4 = v4 || ip.IsUnspecified() || ip == loopbackV4
			case ip.IsUnspecified(): // of both, unless the socket says otherwise, which is not seen here
				v4, v6 = true, true
			default:
				v6 = v6 || ip.IsLoopback()
			}
		}
	}
	return v4, v6, nil
}

const mostSocketTable = 1 << 20

var loopbackV4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// boundSocket is a line of /proc/net/tcp or tcp6, as far as it is of use here:
// the address as the kernel writes it.
// OnLoopbackAlone tells whether who listens on a TCP port in the process's network
// does so on loopback addresses, and on no other.
func (p Process) OnLoopbackAlone(port uint16) bool {
	found := false
	for _, table := range []string{"net/tcp", "net/tcp6"} {
		content, _, err := tail(procFile(p.PID, table), mostSocketTable)
		if err != nil {
			continue // a machine without IPv6
		}
		for _, bound := range listening(string(content), port) {
			ip, ok := parseKernelAddress(bound.address)
			if !ok || !ip.Unmap().IsLoopback() {
				return false
			}
			found = true
		}
	}
	return found
}

type boundSocket struct{ address, inode string }

// listening returns the sockets of such a table that listen on a port.
func listening(table string, port uint16) []boundSocket {
	var all []boundSocket
	for line := range strings.Lines(table) {
		const listen, state, inode = "0A", 3, 9
		fields := strings.Fields(line)
		if len(fields) <= inode || fields[state] != listen {
			continue
		}
		address, number, _ := strings.Cut(fields[1], ":")
		if n, err := strconv.ParseUint(number, 16, 16); err == nil && uint16(n) == port {
			all = append(all, boundSocket{address, fields[inode]})
		}
	}
	return all
}

// parseKernelAddress reads an address of /proc/net/tcp and tcp6: words of four
// bytes, each as the machine orders bytes.
func parseKernelAddress(text string) (netip.Addr, bool) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw)%4 != 0 {
		return netip.Addr{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		binary.BigEndian.PutUint32(raw[i:], binary.NativeEndian.Uint32(raw[i:]))
	}
	ip, ok := netip.AddrFromSlice(raw)
	return ip, ok
}
