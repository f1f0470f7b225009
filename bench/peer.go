package main

import (
	"bytes"
	"cmp"
	"context"
	"embed"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"text/template"
	"time"
)

//go:embed conf/*
var confFiles embed.FS

// site is what every configuration is filled in with.
type site struct {
	Dir        string // for sockets, logs and process ids
	Host       string // the public one
	Upstream   string // address of the app
	Listen     string // address of the proxy
	Admin      string // address of hale's second listener
	Log        string // access log file; empty: none
	ALBLines   bool   // in place of JSON, where it can be chosen
	ProxyCPUs  int
	LoadCPUs   int
	Root       bool // nginx would change its user otherwise
	ListenHost string
	ListenPort string

	UpstreamHost string
	UpstreamPort string

	Groups [][]netip.AddrPort // of targets that are probed
}

// peer is one program of the comparison.
type peer struct {
	name    string
	conf    string // file in conf/ that it is given; empty: none
	source  source // that it is built from; the zero value: it is installed, or ours
	argv    func(conf string, s site) []string
	deploy  func(s site) []string // tells it of the app, once it runs; nil: its configuration does
	version []string              // prints it
	stdout  bool                  // its access log goes to stdout
	cannot  []duty                // what of a gateway's job it has no means for
}

// Names of the peers that others are compared with or that are built here.
const (
	nginx   = "nginx"
	haproxy = "HAProxy"
	hale    = "hale serve"

	balancer = "hale balance"
	caddy    = "Caddy"
	kamal    = "kamal-proxy"
	plain    = "httputil.ReverseProxy"
	bare     = "bare net/http handler"
)

func gateways(bin string) []peer {
	return []peer{
		{
			name: nginx, conf: "nginx.conf", version: []string{"nginx", "-v"},
			argv: func(conf string, s site) []string {
				return []string{"nginx", "-e", s.Dir + "/nginx.err", "-c", conf}
			},
		},
		{
			name: haproxy, conf: "haproxy.cfg", version: []string{"haproxy", "-v"}, stdout: true,
			argv: func(conf string, _ site) []string { return []string{"haproxy", "-f", conf} },
		},
		{
			name: hale, conf: "hale.yaml", version: []string{bin + "/hale", "version"},
			argv: func(conf string, _ site) []string { return []string{bin + "/hale", "serve", "-c", conf} },
		},
		{
			name: balancer, conf: "balance.yaml", version: []string{bin + "/hale", "version"},
			argv: func(conf string, _ site) []string { return []string{bin + "/hale", "balance", "-c", conf} },
		},
		{
			name: plain,
			argv: func(_ string, s site) []string {
				return []string{
					bin + "/plainproxy",
					"-listen", s.Listen, "-upstream", "http://" + s.Upstream, "-host", s.Host, "-log", s.Log,
				}
			},
		},
		{
			name: caddy, conf: "Caddyfile", source: caddySource, version: []string{"caddy", "version"},
			argv: func(conf string, _ site) []string {
				return []string{caddySource.program(), "run", "--config", conf, "--adapter", "caddyfile"}
			},
		},
		{
			name: kamal, source: kamalSource, stdout: true, cannot: []duty{dutyHosts, dutyRedirect, dutyHeaders},
			argv: func(_ string, s site) []string {
				_, port, _ := net.SplitHostPort(s.Listen)
				_, other, _ := net.SplitHostPort(s.Admin)
				return kamalArgv(s, "run", "--http-port", port, "--https-port", other)
			},
			deploy: func(s site) []string {
				return kamalArgv(s, "deploy", "app", "--target", s.Upstream, "--host", s.Host, "--forward-headers",
					"--health-check-path", smallPath, "--health-check-interval", "1s")
			},
		},
	}
}

// kamalArgv has kamal-proxy keep its state and its socket in the peer's directory.
func kamalArgv(s site, args ...string) []string {
	return append([]string{"env", "HOME=" + s.Dir, "XDG_RUNTIME_DIR=" + s.Dir, kamalSource.program()}, args...)
}

func bareHealth(bin string) peer {
	return peer{name: bare, argv: func(_ string, s site) []string {
		return []string{bin + "/barehealth", "-listen", s.Listen}
	}}
}

func upstream() peer {
	return peer{name: "upstream", conf: "upstream.conf", argv: func(conf string, s site) []string {
		return []string{"nginx", "-e", s.Dir + "/upstream.err", "-c", conf}
	}}
}

// start runs the peer on the CPUs and waits until it answers the probe with 200.
// The time is what that took.
func (p peer) start(ctx context.Context, s site, cpus cpuSet, probe *http.Request) (*process, time.Duration, error) {
	conf, err := p.configure(s)
	if err != nil {
		return nil, 0, fmt.Errorf("configure %s: %w", p.name, err)
	}
	stdout := ""
	if p.stdout {
		stdout = cmp.Or(s.Log, os.DevNull)
	}
	began := time.Now()
	proc, err := start(p.name, cpus.String(), stdout, p.argv(conf, s)...)
	if err != nil {
		return nil, 0, err
	}
	if p.deploy != nil {
		err = awaitDeploy(ctx, proc, p.deploy(s))
	}
	if err == nil {
		err = await(ctx, proc, probe)
	}
	if err != nil {
		proc.stop()
		return nil, 0, fmt.Errorf("%w\n%s", err, bytes.TrimSpace(proc.out.Bytes()))
	}
	return proc, time.Since(began), nil
}

// awaitDeploy runs a command until it succeeds.
func awaitDeploy(ctx context.Context, proc *process, argv []string) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	for {
		if err := proc.ended(); err != nil {
			return err
		}
		_, err := output(ctx, argv...)
		if err == nil {
			return nil
		}
		if sleep(ctx, time.Millisecond) != nil {
			return fmt.Errorf("%s was not told of the app: %w", proc.name, err)
		}
	}
}

// configure writes the peer's configuration file.
func (p peer) configure(s site) (path string, err error) {
	if p.conf == "" {
		return "", nil
	}
	t, err := template.ParseFS(confFiles, "conf/"+p.conf)
	if err != nil {
		return "", err
	}
	if s.ListenHost, s.ListenPort, err = net.SplitHostPort(s.Listen); err != nil {
		return "", err
	}
	if s.UpstreamHost, s.UpstreamPort, err = net.SplitHostPort(s.Upstream); err != nil {
		return "", err
	}
	f, err := os.Create(filepath.Join(s.Dir, p.conf))
	if err != nil {
		return "", err
	}
	if err := t.Execute(f, s); err != nil {
		f.Close()
		return "", err
	}
	return f.Name(), f.Close()
}

// await asks until the answer is 200.
func await(ctx context.Context, proc *process, probe *http.Request) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	last := "no answer yet"
	for {
		if err := proc.ended(); err != nil {
			return err
		}
		r, err := client.Do(probe.Clone(ctx))
		if err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return nil
			}
			last = r.Status
		} else if ctx.Err() == nil {
			last = err.Error()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s does not serve: %w, last answer: %s", proc.name, ctx.Err(), last)
		case <-time.After(time.Millisecond):
		}
	}
}

// freeAddress is a loopback address that nothing listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
