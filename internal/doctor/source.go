package doctor

import (
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"hale/internal/machine"
)

// metadataUse is where an app's code asks for its instance's metadata.
type metadataUse struct {
	place, line string
	// token tells whether the code asks for one first.
	token bool
	// timeout is the shortest that the code sets in that file; 0: none.
	timeout      time.Duration
	timeoutPlace string
}

var (
	asksMetadata = regexp.MustCompile(`latest/meta-data`)
	asksToken    = regexp.MustCompile(`latest/api/token|metadata-token|InstanceMetadata|IMDSFetcher|ec2_metadata`)
	setsTimeout  = regexp.MustCompile(`timeout\s*[=:]\s*(\d*\.\d+)`)
	allowedHosts = regexp.MustCompile(`ALLOWED_HOSTS`)
	envName      = regexp.MustCompile(`^[A-Z][A-Z0-9_]+$`)
	quoted       = regexp.MustCompile(`'([^'\n]*)'|"([^"\n]*)"`)
)

// findMetadataUse looks through the code below a directory.
func findMetadataUse(dir string) (metadataUse, bool) {
	var use metadataUse
	eachSource(dir, func(path string, lines []string) bool {
		var shortest metadataUse
		for i, line := range lines {
			place := fmt.Sprintf("%s:%d", path, i+1)
			if asksMetadata.MatchString(line) && use.place == "" {
				use.place, use.line = place, printable(strings.TrimSpace(line), 120)
			}
			use.token = use.token || asksToken.MatchString(line)
			if m := setsTimeout.FindStringSubmatch(line); m != nil {
				if d, err := time.ParseDuration(m[1] + "s"); err == nil && (shortest.timeout == 0 || d < shortest.timeout) {
					shortest.timeout, shortest.timeoutPlace = d, place
				}
			}
		}
		if strings.HasPrefix(use.place, path+":") {
			use.timeout, use.timeoutPlace = shortest.timeout, shortest.timeoutPlace
		}
		return true
	})
	return use, use.place != ""
}

// findAllowedHost looks for an entry of a list of allowed hosts that was meant
// for an address, and never matches it.
func findAllowedHost(p machine.Process, ip netip.Addr) (entry, place string, ok bool) {
	eachSource(p.Dir, func(path string, lines []string) bool {
		open := false // a list that goes over several lines
		for i, line := range lines {
			if !open && !allowedHosts.MatchString(line) {
				continue
			}
			for _, text := range entries(p, line) {
				if meantFor(text, ip) {
					entry, place, ok = text, fmt.Sprintf("%s:%d", path, i+1), true
					return false
				}
			}
			open = strings.LastIndexByte(line, '[') > strings.LastIndexByte(line, ']') || open && !strings.Contains(line, "]")
		}
		return true
	})
	return entry, place, ok
}

// entries are those of a list that a line of code has: written there, or split
// from a variable of the environment.
func entries(p machine.Process, line string) []string {
	var all []string
	for _, m := range quoted.FindAllStringSubmatch(line, -1) {
		text := m[1] + m[2]
		all = append(all, text)
		if strings.Contains(line, "split(") && !strings.Contains(line, "strip(") && envName.MatchString(text) {
			if value, ok, err := p.Lookup(text); err == nil && ok {
				all = append(all, strings.Split(value, ",")...)
			}
		}
	}
	return all
}

// meantFor tells whether an entry names an address in a form that never
// matches: with a port, a scheme, a mask, a star or a space.
func meantFor(entry string, ip netip.Addr) bool {
	if entry == ip.String() || entry == "" || entry == "*" {
		return false
	}
	if network, err := netip.ParsePrefix(strings.TrimSpace(entry)); err == nil {
		return network.Contains(ip)
	}
	if start, ok := strings.CutSuffix(strings.TrimSpace(entry), "*"); ok && start != "" {
		return strings.HasPrefix(ip.String(), start)
	}
	bare := strings.TrimSpace(entry)
	if _, after, ok := strings.Cut(bare, "://"); ok {
		bare = strings.TrimRight(after, "/")
	}
	return hostOnly(bare) == ip.String()
}

// Limits of a search through an app's code.
const (
	mostSources = 500
	sourceBytes = 256 << 10
	sourceDepth = 4
)

// eachSource calls f for each file of code below a directory until it returns
// false. What cannot be read is passed over.
func eachSource(dir string, f func(path string, lines []string) bool) {
	if dir == "" || dir == "/" {
		return
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return
	}
	defer root.Close()
	seen := 0
	_ = fs.WalkDir(root.FS(), ".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil //nolint:nilerr // passed over
		case entry.IsDir() && path != "." && !holdsSource(path, entry.Name()):
			return fs.SkipDir
		case !entry.Type().IsRegular() || !isSource(path):
			return nil
		}
		if seen++; seen > mostSources {
			return fs.SkipAll
		}
		if info, err := entry.Info(); err != nil || info.Size() > sourceBytes {
			return nil //nolint:nilerr // passed over
		}
		content, err := root.ReadFile(path)
		if err != nil {
			return nil //nolint:nilerr // passed over
		}
		if !f(filepath.Join(dir, path), strings.Split(string(content), "\n")) {
			return fs.SkipAll
		}
		return nil
	})
}

// holdsSource tells whether a directory may hold the app's own code.
func holdsSource(path, name string) bool {
	return !strings.HasPrefix(name, ".") && name != "node_modules" && name != "site-packages" && strings.Count(path, "/") < sourceDepth
}

func isSource(name string) bool {
	switch filepath.Ext(name) {
	case ".py", ".rb", ".ru", ".js", ".ts", ".mjs", ".cjs", ".php", ".sh", ".go", ".java", ".ex", ".exs":
		return true
	}
	return false
}
