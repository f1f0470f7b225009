package instance

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// maxFileSize bounds what is read of an address file: some ten thousand
// addresses, far more than a machine has.
const maxFileSize = 1 << 18

// addressFile is a file of addresses, one a line.
type addressFile struct{ path string }

func (f addressFile) ask(context.Context) (answer, error) {
	a := answer{source: Source("file:" + f.path)}
	addrs, err := readAddresses(f.path)
	if err != nil {
		a.fatal = true
		return a, err
	}
	a.found, a.private = true, addrs
	return a, nil
}

func readAddresses(path string) ([]netip.Addr, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: does not exist: write this machine's address into it (hale instance --write %s), or name another file", path, path)
	case err != nil:
		return nil, fmt.Errorf("read addresses: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: is not a regular file", path) // to open a pipe could block for ever
	case info.Size() > maxFileSize:
		return nil, fmt.Errorf("%s: is %d bytes long; a file of addresses has at most %d", path, info.Size(), maxFileSize)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read addresses: %w", err)
	}
	return ParseAddresses(path, string(text))
}

// ParseAddresses reads the text of an address file: IPv4 and IPv6 addresses,
// one a line; blank lines and what follows a # are skipped. Its errors name
// the file and the line.
func ParseAddresses(name, text string) ([]netip.Addr, error) {
	var addrs []netip.Addr
	n := 0
	for line := range strings.Lines(text) {
		n++
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		addr, err := netip.ParseAddr(line)
		if err != nil || addr.Zone() != "" {
			return nil, fmt.Errorf("%s:%d: %s is not an IP address: write one address a line, without port, mask or name", name, n, quote(line))
		}
		addrs = append(addrs, addr.Unmap())
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("%s: holds no address: write one a line", name)
	}
	return addrs, nil
}

// WriteFile writes the primary private IPv4 address and a newline into the
// file at path, as a whole or not at all (a temporary file beside it, synced
// and renamed), with mode 0644. The directory must exist. Programs that want
// the address, a Django settings module for one, read it from there.
func (i Instance) WriteFile(path string) error {
	addr, ok := i.Primary()
	if !ok {
		return fmt.Errorf("write %s: %w: no source knows a private IPv4 address", path, ErrNoAddress)
	}
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write %s: directory %s does not exist: make it first (install -d -m 0755 %s)", path, dir, dir)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(tmp.Name()) // gone already where the rename succeeded
	_, err = tmp.WriteString(addr.String() + "\n")
	if err == nil {
		err = tmp.Chmod(0o644) // CreateTemp's is 0600; the app runs as another user
	}
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return syncDir(dir)
}

// syncDir makes a rename in dir last through a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}

// interfaces are this machine's network interfaces.
type interfaces struct {
	list func() ([]netip.Addr, error)
}

func (s interfaces) ask(context.Context) (answer, error) {
	a := answer{source: Interfaces}
	addrs, err := s.list()
	if err != nil {
		return a, fmt.Errorf("list network interfaces: %w", err)
	}
	for _, addr := range addrs {
		if addr.IsLoopback() || addr.IsLinkLocalUnicast() || addr.IsMulticast() || addr.IsUnspecified() {
			continue
		}
		a.private = append(a.private, addr)
	}
	if len(a.private) == 0 {
		return a, errors.New("no interface has an address beyond loopback and link-local")
	}
	a.found = true
	return a, nil
}

// interfaceAddrs lists the addresses of all interfaces that are up.
func interfaceAddrs() ([]netip.Addr, error) {
	links, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var addrs []netip.Addr
	for _, link := range links {
		if link.Flags&net.FlagUp == 0 {
			continue
		}
		nets, err := link.Addrs()
		if err != nil {
			continue // the interface went away meanwhile
		}
		for _, n := range nets {
			if ip, ok := n.(*net.IPNet); ok {
				if addr, ok := netip.AddrFromSlice(ip.IP); ok {
					addrs = append(addrs, addr.Unmap())
				}
			}
		}
	}
	return addrs, nil
}

// kernel knows the host name that this machine has set.
type kernel struct{}

func (kernel) ask(context.Context) (answer, error) {
	name, err := os.Hostname()
	return answer{source: Kernel, hostname: name, found: err == nil}, err
}
