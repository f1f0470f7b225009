package systemd_test

import (
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"hale/test/checktest"
	"hale/test/servers"
)

// mock is a real bus with a stand-in for systemd on it: python-dbusmock, to
// which units are added.
type mock struct {
	t      *testing.T
	socket string // of the bus
	tcp    string
	conn   *dbus.Conn
}

const (
	manager = "org.freedesktop.systemd1"
	mocking = "org.freedesktop.DBus.Mock"
	unitI   = manager + ".Unit"
)

// loadUnit is the manager's method: units that were not added are "not-found",
// as in systemd.
const loadUnit = `
path = '/org/freedesktop/systemd1/unit/' + ''.join(c if c.isalnum() else '_%02x' % ord(c) for c in args[0])
if path not in objects:
    self.AddObject(path, 'org.freedesktop.systemd1.Unit', {'LoadState': 'not-found', 'ActiveState': 'inactive', 'SubState': 'dead'}, [])
ret = dbus.ObjectPath(path)
`

// newMock starts the bus and the stand-in. The policy is XML.
func newMock(t *testing.T, auth, policy string) *mock {
	t.Helper()
	m := &mock{t: t, socket: filepath.Join(t.TempDir(), "bus"), tcp: servers.FreeAddress(t)}
	_, port, _ := net.SplitHostPort(m.tcp)
	config := filepath.Join(t.TempDir(), "bus.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=%s</listen>
  <listen>tcp:host=127.0.0.1,bind=127.0.0.1,port=%s,family=ipv4</listen>
  %s<allow_anonymous/>
  <policy context="default">
    <allow user="*"/><allow own="*"/><allow send_destination="*"/><allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/><allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/><allow receive_type="method_return"/><allow receive_type="error"/><allow receive_type="signal"/>
    %s
  </policy>
</busconfig>`, m.socket, port, auth, policy), 0o600); err != nil {
		t.Fatal(err)
	}
	servers.Run(t, servers.Spec{
		Name: "dbus-daemon", Args: []string{"--config-file=" + config, "--nofork", "--nopidfile"},
		Listens: []string{m.socket, m.tcp},
	})
	return m
}

// run puts the stand-in on the bus.
func (m *mock) run() *servers.Process {
	m.t.Helper()
	server := m.runBare()
	m.call("/org/freedesktop/systemd1", "AddMethod", manager+".Manager", "LoadUnit", "s", "o", loadUnit)
	return server
}

// runBare puts it there without its method.
func (m *mock) runBare() *servers.Process {
	m.t.Helper()
	server := servers.Run(m.t, servers.Spec{
		Name: "/usr/bin/python3", Args: []string{"-m", "dbusmock", "--system", manager, "/org/freedesktop/systemd1", manager + ".Manager"},
		Env: []string{"DBUS_SYSTEM_BUS_ADDRESS=unix:path=" + m.socket},
	})
	// The daemon makes its socket before it listens.
	checktest.Eventually(m.t, "the bus lets the test in", func() bool {
		var err error
		m.conn, err = dbus.Connect("unix:path=" + m.socket)
		return err == nil
	})
	m.t.Cleanup(func() { m.conn.Close() })
	checktest.Eventually(m.t, "python-dbusmock is on the bus", func() (owned bool) {
		err := m.conn.BusObject().Call("org.freedesktop.DBus.NameHasOwner", 0, manager).Store(&owned)
		return err == nil && owned
	})
	return server
}

func (m *mock) call(path dbus.ObjectPath, method string, args ...any) {
	m.t.Helper()
	if err := m.conn.Object(manager, path).Call(mocking+"."+method, 0, args...).Err; err != nil {
		m.t.Fatalf("%s: %v", method, err)
	}
}

// add adds a unit, or replaces one. Properties of its own kind are behind the
// general ones.
func (m *mock) add(name string, general, special map[string]any) {
	m.t.Helper()
	path := unitPath(name)
	_ = m.conn.Object(manager, "/org/freedesktop/systemd1").Call(mocking+".RemoveObject", 0, string(path)).Err
	properties := variants(map[string]any{"LoadState": "loaded", "ActiveState": "active", "SubState": "running"})
	maps.Copy(properties, variants(general))
	m.call("/org/freedesktop/systemd1", "AddObject", string(path), unitI, properties, []struct{ A, B, C, D string }{})
	kind := name[strings.LastIndexByte(name, '.')+1:]
	if special == nil {
		special = map[string]any{"Result": "success"}
	}
	m.call(path, "AddProperties", manager+"."+strings.ToUpper(kind[:1])+kind[1:], variants(special))
}

func unitPath(name string) dbus.ObjectPath {
	var b strings.Builder
	b.WriteString("/org/freedesktop/systemd1/unit/")
	for _, c := range []byte(name) {
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "_%02x", c)
		}
	}
	return dbus.ObjectPath(b.String())
}

func variants(values map[string]any) map[string]dbus.Variant {
	v := make(map[string]dbus.Variant)
	for key, value := range values {
		v[key] = dbus.MakeVariant(value)
	}
	return v
}

// ago is a time stamp of systemd's.
func ago(d time.Duration) uint64 { return uint64(time.Now().Add(-d).UnixMicro()) }

// clients counts those who are on the bus beside the stand-in and the test.
func (m *mock) clients() int {
	var names []string
	if err := m.conn.BusObject().Call("org.freedesktop.DBus.ListNames", 0).Store(&names); err != nil {
		m.t.Error(err)
	}
	n := -2
	for _, name := range names {
		if strings.HasPrefix(name, ":") {
			n++
		}
	}
	return n
}
