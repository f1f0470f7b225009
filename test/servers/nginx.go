package servers

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// Nginx starts nginx with one worker, whose configuration has events and http as
// the content of its blocks of those names. It listens on addresses when Nginx
// returns.
func Nginx(t testing.TB, events, http string, addresses ...string) *Process {
	t.Helper()
	dir := t.TempDir()
	// A master that is root gives its worker another user, who could not write
	// to the directory.
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;"
	}
	config := filepath.Join(dir, "nginx.conf")
	content := fmt.Sprintf(`%[2]s daemon off; pid %[1]s/pid; error_log stderr; worker_processes 1; events { %[3]s }
http { access_log off; client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
%[4]s
}
`, dir, user, events, http)
	if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return Run(t, Spec{Name: "nginx", Args: []string{"-c", config, "-e", "stderr"}, Listens: addresses})
}
