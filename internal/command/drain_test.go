package command_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// admin answers as the admin address of hale serve does: to its IP address and
// to localhost alone.
func admin(t *testing.T, answer http.HandlerFunc) (port string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if _, err := netip.ParseAddr(host); err != nil && host != "localhost" {
			w.WriteHeader(http.StatusMisdirectedRequest)
			_, _ = io.WriteString(w, "host "+r.Host)
			return
		}
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func accept(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Path != "/drain" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"message": "draining"}`)
}

func hale(t *testing.T, env []string, args ...string) (out string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "hale", args...)
	cmd.Env = append(os.Environ(), env...)
	text, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

func TestDrainAsksTheAdminAddress(t *testing.T) {
	port := admin(t, accept)
	// A proxy's is another network; Go sends loopback addresses to none anyway,
	// but 0.0.0.0, which is this machine too.
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("the proxy was asked for %s", r.URL)
		w.WriteHeader(http.StatusBadGateway)
	}))
	defer proxy.Close()
	for _, host := range []string{"", "127.0.0.1", "0.0.0.0", "localhost", "LOCALHOST"} {
		t.Run(host, func(t *testing.T) {
			out, code := hale(t, []string{"HTTP_PROXY=" + proxy.URL}, "drain", "--admin", host+":"+port)
			if out != "draining\n" || code != 0 {
				t.Errorf("exit code %d, %q", code, out)
			}
		})
	}
}

func TestDrainFollowsNobody(t *testing.T) {
	elsewhere := admin(t, accept)
	port := admin(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.1:"+elsewhere+"/drain", http.StatusTemporaryRedirect)
	})
	out, code := hale(t, nil, "drain", "--admin", "127.0.0.1:"+port)
	if want := "hale: ask 127.0.0.1:" + port + " to drain: it answered 307 Temporary Redirect"; code != 2 || !strings.HasPrefix(out, want) {
		t.Errorf("exit code %d, %q; want 2, %q", code, out, want)
	}
}
