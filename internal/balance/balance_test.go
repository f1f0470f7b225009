package balance_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"hale/internal/autoscaling/instancetest"
	"hale/internal/balance"
	"hale/internal/balancer/certificate/acmetest"
	"hale/test/servers"
)

// patience bounds every wait; only a test that fails spends it.
const patience = time.Minute

// running is a hale balance.
type running struct {
	t            *testing.T
	file         string
	stop, reload chan os.Signal
	ended        chan error
	api, admin   net.Addr
	log          *lockedBuffer
	stopped      bool
}

type lockedBuffer struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.String()
}

// start runs a balancer with a file, until the test's end.
func start(t *testing.T, file string, change func(*balance.Options)) *running {
	t.Helper()
	r := &running{t: t, file: file, stop: make(chan os.Signal, 2), reload: make(chan os.Signal, 1), ended: make(chan error, 1), log: new(lockedBuffer)}
	ready := make(chan struct{})
	o := balance.Options{
		ConfigFile: file, Env: func(string) (string, bool) { return "", false },
		Stdout: io.Discard, Stderr: io.Discard, Logger: slog.New(slog.NewTextHandler(r.log, nil)),
		Stop: r.stop, Reload: r.reload,
		Ready: func(api, admin net.Addr) {
			r.api, r.admin = api, admin
			close(ready)
		},
	}
	if change != nil {
		change(&o)
	}
	go func() { r.ended <- balance.Run(context.Background(), o) }()
	select {
	case <-ready:
	case err := <-r.ended:
		t.Fatalf("it ended: %v\n%s", err, r.log)
	case <-time.After(patience):
		t.Fatalf("it is not ready\n%s", r.log)
	}
	t.Cleanup(func() {
		if !r.stopped {
			r.end()
		}
	})
	return r
}

// end stops it as SIGTERM does.
func (r *running) end() {
	r.t.Helper()
	r.stop <- syscall.SIGTERM
	r.awaitEnd()
}

func (r *running) awaitEnd() {
	r.t.Helper()
	r.stopped = true
	select {
	case err := <-r.ended:
		if err != nil {
			r.t.Errorf("it ended: %v", err)
		}
	case <-time.After(patience):
		r.t.Fatalf("it does not end\n%s", r.log)
	}
}

// hup reloads, and waits until the log says so as often as wanted.
func (r *running) hup(says string) {
	r.t.Helper()
	before := strings.Count(r.log.String(), says)
	r.reload <- syscall.SIGHUP
	r.await(says, func() bool { return strings.Count(r.log.String(), says) > before })
}

func (r *running) await(what string, is func() bool) {
	r.t.Helper()
	for begun := time.Now(); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Since(begun) > patience {
			r.t.Fatalf("not in %v: %s\n%s", patience, what, r.log)
		}
	}
}

func (r *running) client() *elbv2.Client {
	return elbv2.New(elbv2.Options{
		Region: "us-east-1", BaseEndpoint: aws.String("http://" + r.api.String()), RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "local", SecretAccessKey: "key"}, nil
		}),
	})
}

// arns returns those of all load balancers and groups, by name.
func (r *running) arns() map[string]string {
	r.t.Helper()
	all := make(map[string]string)
	balancers, err := r.client().DescribeLoadBalancers(r.t.Context(), &elbv2.DescribeLoadBalancersInput{})
	if err != nil {
		r.t.Fatal(err)
	}
	for _, b := range balancers.LoadBalancers {
		all[*b.LoadBalancerName] = *b.LoadBalancerArn
	}
	groups, err := r.client().DescribeTargetGroups(r.t.Context(), &elbv2.DescribeTargetGroupsInput{})
	if err != nil {
		r.t.Fatal(err)
	}
	for _, g := range groups.TargetGroups {
		all[*g.TargetGroupName] = *g.TargetGroupArn
	}
	return all
}

// app answers with its name, and returns its port.
func app(t *testing.T, name string) int {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) }))
	t.Cleanup(server.Close)
	return server.Listener.Addr().(*net.TCPAddr).Port
}

