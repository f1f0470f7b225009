package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"hale/examples/gosite/site"
)

// control is where the instances' apps are told which faults to have. Each app has
// a connection to it for as long as both live.
type control struct {
	files    files
	listener net.Listener

	mu   sync.Mutex      // guards what follows
	apps map[string]*app // by the instance's id
}

// hello is what an app is told first.
type hello struct {
	// Remove is a directory that an app removes when the demo has gone without a
	// word; empty: none.
	Remove string
}

// order tells an app to have a fault, or not to have it any more.
type order struct {
	Fault site.Fault
	On    bool
}

// report is what an app tells: at first, and after each order.
type report struct {
	Instance string
	PID      int
	Broken   []site.Fault
	Problem  string // why the order was not carried out
}

// app is the connection of an instance's app.
type app struct {
	conn    net.Conn
	reports chan report   // the answers to orders
	gone    chan struct{} // closed at the end of the connection

	ordering sync.Mutex // held from an order to its report

	mu   sync.Mutex // guards what follows
	last report
}

// patience is how long an app has for an order.
const patience = 10 * time.Second

func openControl(ctx context.Context, f files) (*control, error) {
	if err := os.Remove(f.control()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var c net.ListenConfig
	l, err := c.Listen(ctx, "unix", f.control())
	if err != nil {
		return nil, err
	}
	return &control{files: f, listener: l, apps: make(map[string]*app)}, nil
}

// run takes connections until ctx is done.
func (c *control) run(ctx context.Context) {
	stop := context.AfterFunc(ctx, c.close)
	defer stop()
	var apps sync.WaitGroup
	defer apps.Wait()
	for {
		conn, err := c.listener.Accept()
		if err != nil {
			return
		}
		apps.Go(func() {
			stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
			defer stop()
			c.attend(conn)
		})
	}
}

func (c *control) close() { _ = c.listener.Close() }

// attend reads an app's reports until its connection ends.
func (c *control) attend(conn net.Conn) {
	defer conn.Close()
	var first hello
	if c.files.temporary {
		first.Remove = c.files.dir
	}
	if err := json.NewEncoder(conn).Encode(first); err != nil {
		return
	}
	a := &app{conn: conn, reports: make(chan report, 1), gone: make(chan struct{})}
	defer close(a.gone)
	known := false
	for in := json.NewDecoder(conn); ; {
		var r report
		if err := in.Decode(&r); err != nil {
			return
		}
		a.mu.Lock()
		a.last = r
		a.mu.Unlock()
		if known {
			a.reports <- r
			continue
		}
		known = true
		c.mu.Lock()
		c.apps[r.Instance] = a
		c.mu.Unlock()
		defer func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.apps[r.Instance] == a {
				delete(c.apps, r.Instance)
			}
		}()
	}
}

func (c *control) app(instance string) *app {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.apps[instance]
}

// broken returns the faults that an instance has, and whether its app runs.
func (c *control) broken(instance string) (faults []site.Fault, runs bool) {
	a := c.app(instance)
	if a == nil {
		return nil, false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.last.Broken), true
}

// pid returns the number of an instance's app; 0 if it does not run.
func (c *control) pid(instance string) int {
	a := c.app(instance)
	if a == nil {
		return 0
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last.PID
}

// tell has an instance's app carry out an order.
func (c *control) tell(ctx context.Context, instance string, o order) error {
	a := c.app(instance)
	if a == nil {
		return fmt.Errorf("the app of %s does not run: wait until hale serve has started it again", instance)
	}
	a.ordering.Lock()
	defer a.ordering.Unlock()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := json.NewEncoder(a.conn).Encode(o); err != nil {
		return fmt.Errorf("tell the app of %s: %w", instance, err)
	}
	select {
	case r := <-a.reports:
		if r.Problem != "" {
			return errors.New(r.Problem)
		}
		return nil
	case <-a.gone:
		return fmt.Errorf("the app of %s has ended", instance)
	case <-ctx.Done():
		_ = a.conn.Close() // a late report must not be taken for the next one's
		return fmt.Errorf("the app of %s did not answer: %w", instance, context.Cause(ctx))
	}
}
