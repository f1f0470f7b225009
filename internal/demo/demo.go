// Package demo shows Hale at work on one machine, with nothing to install: a real
// hale balance with two target groups, four instances in each of them that Auto
// Scaling keeps running, and users who ask all the time. Each instance is a real
// hale serve with its app, a guest book, as a child. On a page one breaks them and
// sees what the load balancer holds of each, and what users got meanwhile.
//
// Everything is on loopback and in one directory. Instances end with the demo, also
// if that was killed: each app has a connection to it, and ends its instance when
// that is cut.
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
	"strings"
	"sync"
	"text/template"
	"time"

	"hale/examples/gosite/site"
	"hale/internal/balance"
)

// DefaultPort is the first port that is tried.
const DefaultPort = 8080

// Options of Run.
type Options struct {
	// Dir is where everything is kept: configurations, logs, the database. If it is
	// empty, a temporary directory is made and removed at the end.
	Dir string

	// Port is where the load balancer listens on 127.0.0.1, and the first port to
	// try: each part takes the next free one. 0 means DefaultPort.
	Port int

	// Program is the full path of the hale that instances are run with; empty: this
	// one.
	Program string

	Out    io.Writer    // told what runs where, and what to try
	Logger *slog.Logger // told what went wrong

	// Stop brings the signals that end the demo; the second one ends it at once. Nil
	// is fine.
	Stop <-chan os.Signal

	// Ready is called once everything answers; instances may not be healthy yet. Nil
	// is fine.
	Ready func(Places)
}

// Places are where the parts of a running demo are.
type Places struct {
	Dir   string // of configurations, logs and the database
	Site  string // address of the load balancer's listener: what users reach
	Panel string // address of the page
	API   string // address of the load balancer's API
	Admin string // address of the load balancer's own page, and of its metrics
}

// PublicHost is the name under which the demo's users know the guest book.
const PublicHost = "mysite.com"

// groups are the names of the target groups, of their Auto Scaling groups, and of
// the launch templates.
var groups = [...]string{"blue", "green"}

// size is how many instances a group has.
const size = 4

