package servers

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// rabbitUser owns RabbitMQ's files in Debian; its scripts refuse root.
const rabbitUser = "rabbitmq"

// Rabbit is a RabbitMQ node with the user User, who may do everything in the
// virtual host Database, and nothing in "/".
type Rabbit struct {
	*Process
	t       testing.TB
	address string
	tls     string
	dir     string
	control string // rabbitmqctl
	node    string // host:port at which Erlang nodes talk to it
	cookie  string // and what they show
	env     []string
}

// RabbitMQ starts a RabbitMQ node of its own: over TCP and over TLS, both on
// 127.0.0.1, with its own name, cookie, files and port mapper (epmd). URL is
// amqp://USER:PASSWORD@HOST/VHOST.
func RabbitMQ(t testing.TB) *Rabbit {
	t.Helper()
	// The wrappers in PATH insist on Debian's own directories.
	const scripts = "/usr/lib/rabbitmq/bin/"
	Need(t, "rabbitmq-server")
	dir := directoryOf(t, rabbitUser)
	cert := NewCertificate(t, "127.0.0.1")
	port, tlsPort := FreeAddress(t), FreeAddress(t)
	mapper, distribution := strconv.Itoa(FreePort(t)), FreePort(t)
	cookie := "HALETEST" + strconv.Itoa(distribution)

	for name, content := range map[string][]byte{
		"cert.pem":        cert.CertPEM,
		"key.pem":         cert.KeyPEM,
		".erlang.cookie":  []byte(cookie),
		"plugins":         []byte("[].\n"),
		"rabbitmq-env":    nil, // instead of /etc/rabbitmq/rabbitmq-env.conf
		"advanced.config": []byte("[].\n"),
		"rabbitmq.conf": fmt.Appendf(nil, `listeners.tcp.1 = %s
listeners.ssl.1 = %s
ssl_options.certfile = %[3]s/cert.pem
ssl_options.keyfile = %[3]s/key.pem
ssl_options.verify = verify_none
default_vhost = %s
default_user = %s
default_pass = %s
loopback_users = none
disk_free_limit.absolute = 1MB
num_acceptors.tcp = 2
num_acceptors.ssl = 2
log.file = false
log.console = true
log.console.level = warning
`, port, tlsPort, dir, Database, User, Password),
	} {
		write(t, rabbitUser, filepath.Join(dir, name), content)
	}
	loopback := "-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false"
	r := &Rabbit{
		t:       t,
		address: port,
		tls:     tlsPort,
		dir:     dir,
		control: scripts + "rabbitmqctl",
		node:    net.JoinHostPort("localhost", strconv.Itoa(distribution)),
		cookie:  cookie,
		env: []string{
			"HOME=" + dir, // where Erlang looks for the cookie
			"ERL_EPMD_PORT=" + mapper,
			"ERL_EPMD_ADDRESS=127.0.0.1",
			fmt.Sprintf("RABBITMQ_NODENAME=hale%d@localhost", distribution),
			"RABBITMQ_CONF_ENV_FILE=" + filepath.Join(dir, "rabbitmq-env"),
			"RABBITMQ_CONFIG_FILE=" + filepath.Join(dir, "rabbitmq.conf"),
			"RABBITMQ_ADVANCED_CONFIG_FILE=" + filepath.Join(dir, "advanced.config"),
			"RABBITMQ_ENABLED_PLUGINS_FILE=" + filepath.Join(dir, "plugins"),
			"RABBITMQ_MNESIA_BASE=" + filepath.Join(dir, "mnesia"),
			"RABBITMQ_LOG_BASE=" + filepath.Join(dir, "log"),
			"RABBITMQ_PID_FILE=" + filepath.Join(dir, "pid"),
			fmt.Sprintf("RABBITMQ_DIST_PORT=%d", distribution),
			// Without the input option the script stays in front of Erlang, and
			// starts a rabbitmqctl to stop it.
			"RABBITMQ_ALLOW_INPUT=1",
			"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-noinput +S 2:2 " + loopback,
			"RABBITMQ_CTL_ERL_ARGS=+S 1:1 " + loopback,
			"LANG=C.UTF-8",
		},
	}
	Run(t, Spec{
		Name:    "epmd",
		Args:    []string{"-port", mapper, "-address", "127.0.0.1"},
		User:    rabbitUser,
		Dir:     dir,
		Env:     []string{"HOME=" + dir},
		Listens: []string{net.JoinHostPort("127.0.0.1", mapper)},
	})
	u := url.URL{Scheme: "amqp", User: url.UserPassword(User, Password), Host: port, Path: "/" + Database}
	r.Process = Run(t, Spec{
		Name:        scripts + "rabbitmq-server",
		User:        rabbitUser,
		Dir:         dir,
		Env:         r.env,
		URL:         u.String(),
		Certificate: cert,
		// The listeners are the last that RabbitMQ starts.
		Listens: []string{port, tlsPort},
		// There is nothing to be saved, and an orderly end takes seconds.
		StopSignal: syscall.SIGKILL,
	})
	return r
}

// Address is where the node listens without TLS, host:port.
func (r *Rabbit) Address() string { return r.address }

// TLSAddress is where it listens with TLS.
func (r *Rabbit) TLSAddress() string { return r.tls }

// Control runs rabbitmqctl and returns what it wrote.
func (r *Rabbit) Control(args ...string) string {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, r.control, append([]string{"--quiet"}, args...)...)
	return r.output(cmd)
}

// Eval has the node evaluate an Erlang expression, and returns its value. It needs a
// hundredth of the time of "rabbitmqctl eval", which starts a node of its own.
func (r *Rabbit) Eval(expression string) string {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "erl_call", "-r", "-address", r.node, "-c", r.cookie, "-e")
	cmd.Stdin = strings.NewReader(expression + ".\n")
	out := r.output(cmd)
	value, ok := strings.CutPrefix(out, "{ok, ")
	if !ok {
		r.t.Fatalf("%s: %s", expression, out)
	}
	return strings.TrimSuffix(value, "}")
}

// output runs a program as the node's user, and returns what it wrote.
func (r *Rabbit) output(cmd *exec.Cmd) string {
	r.t.Helper()
	cmd.Env = append(os.Environ(), r.env...)
	cmd.Dir = r.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Credential: credential(r.t, rabbitUser)}
	cmd.WaitDelay = time.Second
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		r.t.Fatalf("%s: %v\n%s%s", strings.Join(cmd.Args, " "), err, out, complaints.String())
	}
	return strings.TrimSpace(string(out))
}

// Connections counts the node's clients.
func (r *Rabbit) Connections() int {
	r.t.Helper()
	n, err := strconv.Atoi(r.Eval("length(rabbit_networking:connections())"))
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// Alarm makes the node act as if it were short of a resource, memory or disk:
// it stops reading from connections that publish. Relief undoes it.
func (r *Rabbit) Alarm(resource string) {
	r.t.Helper()
	r.Eval("rabbit_alarm:set_alarm({{resource_limit, " + resource + ", node()}, []})")
}

// Relief ends an Alarm.
func (r *Rabbit) Relief(resource string) {
	r.t.Helper()
	r.Eval("rabbit_alarm:clear_alarm({resource_limit, " + resource + ", node()})")
}
