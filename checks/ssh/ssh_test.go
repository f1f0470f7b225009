package ssh_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"hale/checks"
	"hale/checks/ssh"
	"hale/test/checktest"
	"hale/test/servers"
)

const other = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// The server is OpenSSH's sshd.
func TestSSHD(t *testing.T) {
	t.Parallel()
	full := sshd(t, "ed25519", "ecdsa", "rsa")
	rsa := sshd(t, "rsa")
	version := full.version(t)
	for _, test := range []struct {
		name   string
		check  ssh.Check
		output string
		want   string // the error; empty: it passes
	}{
		{name: "version", check: ssh.Check{Address: full.address}, output: "answers as " + version + ": ADDRESS"},
		{name: "Ed25519", check: ssh.Check{Address: full.address, Fingerprint: full.keys["ed25519"]}, output: "answers as " + version + ", host key " + full.keys["ed25519"] + ": ADDRESS"},
		{name: "ECDSA", check: ssh.Check{Address: full.address, Fingerprint: full.keys["ecdsa"]}, output: "answers as " + version + ", host key " + full.keys["ecdsa"] + ": ADDRESS"},
		{name: "RSA", check: ssh.Check{Address: full.address, Fingerprint: full.keys["rsa"]}, output: "answers as " + version + ", host key " + full.keys["rsa"] + ": ADDRESS"},
		{name: "RSA alone", check: ssh.Check{Address: rsa.address, Fingerprint: rsa.keys["rsa"]}, output: "answers as " + version + ", host key " + rsa.keys["rsa"] + ": ADDRESS"},

		{name: "another server", check: ssh.Check{Address: rsa.address, Fingerprint: other}, want: "host key is " + rsa.keys["rsa"] + " (ssh-rsa), expected " + other + ": ADDRESS"},
		{name: "another server with many keys", check: ssh.Check{Address: full.address, Fingerprint: other}, want: fmt.Sprintf("host key is %s (ssh-ed25519), %s (ecdsa-sha2-nistp256), %s (ssh-rsa), expected %s: ADDRESS", full.keys["ed25519"], full.keys["ecdsa"], full.keys["rsa"], other)},
		{name: "old algorithms", check: ssh.Check{Address: sshd(t, "rsa", "-o", "KexAlgorithms=diffie-hellman-group18-sha512").address, Fingerprint: other}, want: "no common algorithm for key exchange, the server offers diffie-hellman-group18-sha512, kex-strict-s-v00@openssh.com: ADDRESS"},
		{name: "old host key", check: ssh.Check{Address: sshd(t, "rsa", "-o", "HostKeyAlgorithms=ssh-rsa").address, Fingerprint: other}, want: "the server has no host key of a kind that is known here: ADDRESS"},
		{name: "nobody listens", check: ssh.Check{Address: servers.FreeAddress(t)}, want: "connection refused: ADDRESS"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			where := test.check.Address
			checktest.Expect(t, &test.check, 0, strings.ReplaceAll(test.output, "ADDRESS", where), strings.ReplaceAll(test.want, "ADDRESS", where))
		})
	}
}

func TestGreetings(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, says, output, want string }{
		{"lines before the version", "Welcome\r\nto this host\r\nSSH-2.0-dropbear_2022.83 here\r\n", "answers as dropbear_2022.83 here: ADDRESS", ""},
		{"version 1 as well", "SSH-1.99-Cisco-1.25\n", "answers as Cisco-1.25: ADDRESS", ""},
		{"version 1", "SSH-1.5-OpenSSH_2.1\n", "", `the server does not speak version 2 of SSH, but says "SSH-1.5-OpenSSH_2.1": ADDRESS`},
		{"too many clients", "Exceeded MaxStartups\r\n", "", "too many clients are logging in at this time (MaxStartups): ADDRESS"},
		{"penalty", "Not allowed at this time\r\n", "", "the server does not serve this address for a while, since it left without a login too often (PerSourcePenalties): ADDRESS"},
		{"nothing", "", "", "connection closed without an answer: ADDRESS"},
		{"half a line", "SSH-2.0", "", "connection closed without an answer: ADDRESS"},
		{"a mail server", "220 mx.example.com ESMTP\r\n", "", `answered "220 mx.example.com ESMTP", which is not SSH: ADDRESS`},
		{"a web server", "HTTP/1.1 400 Bad Request\r\n\r\n", "", `answered as HTTP ("HTTP/1.1 400 Bad Request"), not SSH: ADDRESS`},
		{"lines without end", strings.Repeat("hello\n", 1000), "", `answered "hello", which is not SSH: ADDRESS`},
		{"a line without end", strings.Repeat("x", 5000), "", `answered "` + strings.Repeat("x", 200) + `...", which is not SSH: ADDRESS`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			address := servers.Speaker(t, test.says)
			checktest.Expect(t, &ssh.Check{Address: address}, 0, strings.ReplaceAll(test.output, "ADDRESS", address), strings.ReplaceAll(test.want, "ADDRESS", address))
		})
	}
}

// A server that talks but cannot exchange keys is broken.
func TestBreaksOffTheKeyExchange(t *testing.T) {
	t.Parallel()
	address := servers.Speaker(t, "SSH-2.0-broken\r\n")
	checktest.Expect(t, &ssh.Check{Address: address, Fingerprint: other}, 0, "", "connection closed without an answer: "+address)
}

