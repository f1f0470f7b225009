package sites

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"hale/test/servers"
)

// inContainer are sites that stand as in a container or a pod.
func inContainer() []Case {
	return []Case{
		{
			// What docker-proxy does when the application in the container
			// listens on the container's own loopback address.
			Name: "docker-application-on-loopback", Row: "docker-published-app-on-loopback",
			Findings: []string{"docker-published-app-on-loopback"}, Inside: true, Imitated: true,
			Start: dockerProxy,
		},
		{
			// The container's own check asks localhost, which is ::1 first.
			Name: "node-localhost-is-ipv6", Row: "container-healthcheck-localhost-v6",
			Findings: []string{"container-healthcheck-localhost-v6"}, Inside: true, Alone: true,
			Start: onIPv6(func(t testing.TB) Site {
				hosts(t, "::1 localhost\n127.0.0.1 localhost\n")
				s := settingAt(t, "localhost", "3000")
				site := s.site(node(s, `server.listen(@port@, '0.0.0.0');`, servers.Spec{Listens: []string{"127.0.0.1:3000"}}))
				site.As = "docker"
				return site
			}),
		},
		{
			// As Istio's sidecar does when the mesh is strict: what comes from
			// other machines goes to Envoy, and Envoy wants a certificate of the
			// mesh.
			Name: "envoy-sidecar-strict", Row: "mesh-mtls-strict", Findings: []string{"mesh-mtls-strict"},
			Inside: true, Alone: true, Imitated: true,
			Start: sidecar,
		},
	}
}

// hosts puts content in place of the machine's /etc/hosts, for a case that is
// alone.
func hosts(t testing.TB, content string) {
	t.Helper()
	if os.Getenv(sharedFile) == "" {
		t.Fatal("the machine's own hosts stay as they are: the case is not alone")
	}
	file := newSetting(t).file("hosts", content)
	if err := syscall.Mount(file, "/etc/hosts", "", syscall.MS_BIND, ""); err != nil {
		t.Fatalf("mount over /etc/hosts: %v", err)
	}
}

// firewall makes a table of nftables with rules, whose words are replaced, for
// a case that is alone.
func (s *setting) firewall(table string) {
	s.t.Helper()
	cmd := exec.Command(servers.Need(s.t, "nft"), "-f", "-")
	cmd.Stdin = strings.NewReader(s.fill(table))
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("nft: %v\n%s", err, out)
	}
}

// sidecar is an application whose connections from elsewhere are redirected to
// a process named envoy, which resets what is not TLS of the mesh.
func sidecar(t testing.TB) Site {
	s := newSetting(t)
	program := s.file("envoy", `#!/usr/bin/python3
import socket, struct

listener = socket.create_server(("0.0.0.0", 15006))
while True:
    client, _ = listener.accept()
    client.settimeout(5)
    try:
        client.recv(4096)
    except OSError:
        pass
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
`)
	chmod(t, program, 0o755)
	servers.Run(t, servers.Spec{Name: program, Listens: []string{"127.0.0.1:15006"}, StopSignal: syscall.SIGKILL})
	site := s.site(node(s, `server.listen(@port@, '0.0.0.0');`, servers.Spec{Listens: []string{s.on("127.0.0.1")}}))
	s.firewall(`
table ip mesh {
	chain output {
		type nat hook output priority -100; policy accept;
		ip saddr 127.0.0.6 tcp dport @port@ redirect to :15006
		ip daddr 127.0.0.5 tcp dport @port@ redirect to :15006
	}
}
`)
	return site
}

// dockerProxy is a process of that name and with docker's arguments, which
// takes connections and closes them, since nobody answers in the container: the
// app is on the loopback address there.
func dockerProxy(t testing.TB) Site {
	s := newSetting(t)
	inside := portOf(loopback(t))
	uvicornInContainer(t, "127.0.0.1", inside)
	program := s.file("docker-proxy", `#!/usr/bin/python3
import socket, sys

options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
listener = socket.create_server((options["-host-ip"], int(options["-host-port"])))
while True:
    client, _ = listener.accept()
    try:
        socket.create_connection((options["-container-ip"], int(options["-container-port"])))
    except OSError:
        client.close()
`)
	chmod(t, program, 0o755)
	servers.Run(t, servers.Spec{
		Name: program,
		Args: []string{
			"-proto", "tcp", "-host-ip", Private, "-host-port", portOf(s.address),
			"-container-ip", "127.0.0.8", "-container-port", inside,
		},
		Listens: []string{s.address}, StopSignal: syscall.SIGKILL,
	})
	return s.site()
}

// onIPv6 is for a site that needs IPv6.
func onIPv6(start func(testing.TB) Site) func(testing.TB) Site {
	return func(t testing.TB) Site {
		l, err := net.Listen("tcp6", "[::1]:0")
		if err != nil {
			lacks(t, "this machine has no IPv6: "+err.Error())
		}
		l.Close()
		return start(t)
	}
}
