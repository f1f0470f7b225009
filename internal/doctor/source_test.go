package doctor

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hale/internal/machine"
)

func TestEntriesMeantForAnAddress(t *testing.T) {
	ip := netip.MustParseAddr("10.0.0.10")
	for entry, want := range map[string]bool{
		"10.0.0.10:8000":         true,
		"http://10.0.0.10":       true,
		"https://10.0.0.10:443/": true,
		"10.0.0.0/24":            true,
		"10.0.0.*":               true,
		" 10.0.0.10":             true,
		"10.0.0.10":              false, // matches
		"10.0.0.11:8000":         false,
		"10.1.0.0/24":            false,
		"10.1.*":                 false,
		"*":                      false, // matches
		"example.com":            false,
		"example.com:8000":       false,
		"":                       false,
	} {
		if got := meantFor(entry, ip); got != want {
			t.Errorf("meantFor(%q) = %v, want %v", entry, got, want)
		}
	}
}

func TestFindAllowedHost(t *testing.T) {
	ip := netip.MustParseAddr("10.0.0.10")
	for name, c := range map[string]struct {
		settings     string
		entry, place string // none: not found
	}{
		"one line":                {"DEBUG = False\nALLOWED_HOSTS = ['example.com', '10.0.0.10:8000']\n", "10.0.0.10:8000", "settings.py:2"},
		"several lines":           {"ALLOWED_HOSTS = [\n  \"example.com\",\n  \"10.0.0.0/24\",\n]\n", "10.0.0.0/24", "settings.py:3"},
		"appended":                {"ALLOWED_HOSTS = []\nALLOWED_HOSTS.append('http://10.0.0.10')\n", "http://10.0.0.10", "settings.py:2"},
		"right":                   {"ALLOWED_HOSTS = ['10.0.0.10']\n", "", ""},
		"another list":            {"ALLOWED_HOSTS = ['example.com']\nCACHES = ['10.0.0.10:11211']\n", "", ""},
		"another, after several":  {"ALLOWED_HOSTS = [\n  'example.com',\n]\nCACHES = ['10.0.0.10:11211']\n", "", ""},
		"another address's entry": {"ALLOWED_HOSTS = ['10.0.0.11:8000']\n", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := writeSource(t, c.settings)
			entry, place, ok := findAllowedHost(machine.Process{Dir: dir}, ip)
			if entry != c.entry || ok != (c.entry != "") || strings.TrimPrefix(place, dir+"/") != c.place {
				t.Errorf("got %q at %q, %v; want %q at %q", entry, place, ok, c.entry, c.place)
			}
		})
	}
}

func TestFindMetadataUse(t *testing.T) {
	for name, c := range map[string]struct {
		settings string
		line     int // 0: no use
		token    bool
		timeout  time.Duration
	}{
		"in the old way": {"import requests\nIP = requests.get('http://169.254.169.254/latest/meta-data/local-ipv4', timeout=0.01).text\n", 2, false, 10 * time.Millisecond},
		"with a token":   {"T = put(S + '/latest/api/token', timeout=2.5)\nIP = get(S + '/latest/meta-data/local-ipv4')\n", 2, true, 2500 * time.Millisecond},
		"not at all":     {"TIMEOUT = 0.01\n", 0, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir := writeSource(t, c.settings)
			use, ok := findMetadataUse(dir)
			if ok != (c.line > 0) || use.token != c.token || use.timeout != c.timeout {
				t.Errorf("got %+v, %v", use, ok)
			}
			if ok && !strings.HasSuffix(use.place, "settings.py:"+string(rune('0'+c.line))) {
				t.Errorf("at %s, want line %d", use.place, c.line)
			}
		})
	}
}

func writeSource(t *testing.T, settings string) (dir string) {
	t.Helper()
	return writeTree(t, map[string]string{
		"settings.py":       settings,
		"notes.txt":         "ALLOWED_HOSTS = ['10.0.0.10:1'] latest/meta-data",
		".git/settings.py":  "ALLOWED_HOSTS = ['10.0.0.10:2'] latest/meta-data",
		"node_modules/a.js": "ALLOWED_HOSTS = ['10.0.0.10:3'] latest/meta-data",
	})
}

// writeTree writes files, by their paths in a directory of their own.
func writeTree(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