// site is a file; text is what its only listener does, and more.
type site struct {
	top              string // more keys
	name             string // empty: site
	network          bool   // a Network Load Balancer, with a group of TCP
	scheme, protocol string
	port             int
	targets          []int
	rules            string
}

func (s site) write(t *testing.T, file string) {
	t.Helper()
	var targets []string
	for _, port := range s.targets {
		targets = append(targets, fmt.Sprintf("{Id: 127.0.0.1, Port: %d}", port))
	}
	kind, group := "application", "HTTP"
	if s.network {
		kind, group = "network", "TCP"
	}
	text := fmt.Sprintf(`API: 127.0.0.1:0
Admin: 127.0.0.1:0
StateDirectory: state
%s
TargetGroups:
- {Name: web, Protocol: %s, Port: 8000, TargetType: ip, Attributes: {deregistration_delay.timeout_seconds: 1}, Targets: [%s]}
LoadBalancers:
- Name: %s
  Type: %s
  Scheme: %s
  Listeners:
  - Protocol: %s
    Port: %d
    DefaultActions: [{Type: forward, TargetGroup: web}]
    %s
`, s.top, group, strings.Join(targets, ", "), cmp.Or(s.name, "site"), kind, s.scheme, s.protocol, s.port, s.rules)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func newSite(t *testing.T, targets ...int) (site, string) {
	t.Helper()
	s := site{scheme: "internal", protocol: "HTTP", port: servers.FreePort(t), targets: targets}
	file := filepath.Join(t.TempDir(), "balance.yaml")
	s.write(t, file)
	return s, file
}

func get(t *testing.T, client *http.Client, url string) string {
	t.Helper()
	body, err := fetch(t.Context(), client, url)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func fetch(ctx context.Context, client *http.Client, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return strconv.Itoa(res.StatusCode) + " " + string(body), err
}

func (s site) url() string { return "http://127.0.0.1:" + strconv.Itoa(s.port) + "/" }

func TestAFileReloadedAndKept(t *testing.T) {
	s, file := newSite(t, app(t, "one"))
	r := start(t, file, nil)
	if got := get(t, http.DefaultClient, "http://"+r.admin.String()+"/health"); got != "200 ok\n" {
		t.Errorf("health: %q", got)
	}
	if got := get(t, http.DefaultClient, "http://"+r.admin.String()+"/metrics"); !strings.HasPrefix(got, "200 ") {
		t.Errorf("metrics: %q", got)
	}
	client := &http.Client{Transport: new(http.Transport)}
	defer client.CloseIdleConnections()
	if got := get(t, client, s.url()); got != "200 one" {
		t.Errorf("got %q", got)
	}
	before := r.arns()

	// A change is in force after SIGHUP, on connections that were there.
	s.targets = []int{app(t, "two")}
	s.rules = "Rules: [{Priority: 1, Conditions: [{Field: path-pattern, Values: [/new]}], Actions: [{Type: fixed-response, FixedResponseConfig: {StatusCode: 200, MessageBody: new}}]}]"
	s.write(t, file)
	r.hup("configuration reloaded")
	var kept atomic.Bool
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { kept.Store(c.Reused) }})
	if got, err := fetch(ctx, client, s.url()+"new"); got != "200 new" || err != nil || !kept.Load() {
		t.Errorf("got %q, %v; on the same connection: %v", got, err, kept.Load())
	}
	r.await("two answers", func() bool { return get(t, client, s.url()) == "200 two" })

	// A file with a fault leaves all as it is, and the log tells.
	if err := os.WriteFile(file, []byte("TargetGroups: [{Name: web}]\nLoadBalancers: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.hup("the one before stays")
	if !strings.Contains(r.log.String(), "balance.yaml:2:16: LoadBalancers: ") {
		t.Errorf("the place is not told:\n%s", r.log)
	}
	if got := get(t, client, s.url()); got != "200 two" {
		t.Errorf("got %q", got)
	}
	s.write(t, file)
	client.CloseIdleConnections()
	r.end()

	// What there was is there after a restart, under the same ARNs, and what the
	// API did.
	r = start(t, file, nil)
	after := r.arns()
	for name, arn := range before {
		if after[name] != arn {
			t.Errorf("%s: %s, and was %s", name, after[name], arn)
		}
	}
	if _, err := r.client().ModifyTargetGroup(t.Context(), &elbv2.ModifyTargetGroupInput{TargetGroupArn: aws.String(after["web"]), HealthCheckPath: aws.String("/up")}); err != nil {
		t.Fatal(err)
	}
	r.end()
	r = start(t, file, nil)
	groups, err := r.client().DescribeTargetGroups(t.Context(), &elbv2.DescribeTargetGroupsInput{})
	if err != nil || len(groups.TargetGroups) != 1 || *groups.TargetGroups[0].HealthCheckPath != "/up" {
		t.Errorf("got %+v, %v", groups, err)
	}
}

// asking is who asks all the time, on new connections and on one that is kept.
type asking struct {
	wg     sync.WaitGroup
	cancel context.CancelFunc
	asked  [2]atomic.Int64
}

// ask begins. Each answer has to be the one wanted.
func ask(t *testing.T, url, want string) *asking {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	a := &asking{cancel: cancel}
	t.Cleanup(a.end)
	for i := range a.asked {
		transport := &http.Transport{DisableKeepAlives: i == 0}
		a.wg.Go(func() {
			defer transport.CloseIdleConnections()
			for ctx.Err() == nil {
				if got, err := fetch(context.WithoutCancel(ctx), &http.Client{Transport: transport}, url); err != nil || got != want {
					t.Errorf("got %q, %v", got, err)
				}
				a.asked[i].Add(1)
			}
		})
	}
	return a
}

// more waits for some more answers of both kinds.
func (a *asking) more(of *running) {
	of.t.Helper()
	before := [2]int64{a.asked[0].Load(), a.asked[1].Load()}
	of.await("requests", func() bool { return a.asked[0].Load() > before[0]+3 && a.asked[1].Load() > before[1]+3 })
}

func (a *asking) end() {
	a.cancel()
	a.wg.Wait()
}

// A load balancer that ELB cannot change is made anew, at the same port; no client
// is refused meanwhile, and no connection is reset.
func TestAPortThatChangesHands(t *testing.T) {
	s, file := newSite(t, app(t, "one"))
	r := start(t, file, nil)
	asking := ask(t, s.url(), "200 one")
	asking.more(r)
	for _, to := range []struct {
		scheme   string
		network  bool
		protocol string
	}{
		{"internet-facing", false, "HTTP"},
		{"internal", false, "HTTP"},
		{"internal", true, "TCP"},
		{"internet-facing", true, "TCP"},
		{"internal", false, "HTTP"},
		{"internet-facing", false, "HTTP"},
	} {
		before := r.arns()["site"]
		s.scheme, s.network, s.protocol = to.scheme, to.network, to.protocol
		s.write(t, file)
		r.hup("configuration reloaded")
		if after := r.arns()["site"]; after == before || after == "" {
			t.Errorf("%+v: ARN %s, and was %s", to, after, before)
		}
		asking.more(r)
	}
	// Another one, of another name, at the same address.
	s.name = "other"
	s.write(t, file)
	r.hup("configuration reloaded")
	if arns := r.arns(); arns["site"] != "" || arns["other"] == "" {
		t.Errorf("got %v", arns)
	}
	asking.more(r)
	asking.end()
	s.port = servers.FreePort(t)
	s.write(t, file)
	r.hup("configuration reloaded")
	if got := get(t, http.DefaultClient, s.url()); got != "200 one" {
		t.Errorf("at another port: got %q", got)
	}
}

// Two load balancers change places, and no client of either notices.
func TestPortsThatAreSwapped(t *testing.T) {
	first, second := servers.FreePort(t), servers.FreePort(t)
	one, two := app(t, "same"), app(t, "same")
	file := filepath.Join(t.TempDir(), "balance.yaml")
	write := func(ports ...int) {
		t.Helper()
		text := "API: 127.0.0.1:0\nStateDirectory: state\nTargetGroups:\n"
		for i, target := range []int{one, two} {
			text += fmt.Sprintf("- {Name: g%d, Protocol: HTTP, Port: 80, TargetType: ip, Targets: [{Id: 127.0.0.1, Port: %d}]}\n", i, target)
		}
		text += "LoadBalancers:\n"
		for i, port := range ports {
			text += fmt.Sprintf("- {Name: b%d, Scheme: internal, Listeners: [{Protocol: HTTP, Port: %d, DefaultActions: [{Type: forward, TargetGroup: g%d}]}]}\n", i, port, i)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(first, second)
	r := start(t, file, nil)
	before := r.arns()
	var all []*asking
	for _, port := range []int{first, second} {
		all = append(all, ask(t, site{port: port}.url(), "200 same"))
	}
	for _, ports := range [][]int{{second, first}, {first, second}} {
		write(ports...)
		r.hup("configuration reloaded")
		for _, a := range all {
			a.more(r)
		}
	}
	for _, a := range all {
		a.end()
	}
	if !maps.Equal(r.arns(), before) {
		t.Errorf("got %v, and was %v", r.arns(), before)
	}
}

// Another process takes over, and no request fails.
func TestTakeOver(t *testing.T) {
	s, file := newSite(t, app(t, "one"))
	first := start(t, file, nil)
	asking := ask(t, s.url(), "200 one")
	defer asking.end()
	asking.more(first)
	s.scheme = "internet-facing" // so it has two sockets at the port
	s.write(t, file)
	first.hup("configuration reloaded")
	asking.more(first)
	arn := first.arns()["site"]
	second := start(t, file, func(o *balance.Options) { o.TakeOver = true })
	first.awaitEnd()
	asking.more(second)
	if got := second.arns()["site"]; got != arn {
		t.Errorf("ARN %s, and was %s", got, arn)
	}
	if _, err := second.client().ModifyTargetGroup(t.Context(), &elbv2.ModifyTargetGroupInput{TargetGroupArn: aws.String(second.arns()["web"]), HealthCheckPath: aws.String("/up")}); err != nil {
		t.Errorf("a change after it: %v", err)
	}
}

// putCertificate writes site.crt and site.key into a directory.
func putCertificate(t *testing.T, dir string, names ...string) {
	t.Helper()
	made := servers.NewCertificate(t, names...)
	for name, text := range map[string][]byte{"site.crt": made.CertPEM, "site.key": made.KeyPEM} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// secureSite is one of HTTPS with the certificate of its directory.
func secureSite(t *testing.T, targets ...int) (site, string) {
	t.Helper()
	s, file := newSite(t, targets...)
	s.top = "Certificates: [{Name: site, CertificateFile: site.crt, PrivateKeyFile: site.key}]"
	s.protocol, s.rules = "HTTPS", "Certificates: [site]"
	s.write(t, file)
	return s, file
}

// shown returns whom the certificate is for that a client is shown.
func (s site) shown(ctx context.Context) (string, error) {
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} // whose it is, is looked at
	conn, err := dialer.DialContext(ctx, "tcp", "127.0.0.1:"+strconv.Itoa(s.port))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return strings.Join(conn.(*tls.Conn).ConnectionState().PeerCertificates[0].DNSNames, " "), nil
}

func (r *running) listeners() []types.Listener {
	r.t.Helper()
	listeners, err := r.client().DescribeListeners(r.t.Context(), &elbv2.DescribeListenersInput{LoadBalancerArn: aws.String(r.arns()["site"])})
	if err != nil {
		r.t.Fatal(err)
	}
	return listeners.Listeners
}

func TestHTTPS(t *testing.T) {
	s, file := secureSite(t, app(t, "one"))
	putCertificate(t, filepath.Dir(file), "one.example")
	r := start(t, file, nil)
	if got, err := s.shown(t.Context()); got != "one.example" {
		t.Errorf("got %s, %v", got, err)
	}
	putCertificate(t, filepath.Dir(file), "two.example", "three.example") // of another size, whatever the clock's tick
	r.hup("configuration reloaded")
	if got, err := s.shown(t.Context()); got != "two.example three.example" {
		t.Errorf("after a reload: %s, %v", got, err)
	}
	if got := *r.listeners()[0].Certificates[0].CertificateArn; got != siteCertificate {
		t.Errorf("certificate %s", got)
	}
}

const siteCertificate = "arn:aws:acm:us-east-1:000000000000:certificate/site"

// What a file said of certificates is known without it, as all else is.
func TestCertificatesWithoutTheFile(t *testing.T) {
	s, file := secureSite(t, app(t, "one"))
	dir := filepath.Dir(file)
	putCertificate(t, dir, "one.example")
	first := start(t, file, nil)
	alone := func(o *balance.Options) {
		o.StateDir, o.API, o.TakeOver = filepath.Join(dir, "state"), "127.0.0.1:0", true
	}
	again := func(r *running) {
		t.Helper()
		if got, err := s.shown(t.Context()); got != "one.example" {
			t.Errorf("got %s, %v", got, err)
		}
		_, err := r.client().ModifyListener(t.Context(), &elbv2.ModifyListenerInput{
			ListenerArn: r.listeners()[0].ListenerArn, Certificates: []types.Certificate{{CertificateArn: aws.String(siteCertificate)}},
		})
		if err != nil {
			t.Errorf("named through the API: %v", err)
		}
	}
	second := start(t, "", alone) // takes over
	first.awaitEnd()
	again(second)
	second.end()
	third := start(t, "", alone)
	again(third)
	third.end()

	// Files that are gone keep nothing else from working, and are read once they are
	// back.
	for _, name := range []string{"site.crt", "site.key"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	r := start(t, "", alone)
	if _, err := s.shown(t.Context()); err == nil || len(r.listeners()) != 1 {
		t.Errorf("without its files: %v", err)
	}
	if !strings.Contains(r.log.String(), "a certificate cannot be read") {
		t.Errorf("it is not told:\n%s", r.log)
	}
	putCertificate(t, dir, "one.example")
	r.reload <- syscall.SIGHUP
	r.await("the certificate", func() bool { got, _ := s.shown(t.Context()); return got == "one.example" })
	again(r)
	r.end()

	// The file is asked again, and has another one: what the API's listener names stays.
	r = start(t, file, nil)
	other := servers.FreePort(t)
	_, err := r.client().CreateListener(t.Context(), &elbv2.CreateListenerInput{
		LoadBalancerArn: aws.String(r.arns()["site"]), Protocol: types.ProtocolEnumHttps, Port: aws.Int32(int32(other)),
		Certificates:   []types.Certificate{{CertificateArn: aws.String(siteCertificate)}},
		DefaultActions: []types.Action{{Type: types.ActionTypeEnumForward, TargetGroupArn: aws.String(r.arns()["web"])}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.top = strings.ReplaceAll(s.top, "Name: site", "Name: new")
	s.rules = "Certificates: [new]"
	s.write(t, file)
	r.hup("configuration reloaded")
	if !strings.Contains(r.log.String(), "keep certificate site: ") {
		t.Errorf("it is not told:\n%s", r.log)
	}
	for _, port := range []int{s.port, other} {
		s.port = port
		if got, err := s.shown(t.Context()); got != "one.example" {
			t.Errorf("port %d: got %s, %v", port, got, err)
		}
	}
}

// A certificate is obtained when the first client asks for it, and proved by the
// listener itself.
func TestACME(t *testing.T) {
	s, file := newSite(t, app(t, "one"))
	authority := acmetest.New(t, "127.0.0.1:"+strconv.Itoa(s.port), "site.example")
	s.top = "Certificates: [{Name: site, DomainNames: [site.example], DirectoryUrl: '" + authority.DirectoryURL() + "'}]"
	s.protocol, s.rules = "HTTPS", "Certificates: [site]"
	s.write(t, file)
	r := start(t, file, nil)
	dialer := tls.Dialer{Config: &tls.Config{ServerName: "site.example", InsecureSkipVerify: true}} // whose it is, is looked at
	for i := range 3 {
		if i == 2 { // by another process, which does not know the file
			r.end()
			start(t, "", func(o *balance.Options) {
				o.StateDir, o.API = filepath.Join(filepath.Dir(file), "state"), "127.0.0.1:0"
			})
		}
		conn, err := dialer.DialContext(t.Context(), "tcp", "127.0.0.1:"+strconv.Itoa(s.port))
		if err != nil {
			t.Fatal(err)
		}
		leaf := conn.(*tls.Conn).ConnectionState().PeerCertificates[0]
		if leaf.Subject.CommonName != "site.example" || leaf.SerialNumber.Int64() != 7 {
			t.Errorf("got %v, number %v", leaf.Subject, leaf.SerialNumber)
		}
		_ = conn.Close()
	}
	if n := authority.Orders(); n != 1 {
		t.Errorf("%d orders, want one", n)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(file), "state", "acme", "site.example")); err != nil {
		t.Errorf("it is not kept: %v", err)
	}
}

func TestAccessLogThatIsMovedAway(t *testing.T) {
	s, file := newSite(t, app(t, "one"))
	s.top = "AccessLog: access.log"
	s.write(t, file)
	r := start(t, file, nil)
	log := filepath.Join(filepath.Dir(file), "access.log")
	has := func(name, what string) func() bool {
		return func() bool {
			text, err := os.ReadFile(name)
			return err == nil && strings.Contains(string(text), what)
		}
	}
	get(t, http.DefaultClient, s.url()+"first")
	r.await("the first line", has(log, "/first HTTP/1.1"))
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	r.hup("configuration reloaded")
	get(t, http.DefaultClient, s.url()+"second")
	r.await("the second line", has(log, "/second HTTP/1.1"))
	if has(log+".1", "second")() {
		t.Error("the old file was written on")
	}
}

// API, Admin and AccessLog can change while it serves.
func TestPlacesThatChange(t *testing.T) {
	s, file := newSite(t, app(t, "one"))
	dir := filepath.Dir(file)
	places := map[string]string{"API": servers.FreeAddress(t), "Admin": servers.FreeAddress(t), "AccessLog": "one.log"}
	write := func() {
		t.Helper()
		s.write(t, file)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		top := ""
		for key, value := range places {
			top += key + ": " + value + "\n"
		}
		top += strings.Replace(string(text), "API: 127.0.0.1:0\nAdmin: 127.0.0.1:0\n", "", 1)
		if err := os.WriteFile(file, []byte(top), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write()
	r := start(t, file, nil)
	before := r.arns()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	logged := func(name, what string) bool {
		text, err := os.ReadFile(filepath.Join(dir, name))
		return err == nil && strings.Contains(string(text), what)
	}
	get(t, client, s.url()+"first")
	r.await("the first line", func() bool { return logged("one.log", "/first") })

	// What is in the way of one of them leaves all as it is.
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	old := maps.Clone(places)
	places["API"], places["Admin"] = servers.FreeAddress(t), taken.Addr().String()
	write()
	r.hup("the one before stays")
	if got := get(t, client, "http://"+old["Admin"]+"/health"); got != "200 ok\n" {
		t.Errorf("health: %q", got)
	}
	if conn, err := net.Dial("tcp", places["API"]); err == nil {
		_ = conn.Close()
		t.Error("the API is at the address that could not be")
	}

	places["Admin"], places["AccessLog"] = servers.FreeAddress(t), "two.log"
	write()
	r.hup("configuration reloaded")
	get(t, client, s.url()+"second")
	r.await("the second line", func() bool { return logged("two.log", "/second") })
	if logged("one.log", "/second") {
		t.Error("the old log was written on")
	}
	if got := get(t, client, "http://"+places["Admin"]+"/health"); got != "200 ok\n" {
		t.Errorf("health: %q", got)
	}
	at := func(address string) {
		t.Helper()
		if r.api, err = net.ResolveTCPAddr("tcp", address); err != nil {
			t.Fatal(err)
		}
	}
	at(places["API"])
	if !maps.Equal(r.arns(), before) {
		t.Errorf("at the new address: %v", r.arns())
	}
	gone := func(address string) func() bool {
		return func() bool {
			conn, err := net.Dial("tcp", address)
			if err == nil {
				_ = conn.Close()
			}
			return err != nil
		}
	}
	r.await("the end of the old API", gone(old["API"]))
	r.await("the end of the old page", gone(old["Admin"]))

	// For all of the machine, with credentials, at the same port.
	_, port, _ := net.SplitHostPort(places["API"])
	s.top = "Credentials: [{AccessKeyId: local, SecretAccessKey: key}]"
	places["API"], places["Admin"], places["AccessLog"] = "0.0.0.0:"+port, "off", "off"
	write()
	r.hup("configuration reloaded")
	if !maps.Equal(r.arns(), before) {
		t.Errorf("with credentials: %v", r.arns())
	}
	r.await("a refusal without a signature", func() bool {
		return strings.HasPrefix(get(t, client, "http://127.0.0.1:"+port+"/?Action=DescribeLoadBalancers&Version=2015-12-01"), "403 ")
	})
	get(t, client, s.url()+"third")
	if logged("two.log", "/third") {
		t.Error("a log that is off was written on")
	}
}

func TestCredentials(t *testing.T) {
	_, file := newSite(t)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append([]byte("Credentials: [{AccessKeyId: local, SecretAccessKey: key}]\n"), text...), 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, file, func(o *balance.Options) { o.API = "0.0.0.0:0" })
	r.api.(*net.TCPAddr).IP = net.IPv4(127, 0, 0, 1)
	if len(r.arns()) != 2 {
		t.Errorf("got %v", r.arns())
	}
	wrong := r.client().Options()
	wrong.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: "local", SecretAccessKey: "another"}, nil
	})
	if _, err := elbv2.New(wrong).DescribeLoadBalancers(t.Context(), &elbv2.DescribeLoadBalancersInput{}); err == nil || !strings.Contains(err.Error(), "SignatureDoesNotMatch") {
		t.Errorf("with another key: %v", err)
	}
}

func TestWhatIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	run := func(file, api string) error {
		return balance.Run(t.Context(), balance.Options{
			ConfigFile: file, API: api, Env: func(string) (string, bool) { return "", false },
			Stdout: io.Discard, Stderr: io.Discard, Logger: slog.New(slog.DiscardHandler),
		})
	}
	s, file := newSite(t)
	err = run(file, "127.0.0.1:"+strconv.Itoa(port))
	if err == nil || !strings.HasPrefix(err.Error(), fmt.Sprintf("API: another program has 127.0.0.1:%d: stop it, or give API another port: ", port)) {
		t.Errorf("got %v", err)
	}
	s, file = newSite(t)
	s.port = port
	s.write(t, file)
	err = run(file, "")
	if err == nil || !strings.Contains(err.Error(), "A listener of load balancer 'site' cannot listen: ") {
		t.Errorf("got %v", err)
	}
}

func TestMain(m *testing.M) { instancetest.Main(m) }

// The first signal waits for requests in flight, the second one does not.
func TestTwoSignals(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/slow" {
			return
		}
		close(asked)
		select {
		case <-answer:
		case <-r.Context().Done():
		}
	}))
	defer slow.Close()
	defer close(answer)
	s, file := newSite(t, slow.Listener.Addr().(*net.TCPAddr).Port)
	r := start(t, file, nil)
	answered := make(chan error, 1)
	go func() {
		_, err := fetch(context.WithoutCancel(t.Context()), http.DefaultClient, s.url()+"slow")
		answered <- err
	}()
	<-asked
	r.stop <- syscall.SIGTERM
	r.await("the end's beginning", func() bool { return strings.Contains(r.log.String(), "msg=ending") })
	select {
	case err := <-r.ended:
		t.Fatalf("it did not wait: %v", err)
	case <-answered:
		t.Fatal("the request was cut by the first signal")
	case <-time.After(100 * time.Millisecond): // nothing should happen
	}
	r.end()
	<-answered
}
