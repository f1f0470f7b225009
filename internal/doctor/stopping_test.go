package doctor

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"hale/internal/machine"
)

func TestReloadsOnTerm(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	dir := t.TempDir()
	for name, content := range map[string]string{
		"plain.ini":  "[uwsgi]\n; a comment\nmaster = true\nmodule = shop.wsgi\n",
		"dies.ini":   "[uwsgi]\nmaster\ndie-on-term = true\n",
		"off.ini":    "[uwsgi]\nmaster = true\ndie-on-term = false\n",
		"hook.ini":   "[uwsgi]\nmaster = true\nhook-master-start = unix_signal:15 gracefully_kill_them_all\n",
		"other.ini":  "[uwsgi]\nini = base.ini\nmaster = true\n",
		"single.ini": "[uwsgi]\nmaster = false\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		args string
		want bool
	}{
		{"uwsgi --master --socket :8000", true},
		{"uwsgi --socket :8000 -M", true},
		{"uwsgi --socket :8000", false},
		{"uwsgi --master --die-on-term", false},
		{"uwsgi --master --hook-master-start unix_signal:15", false},
		{"uwsgi --ini DIR/plain.ini", true},
		{"uwsgi --ini=DIR/plain.ini", true},
		{"uwsgi DIR/plain.ini", true},
		{"uwsgi --ini DIR/plain.ini --die-on-term", false},
		{"uwsgi --ini DIR/dies.ini", false},
		{"uwsgi --ini DIR/off.ini", true},
		{"uwsgi --ini DIR/hook.ini", false},
		{"uwsgi --ini DIR/single.ini", false},
		// What may say more, and is not read, proves nothing.
		{"uwsgi --ini DIR/other.ini", false},
		{"uwsgi --ini DIR/none.ini --master", false},
		{"uwsgi --ini DIR/plain.ini:section", false},
		{"uwsgi --master --yaml DIR/app.yaml", false},
		{"uwsgi --master --emperor /etc/uwsgi/vassals", false},
	} {
		args := strings.Fields(strings.ReplaceAll(test.args, "DIR", dir))
		p := machine.Process{PID: os.Getpid(), Program: "uwsgi", Args: args, Dir: dir}
		if seen, got := reloadsOnTerm(p); got != test.want || got != (len(seen) > 0) {
			t.Errorf("%s: %v, %v", test.args, got, seen)
		}
	}
	if _, got := reloadsOnTerm(machine.Process{PID: os.Getpid(), Program: "gunicorn", Args: []string{"gunicorn", "--master"}}); got {
		t.Error("gunicorn is no uWSGI")
	}
}