// A run costs one line in the log, and none that speaks of an error.
func TestLog(t *testing.T) {
	t.Parallel()
	server := sshd(t, "ed25519", "-o", "LogLevel=INFO")
	// That it was looked whether it listens is in the log, too.
	checktest.Eventually(t, "the log has its first connection", func() bool { return strings.Contains(server.Output(), "Connection closed by") })
	start := len(server.Output())
	for _, check := range []ssh.Check{{Address: server.address}, {Address: server.address, Fingerprint: server.keys["ed25519"]}} {
		before := strings.Count(server.Output(), "[preauth]")
		if _, err := check.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		checktest.Eventually(t, "the run is in the log", func() bool { return strings.Count(server.Output(), "[preauth]") > before })
	}
	log := server.Output()[start:]
	for _, bad := range []string{"error", "kex_exchange_identification", "banner", "fatal", "reset"} {
		if strings.Contains(log, bad) {
			t.Errorf("%q in the log:\n%s", bad, log)
		}
	}
	if n := strings.Count(log, "Connection closed by 127.0.0.1"); n != 2 {
		t.Errorf("%d connections in the log:\n%s", n, log)
	}
}

func TestFaults(t *testing.T) {
	server := sshd(t, "ed25519")
	for name, fingerprint := range map[string]string{"version": "", "host key": server.keys["ed25519"]} {
		t.Run(name, func(t *testing.T) {
			checktest.Target{
				Address: server.address,
				New: func(address string) checks.Check {
					return &ssh.Check{Address: address, Fingerprint: fingerprint}
				},
				Connections: func() int { return servers.Connections(t, server.address) },
			}.Faults(t)
		})
	}
}

func TestSoak(t *testing.T) {
	server := sshd(t, "ed25519")
	for name, fingerprint := range map[string]string{"version": "", "host key": server.keys["ed25519"]} {
		t.Run(name, func(t *testing.T) {
			check := &ssh.Check{Address: server.address, Fingerprint: fingerprint}
			checktest.Soak(t, check, func() int { return servers.Connections(t, server.address) })
		})
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	const want = " is not a fingerprint: write SHA256:... with 43 characters, as ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key.pub prints it"
	for _, test := range []struct{ name, address, fingerprint, want string }{
		{"address", "[::1]:22", "", ""},
		{"fingerprint", "h:22", other, ""},
		{"nothing", "", "", "address: is missing: write host:port, such as 10.0.3.7:22"},
		{"no port", "10.0.3.7", "", `address: "10.0.3.7" is not host:port: write it as 10.0.3.7:22`},
		{"MD5", "h:22", "MD5:16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48", `fingerprint: "MD5:16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48"` + want},
		{"too short", "h:22", "SHA256:AAAA", `fingerprint: "SHA256:AAAA"` + want},
	} {
		err := (&ssh.Check{Address: test.address, Fingerprint: test.fingerprint}).Validate()
		if test.want == "" && err != nil || test.want != "" && (err == nil || err.Error() != test.want) {
			t.Errorf("%s: error = %v\nwant %s", test.name, err, test.want)
		}
		if _, ok := errors.AsType[*checks.OptionError](err); err != nil && !ok {
			t.Errorf("%s: not an OptionError: %#v", test.name, err)
		}
	}
}

// daemon is a running sshd.
type daemon struct {
	*servers.Process
	address string
	keys    map[string]string // fingerprints by type
}

// sshd starts sshd with a host key of each type, up to what begins with a
// hyphen: that and the rest are arguments.
func sshd(t *testing.T, args ...string) daemon {
	t.Helper()
	path, keygen := servers.Need(t, "sshd"), servers.Need(t, "ssh-keygen")
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // to let nobody in
		t.Fatal(err)
	}
	d := daemon{address: servers.FreeAddress(t), keys: make(map[string]string)}
	_, port, _ := net.SplitHostPort(d.address)
	line := []string{
		"-D", "-e", "-f", "/dev/null", "-p", port,
		"-o", "ListenAddress=127.0.0.1", "-o", "PidFile=none", "-o", "UsePAM=no", "-o", "MaxStartups=1000",
	}
	for len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		file := filepath.Join(dir, args[0])
		if out, err := exec.Command(keygen, "-q", "-t", args[0], "-N", "", "-f", file).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v\n%s", err, out)
		}
		own(t, file)
		out, err := exec.Command(keygen, "-l", "-f", file+".pub").Output()
		if err != nil {
			t.Fatal(err)
		}
		d.keys[args[0]] = strings.Fields(string(out))[1]
		line = append(line, "-h", file)
		args = args[1:]
	}
	// Only root's sshd wants a directory to lock itself into.
	d.Process = servers.Run(t, servers.Spec{Name: path, Args: append(line, args...), User: "nobody", Listens: []string{d.address}})
	return d
}

// own gives a file to nobody, if the test may do so.
func own(t *testing.T, file string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(nobody.Uid)
	if err := os.Chown(file, uid, -1); err != nil {
		t.Fatal(err)
	}
}

// version is how the server names itself.
func (d daemon) version(t *testing.T) string {
	t.Helper()
	conn, err := net.Dial("tcp", d.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(strings.TrimPrefix(line, "SSH-2.0-"))
}
