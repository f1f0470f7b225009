package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"hale/examples/gosite/site"
)

// Variables that an instance's app is run with: the first is of its launch
// template, the second of every instance of hale balance.
const (
	directoryVariable = "HALE_DEMO_DIRECTORY"
	instanceVariable  = "HALE_INSTANCE_ID"
)

// RunApp is the app of one instance, which hale serve runs as its child: the guest
// book, and a connection to the demo, which tells it which faults to have. It ends
// with the demo, and takes its hale serve with it.
func RunApp(ctx context.Context, env func(name string) (string, bool)) error {
	dir, _ := env(directoryVariable)
	id, _ := env(instanceVariable)
	if dir == "" || id == "" {
		return fmt.Errorf("this is run by hale demo, for its instances: %s and %s are not set", directoryVariable, instanceVariable)
	}
	a := instanceApp{files: files{dir: dir}, id: id}
	if err := a.connect(ctx); err != nil {
		a.endInstance()
		return err
	}
	defer a.conn.Close()
	if err := a.open(ctx); err != nil {
		return err
	}
	server := newServer(ctx, a.site)
	go a.obey(ctx) // until this process ends
	return server.Serve(a.listener)
}

type instanceApp struct {
	files    files
	id       string
	conn     net.Conn
	remove   string
	in       *json.Decoder
	site     *site.Site
	listener net.Listener
}

func (a *instanceApp) connect(ctx context.Context) (err error) {
	dialer := net.Dialer{Timeout: patience}
	if a.conn, err = dialer.DialContext(ctx, "unix", a.files.control()); err != nil {
		return fmt.Errorf("find the demo that this is an instance of: %w", err)
	}
	a.in = json.NewDecoder(a.conn)
	var first hello
	if err := a.in.Decode(&first); err != nil {
		return fmt.Errorf("hear from the demo that this is an instance of: %w", err)
	}
	a.remove = first.Remove
	return nil
}

func (a *instanceApp) open(ctx context.Context) (err error) {
	a.site, err = site.New(ctx, site.Options{
		Dir: a.files.instance(a.id), Database: filepath.Join(a.files.database(), site.DatabaseFile), Instance: a.id,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return err
	}
	socket := a.files.socket(a.id)
	if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var c net.ListenConfig
	a.listener, err = c.Listen(ctx, "unix", socket)
	return err
}

// obey carries out the demo's orders until the demo is gone.
func (a *instanceApp) obey(ctx context.Context) {
	out := json.NewEncoder(a.conn)
	problem := ""
	for {
		r := report{Instance: a.id, PID: os.Getpid(), Problem: problem}
		for _, f := range site.Faults() {
			if a.site.Broken(f) {
				r.Broken = append(r.Broken, f)
			}
		}
		var o order
		if out.Encode(r) != nil || a.in.Decode(&o) != nil {
			a.endInstance()
			return
		}
		turn := a.site.Mend
		if o.On {
			turn = a.site.Break
		}
		problem = ""
		if err := turn(ctx, o.Fault); err != nil {
			problem = err.Error()
		}
	}
}

// endInstance ends the instance that this is the app of: the demo has gone, and
// its load balancer with it. hale serve, which may be stopped by a signal, takes
// its app with it.
func (a *instanceApp) endInstance() {
	parent := os.Getppid()
	if parent > 1 {
		_ = syscall.Kill(parent, syscall.SIGSTOP) // so that it makes no more files
	}
	if a.remove != "" {
		// The others do the same, and may be writing yet.
		for until := time.Now().Add(2 * time.Second); os.RemoveAll(a.remove) != nil && time.Now().Before(until); {
			time.Sleep(50 * time.Millisecond)
		}
	}
	if parent > 1 {
		_ = syscall.Kill(parent, syscall.SIGKILL)
	}
	os.Exit(1)
}
