// Package demo shows Hale at work on one machine, with nothing to install: a
// guest book with its SQLite database behind a real hale serve, and a panel that
// breaks the guest book in five ways and shows what a load balancer and its
// users get of it.
package demo

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"text/template"
	"time"

	"hale/examples/gosite/site"
	"hale/internal/serve"
)

// DefaultPort is the first port that is tried.
const DefaultPort = 8080

// Options of Run.
type Options struct {
	// Dir is where everything is kept: hale.yaml, the logs, the database. If
	// it is empty, a temporary directory is made and removed at the end.
	Dir string

	// Port is the first port to try on 127.0.0.1; each part of the demo takes
	// the next free one. 0 means DefaultPort.
	Port int

	Version string       // hale's
	Out     io.Writer    // told what runs where, and what to try
	Logger  *slog.Logger // of hale serve: transitions above all

	// Stop and Reload are handed to hale serve, see serve.Options; nil is fine.
	Stop, Reload <-chan os.Signal

	// Ready is called once everything answers; nil is fine.
	Ready func(Places)
}

// Places are where the parts of a running demo are.
type Places struct {
	Dir     string // of hale.yaml, the logs and the database
	Gateway string // address of hale serve: what the load balancer and users reach
	Admin   string // address of hale serve's metrics and status page
	App     string // address of the guest book: what only the gateway should reach
	Panel   string // address of the panel
}

// PublicHost is the name under which the demo's users know the guest book.
const PublicHost = "mysite.com"

// Run runs the demo until ctx is done or hale serve has ended, and takes
// everything down again.
func Run(ctx context.Context, o Options) (err error) {
	dir, remove, err := directory(o.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()

	appLog, err := os.OpenFile(filepath.Join(dir, "app.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, appLog.Close()) }()
	app, err := site.New(ctx, site.Options{Dir: dir, Logger: slog.New(slog.NewJSONHandler(appLog, nil))})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, app.Close()) }()

	d := &demo{options: o, app: app, places: Places{Dir: dir}}
	if err := d.open(ctx); err != nil {
		return err
	}
	return d.run(ctx)
}

// directory makes the demo's directory; remove takes it away again if it is a
// temporary one.
func directory(dir string) (path string, remove func() error, err error) {
	if dir == "" {
		path, err = os.MkdirTemp("", "hale-demo-")
		return path, func() error { return os.RemoveAll(path) }, err
	}
	if path, err = filepath.Abs(dir); err != nil {
		return "", nil, err
	}
	return path, func() error { return nil }, os.MkdirAll(path, 0o750)
}

// demo is a demo from start to end.
type demo struct {
	options Options
	app     *site.Site
	places  Places

	appListener, panelListener net.Listener

	panel *panel
	watch *watch
}

// open finds addresses for everything, and writes hale.yaml.
func (d *demo) open(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			d.closeListeners()
		}
	}()
	if d.appListener, err = listen(ctx, 0); err != nil {
		return err
	}
	d.places.App = d.appListener.Addr().String()

	ports := ports{next: d.options.Port}
	if ports.next == 0 {
		ports.next = DefaultPort
	}
	if d.places.Gateway, err = ports.free(ctx); err != nil {
		return err
	}
	if d.panelListener, err = ports.listen(ctx); err != nil {
		return err
	}
	d.places.Panel = d.panelListener.Addr().String()
	if d.places.Admin, err = ports.free(ctx); err != nil {
		return err
	}
	schema, err := d.app.Schema(ctx)
	if err != nil {
		return err
	}
	if err := d.writeConfig(schema.Want); err != nil {
		return err
	}
	d.watch = newWatch(d.places.Gateway)
	d.panel, err = newPanel(d.places, d.app, d.watch)
	return err
}

func (d *demo) closeListeners() {
	for _, l := range []net.Listener{d.appListener, d.panelListener} {
		if l != nil {
			_ = l.Close()
		}
	}
}

//go:embed templates/hale.yaml templates/welcome.txt
var textFiles embed.FS

// configFile is the name of hale serve's configuration in the demo's directory.
const configFile = "hale.yaml"

func (d *demo) writeConfig(schema int) error {
	t, err := template.ParseFS(textFiles, "templates/"+configFile)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(d.places.Dir, configFile), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = t.Execute(f, struct {
		Places
		Host   string
		Schema int
	}{d.places, PublicHost, schema})
	return errors.Join(err, f.Close())
}

// run runs the parts. hale serve is the one that the others are there for: they
// begin before it, and end after it has drained.
func (d *demo) run(ctx context.Context) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	app := newServer(background, d.app)
	panel := newServer(background, d.panel)

	var parts sync.WaitGroup
	failures := make(chan error, 2) // one for each server
	for server, listener := range map[*http.Server]net.Listener{app: d.appListener, panel: d.panelListener} {
		parts.Go(func() {
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				failures <- err
			}
		})
	}
	defer parts.Wait()
	defer func() {
		stop()
		_ = app.Close()
		_ = panel.Close()
	}()

	serving, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	parts.Go(func() {
		select {
		case err := <-failures:
			cancel(err)
		case <-background.Done():
		}
	})
	err := d.serve(serving, func() {
		parts.Go(func() { d.watch.run(background) })
	})
	if cause := context.Cause(serving); cause != nil && ctx.Err() == nil {
		err = errors.Join(err, cause)
	}
	return err
}

// serve runs hale serve until it has drained, and calls ready once it listens.
func (d *demo) serve(ctx context.Context, ready func()) error {
	code, err := serve.Run(ctx, serve.Options{
		ConfigFile: filepath.Join(d.places.Dir, configFile),
		Environ:    os.Environ(),
		Version:    d.options.Version,
		Stdout:     d.options.Out,
		Stderr:     d.options.Out,
		Logger:     d.options.Logger,
		Stop:       d.options.Stop,
		Reload:     d.options.Reload,
		Ready: func(_, _ net.Addr) {
			ready()
			d.welcome()
			if d.options.Ready != nil {
				d.options.Ready(d.places)
			}
		},
	})
	if err == nil && code != 0 {
		err = fmt.Errorf("hale serve ended with exit code %d", code)
	}
	return err
}

// welcome says what runs where and what to try.
func (d *demo) welcome() {
	var text bytes.Buffer // for one write, since others write to the terminal too
	t, err := template.ParseFS(textFiles, "templates/welcome.txt")
	if err == nil {
		err = t.Execute(&text, struct {
			Places
			Lines []line
		}{d.places, lines(d.places)})
	}
	if err == nil {
		_, err = d.options.Out.Write(text.Bytes())
	}
	if err != nil {
		d.options.Logger.Error("welcome not written", "error", err)
	}
}

func newServer(ctx context.Context, h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute, // longer than the gateway keeps its own
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
}

// ports hands out free ports on loopback, upwards from the first.
type ports struct{ next int }

// tries is how many ports are tried for one listener.
const tries = 100

func (p *ports) listen(ctx context.Context) (net.Listener, error) {
	var last error
	for range tries {
		l, err := listen(ctx, p.next)
		p.next++
		if err == nil {
			return l, nil
		}
		last = err
	}
	return nil, fmt.Errorf("no free port in %d tries: %w", tries, last)
}

// free returns an address for somebody else to listen on.
func (p *ports) free(ctx context.Context) (string, error) {
	l, err := p.listen(ctx)
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func listen(ctx context.Context, port int) (net.Listener, error) {
	var c net.ListenConfig
	return c.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
}
