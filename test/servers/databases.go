package servers

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// User, Password and Database are those of every database server here. The
// user may do everything in its server.
const (
	User     = "hale"
	Password = "corr3ct horse/battery@staple" // needs escaping in a URL
	Database = "app"
)

// Postgres starts PostgreSQL with an empty database, Database, over TCP on
// 127.0.0.1, with passwords (SCRAM) and TLS. URL is postgres://...?sslmode=disable.
func Postgres(t testing.TB) *Process {
	t.Helper()
	const owner = "postgres" // PostgreSQL refuses to run as root
	initdb, isReady := Need(t, "initdb"), Need(t, "pg_isready")

	dir := directoryOf(t, owner)
	data := filepath.Join(dir, "data")
	password := filepath.Join(dir, "password")
	write(t, owner, password, []byte(Password+"\n"))
	command(t, owner, dir, initdb, "--pgdata", data, "--username", User, "--pwfile", password,
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions")
	cert := NewCertificate(t, "127.0.0.1")
	write(t, owner, filepath.Join(data, "server.crt"), cert.CertPEM)
	write(t, owner, filepath.Join(data, "server.key"), cert.KeyPEM)
	// A database of its own, made before anybody can connect.
	single := exec.Command(Need(t, "postgres"), "--single", "-D", data, "postgres")
	single.Stdin = bytes.NewBufferString("create database " + Database + "\n")
	run(t, owner, dir, single)

	port := strconv.Itoa(FreePort(t))
	return Run(t, Spec{
		Name: "postgres",
		User: owner,
		Dir:  dir,
		Args: []string{
			"-D", data, "-p", port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=" + dir,
			"-c", "ssl=on", "-c", "fsync=off", "-c", "shared_buffers=16MB", "-c", "max_connections=20",
		},
		URL:         databaseURL("postgres", port, "sslmode=disable"),
		Certificate: cert,
		Ready: func(ctx context.Context) error {
			return exec.CommandContext(ctx, isReady, "-q", "-h", "127.0.0.1", "-p", port).Run()
		},
		StopSignal: syscall.SIGINT, // "fast": ends sessions rather than waiting for them
	})
}

// MariaDB starts MariaDB with an empty database, Database, over TCP on
// 127.0.0.1, with passwords and TLS. URL is mysql://...
func MariaDB(t testing.TB) *Process {
	t.Helper()
	const owner = "mysql"
	install := Need(t, "mariadb-install-db")

	dir := directoryOf(t, owner)
	// A directory of its own for temporary tables: each server that starts removes
	// those that it finds there, whosever they are.
	temporary := filepath.Join(dir, "tmp")
	if err := os.Mkdir(temporary, 0o700); err != nil {
		t.Fatal(err)
	}
	own(t, owner, temporary)
	// MariaDB 10.11's bootstrap now and then dies of a signal of its own making.
	var data string
	for try := 1; ; try++ {
		data = filepath.Join(dir, "data"+strconv.Itoa(try))
		out, err := output(t, owner, dir, exec.Command(install, "--no-defaults", "--datadir="+data, "--tmpdir="+temporary,
			"--auth-root-authentication-method=normal", "--skip-test-db"))
		if err == nil {
			break
		}
		if try == 3 || !strings.Contains(string(out), "got signal") {
			t.Fatalf("%s: %v\n%s", install, err, out)
		}
	}
	setup := filepath.Join(dir, "setup.sql")
	write(t, owner, setup, fmt.Appendf(nil, "create database if not exists %[1]s;\n"+
		"create user if not exists '%[2]s'@'127.0.0.1' identified by '%[3]s';\n"+
		"grant all on *.* to '%[2]s'@'127.0.0.1';\n", Database, User, Password))
	cert := NewCertificate(t, "127.0.0.1")
	write(t, owner, filepath.Join(dir, "server.crt"), cert.CertPEM)
	write(t, owner, filepath.Join(dir, "server.key"), cert.KeyPEM)

	port := strconv.Itoa(FreePort(t))
	return Run(t, Spec{
		Name: "mariadbd",
		User: owner,
		Dir:  dir,
		Args: []string{
			"--no-defaults", "--datadir=" + data, "--tmpdir=" + temporary, "--socket=" + filepath.Join(dir, "socket"), "--pid-file=" + filepath.Join(dir, "pid"),
			"--bind-address=127.0.0.1", "--port=" + port, "--skip-name-resolve", "--init-file=" + setup,
			"--ssl-cert=" + filepath.Join(dir, "server.crt"), "--ssl-key=" + filepath.Join(dir, "server.key"),
			"--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=16M", "--max-connections=20",
		},
		URL:         databaseURL("mysql", port, ""),
		Certificate: cert,
		Ready:       func(ctx context.Context) error { return greeting(ctx, "127.0.0.1:"+port) },
	})
}

// greeting waits for the first packet that MariaDB sends to a new connection.
// It comes after the server has run its setup file; the port is open before.
func greeting(ctx context.Context, address string) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	head := make([]byte, 5) // length, sequence number, protocol version
	if _, err := io.ReadFull(conn, head); err != nil {
		return err
	}
	if head[4] != 10 {
		return fmt.Errorf("greeting starts with % x", head)
	}
	return nil
}

func databaseURL(scheme, port, query string) string {
	u := url.URL{
		Scheme:   scheme,
		User:     url.UserPassword(User, Password),
		Host:     net.JoinHostPort("127.0.0.1", port),
		Path:     "/" + Database,
		RawQuery: query,
	}
	return u.String()
}

// write makes a file that only a user may read.
func write(t testing.TB, owner, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	own(t, owner, path)
}

// command runs a program as a user, and fails the test if it fails.
func command(t testing.TB, owner, dir, path string, args ...string) {
	t.Helper()
	run(t, owner, dir, exec.Command(path, args...))
}

func run(t testing.TB, owner, dir string, cmd *exec.Cmd) {
	t.Helper()
	if out, err := output(t, owner, dir, cmd); err != nil {
		t.Fatalf("%s: %v\n%s", cmd.Path, err, out)
	}
}

func output(t testing.TB, owner, dir string, cmd *exec.Cmd) ([]byte, error) {
	t.Helper()
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Credential: credential(t, owner)}
	return cmd.CombinedOutput()
}
