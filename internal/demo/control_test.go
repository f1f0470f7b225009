package demo

import (
	"context"
	"encoding/json"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"hale/examples/gosite/site"
)

// testApp connects to a control as an instance's app does.
type testApp struct {
	t    *testing.T
	conn net.Conn
	in   *json.Decoder
}

func (a testApp) report(r report) {
	a.t.Helper()
	if err := json.NewEncoder(a.conn).Encode(r); err != nil {
		a.t.Error(err)
	}
}

func connect(t *testing.T, f files) (testApp, hello) {
	t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "unix", f.control())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	a := testApp{t, conn, json.NewDecoder(conn)}
	var first hello
	if err := a.in.Decode(&first); err != nil {
		t.Fatal(err)
	}
	return a, first
}

func TestControl(t *testing.T) {
	f := files{dir: t.TempDir(), temporary: true}
	if err := f.make(); err != nil {
		t.Fatal(err)
	}
	c, err := openControl(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); c.run(ctx) }()
	defer func() { end(); <-ended }()
	await := func(what string, is func() bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("gave up waiting: " + what)
			}
		}
	}

	if err := c.tell(t.Context(), "i-1", order{site.PageBroken, true}); err == nil || !strings.Contains(err.Error(), "the app of i-1 does not run") {
		t.Errorf("an order to nobody: %v", err)
	}
	a, first := connect(t, f)
	if first.Remove != f.dir {
		t.Errorf("an app is to remove %q, want %q", first.Remove, f.dir)
	}
	a.report(report{Instance: "i-1", PID: 77})
	await("the app is known", func() bool { return c.pid("i-1") == 77 })

	for _, tt := range []struct {
		order   order
		answer  report
		problem string
		broken  []site.Fault
	}{
		{order{site.PageBroken, true}, report{Instance: "i-1", PID: 77, Broken: []site.Fault{site.PageBroken}}, "", []site.Fault{site.PageBroken}},
		{order{site.DiskFull, true}, report{Instance: "i-1", PID: 77, Broken: []site.Fault{site.PageBroken}, Problem: "no full disk"}, "no full disk", []site.Fault{site.PageBroken}},
		{order{site.PageBroken, false}, report{Instance: "i-1", PID: 77}, "", nil},
	} {
		told := make(chan order, 1)
		go func() {
			var o order
			if err := a.in.Decode(&o); err != nil {
				t.Error(err)
			}
			told <- o
			a.report(tt.answer)
		}()
		err := c.tell(t.Context(), "i-1", tt.order)
		if got := <-told; got != tt.order || (err == nil) != (tt.problem == "") || err != nil && err.Error() != tt.problem {
			t.Errorf("the app was told %v, and answered %v; want %v, %q", got, err, tt.order, tt.problem)
		}
		if broken, runs := c.broken("i-1"); !runs || !reflect.DeepEqual(broken, tt.broken) {
			t.Errorf("after %v there are %v, want %v", tt.order, broken, tt.broken)
		}
	}

	go func() {
		var o order
		_ = a.in.Decode(&o)
		a.conn.Close() // as an app does that ends
	}()
	if err := c.tell(t.Context(), "i-1", order{site.AppHangs, true}); err == nil || !strings.Contains(err.Error(), "the app of i-1 has ended") {
		t.Errorf("an order to an app that ends: %v", err)
	}
	await("the app is forgotten", func() bool { _, runs := c.broken("i-1"); return !runs })
	if c.pid("i-1") != 0 {
		t.Error("the process of an app that has ended is still known")
	}

	// An app hears at once of the end of the demo.
	second, _ := connect(t, f)
	second.report(report{Instance: "i-2", PID: 78})
	await("the app is known", func() bool { return c.pid("i-2") == 78 })
	end()
	var o order
	if err := second.in.Decode(&o); err == nil {
		t.Errorf("after the end the app was told %v", o)
	}
}