// Run runs the demo until ctx is done or Stop says so, and takes everything down
// again.
func Run(ctx context.Context, o Options) (err error) {
	if o.Program == "" {
		if o.Program, err = os.Executable(); err != nil {
			return fmt.Errorf("find the program to run instances with: %w", err)
		}
	}
	dir, remove, err := directory(o.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	d := &demo{options: o, files: files{dir: dir, temporary: o.Dir == ""}, places: Places{Dir: dir}}
	defer func() { err = errors.Join(err, d.close()) }()
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
	if err := os.MkdirAll(path, 0o750); err != nil {
		return "", nil, fmt.Errorf("make the demo's directory: %w; name another with --dir", err)
	}
	return path, func() error { return nil }, nil
}

// files are where things are in the demo's directory.
type files struct {
	dir       string
	temporary bool // it goes with the demo
}

func (f files) haleYAML() string              { return filepath.Join(f.dir, "hale.yaml") }
func (f files) balanceYAML() string           { return filepath.Join(f.dir, "balance.yaml") }
func (f files) log() string                   { return filepath.Join(f.dir, "balance.log") }
func (f files) database() string              { return filepath.Join(f.dir, "database") }
func (f files) control() string               { return filepath.Join(f.dir, "run", "control.sock") }
func (f files) socket(instance string) string { return filepath.Join(f.dir, "run", instance+".sock") }
func (f files) instance(id string) string     { return filepath.Join(f.dir, "instances", id) }

// longestSocket is what a socket's name may have (unix(7)), but for the zero at its
// end.
const longestSocket = 107

// make makes the directories.
func (f files) make() error {
	longest := f.socket("i-0123456789abcdef0")
	if len(longest) > longestSocket {
		return fmt.Errorf("%s is too long a name for a socket: give a shorter one with --dir, or in TMPDIR", longest)
	}
	for _, dir := range []string{"run", "instances", "logs"} {
		if err := os.MkdirAll(filepath.Join(f.dir, dir), 0o750); err != nil {
			return err
		}
	}
	return nil
}

// demo is a demo from start to end.
type demo struct {
	options Options
	files   files
	places  Places
	port    int // that instances listen on, each at its own address

	log           *os.File
	primary       *site.Site // has made the database that instances share, and breaks it
	control       *control
	panelListener net.Listener

	fleet *fleet
	users *users
	watch *watch
	panel *panel
}

// open finds addresses for everything, and writes the configurations.
func (d *demo) open(ctx context.Context) (err error) {
	if err = d.files.make(); err != nil {
		return err
	}
	if d.log, err = os.OpenFile(d.files.log(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
		return err
	}
	if d.primary, err = site.New(ctx, site.Options{Dir: d.files.database()}); err != nil {
		return err
	}
	if d.control, err = openControl(ctx, d.files); err != nil {
		return err
	}
	if err = d.findPorts(ctx); err != nil {
		return err
	}
	schema, err := d.primary.Schema(ctx)
	if err != nil {
		return err
	}
	d.fleet = &fleet{files: d.files, program: d.options.Program, schema: schema.Want, primary: d.primary, control: d.control, cloud: newCloud(d.places.API)}
	if err = d.fleet.configure(false); err != nil {
		return err
	}
	if err = d.configureBalance(); err != nil {
		return err
	}
	d.users = newUsers(d.places.Site)
	d.watch = newWatch(d.places.Admin, d.fleet.cloud)
	d.panel, err = newPanel(d.places, d.fleet, d.watch, d.users)
	return err
}

// findPorts gives each part an address of its own: those of hale balance's usual
// ones that are free, if the first port is the usual one.
func (d *demo) findPorts(ctx context.Context) (err error) {
	first := d.options.Port
	if first == 0 {
		first = DefaultPort
	}
	ports := ports{next: first}
	if d.places.Site, err = ports.free(ctx, "127.0.0.1"); err != nil {
		return err
	}
	if d.panelListener, err = ports.listen(ctx, "127.0.0.1"); err != nil {
		return err
	}
	d.places.Panel = d.panelListener.Addr().String()
	ports.next = max(ports.next, first+7)
	if d.places.API, err = ports.free(ctx, "127.0.0.1"); err != nil {
		return err
	}
	if d.places.Admin, err = ports.free(ctx, "127.0.0.1"); err != nil {
		return err
	}
	ports.next = first
	instance, err := ports.free(ctx, firstInstance)
	if err != nil {
		return err
	}
	_, text, err := net.SplitHostPort(instance)
	if err != nil {
		return err
	}
	d.port, err = strconv.Atoi(text)
	return err
}

// instances is the network that instances have their addresses of, and
// firstInstance the first of them.
const (
	instances     = "127.64.0.0/24"
	firstInstance = "127.64.0.1"
)

//go:embed templates/balance.yaml templates/hale.yaml templates/welcome.txt
var textFiles embed.FS

// text fills in a template. Its function "quoted" writes a text for YAML.
func text(name string, data any) ([]byte, error) {
	t, err := template.New(name).Funcs(template.FuncMap{"quoted": quoted}).ParseFS(textFiles, "templates/"+name)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, data)
	return b.Bytes(), err
}

// quoted writes a text so that YAML and the variables of our configurations leave
// it as it is.
func quoted(text string) string { return strings.ReplaceAll(strconv.Quote(text), "$", "$$") }

func (d *demo) configureBalance() error {
	_, port, err := net.SplitHostPort(d.places.Site)
	if err != nil {
		return err
	}
	b, err := text("balance.yaml", struct {
		Places
		Port         string
		Groups       []string
		Size         int
		Program      string
		Instances    string
		InstancePort int
		Weights      map[string]int
	}{d.places, port, groups[:], size, d.options.Program, instances, d.port, map[string]int{"blue": 90, "green": 10}})
	if err != nil {
		return err
	}
	return os.WriteFile(d.files.balanceYAML(), b, 0o600)
}

// run runs the parts. hale balance is the one that the others are there for: they
// begin once it serves. Users end before it, so that it has no requests to wait
// for, and the control after it, so that instances end in order.
func (d *demo) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var parts sync.WaitGroup
	defer parts.Wait()
	beside, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	parts.Go(func() { d.control.run(beside) })

	page := newServer(beside, d.panel)
	parts.Go(func() {
		if err := page.Serve(d.panelListener); !errors.Is(err, http.ErrServerClosed) {
			cancel(err)
		}
	})
	defer func() { _ = page.Close() }()

	visiting, leave := context.WithCancel(ctx)
	var visits sync.WaitGroup
	stop := make(chan os.Signal, 2)
	parts.Go(func() {
		for {
			select {
			case sig := <-d.options.Stop:
				leave()
				visits.Wait()
				select {
				case stop <- sig:
				default: // two are enough
				}
			case <-beside.Done():
				return
			}
		}
	})
	defer leave()

	logger := slog.New(slog.NewTextHandler(d.log, nil))
	err := balance.Run(ctx, balance.Options{
		ConfigFile: d.files.balanceYAML(), Env: os.LookupEnv, Stdout: d.log, Stderr: d.log, Logger: logger, Stop: stop,
		Ready: func(_, _ net.Addr) {
			visits.Go(func() { d.watch.run(visiting) })
			visits.Go(func() {
				if d.watch.waitFor(visiting, (*sight).there); visiting.Err() == nil {
					d.welcome()
				}
				d.watch.waitFor(visiting, (*sight).serves)
				d.users.run(visiting)
			})
		},
	})
	leave()
	visits.Wait()
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = errors.Join(err, cause)
	}
	return err
}

func (d *demo) close() error {
	var errs []error
	if d.panelListener != nil {
		_ = d.panelListener.Close() // it may be closed
	}
	if d.control != nil {
		d.control.close()
	}
	if d.primary != nil {
		errs = append(errs, d.primary.Close())
	}
	if d.log != nil {
		errs = append(errs, d.log.Close())
	}
	return errors.Join(errs...)
}

// welcome says what runs where and what to try.
func (d *demo) welcome() {
	b, err := text("welcome.txt", struct {
		Places
		Rate     int
		Export   string
		Commands []command
	}{d.places, rate, d.fleet.cloud.export(), d.fleet.cloud.first(d.watch.seen())})
	if err == nil {
		_, err = d.options.Out.Write(b)
	}
	if err != nil {
		d.options.Logger.Error("welcome not written", "error", err)
	}
	if d.options.Ready != nil {
		d.options.Ready(d.places)
	}
}

func newServer(ctx context.Context, h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
}
