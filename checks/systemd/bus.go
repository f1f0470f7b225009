package systemd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"

	"hale/internal/explain"
)

// Names of systemd on the bus.
const (
	service     = "org.freedesktop.systemd1"
	managerPath = "/org/freedesktop/systemd1"
	loadUnit    = service + ".Manager.LoadUnit"
	getAll      = "org.freedesktop.DBus.Properties.GetAll"
)

// defaultSocket is where the system's bus listens (D-Bus Specification, "System
// message bus"), by the name that /var/run has had since.
const defaultSocket = "/run/dbus/system_bus_socket"

// bus is a connection to the system's D-Bus, for one run.
type bus struct {
	conn    *dbus.Conn
	stop    func() bool
	address string
	start   time.Time
}

// connect connects to the bus and says hello.
func (c *Check) connect(ctx context.Context) (*bus, error) {
	address, err := c.address()
	if err != nil {
		return nil, err
	}
	b := &bus{address: address, start: time.Now()}
	network := "tcp"
	if strings.HasPrefix(address, "/") || strings.HasPrefix(address, "@") {
		network = "unix"
	}
	var dialer net.Dialer
	socket, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, b.explain(ctx, "no connection", err)
	}
	// The context ends waiting, whether by its deadline or by being cancelled.
	b.stop = context.AfterFunc(ctx, func() { _ = socket.SetDeadline(time.Unix(1, 0)) })
	if b.conn, err = dbus.NewConn(socket); err != nil {
		_ = socket.Close()
		return nil, b.explain(ctx, "no connection", err)
	}
	// Who asks, the kernel tells of a unix socket alone.
	method := dbus.AuthExternal(strconv.Itoa(os.Getuid()))
	if network == "tcp" {
		method = dbus.AuthAnonymous()
	}
	if err := b.conn.Auth([]dbus.Auth{method}); err != nil {
		b.close()
		return nil, b.explain(ctx, "connected, but no answer", err)
	}
	if err := b.conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.Hello", 0).Err; err != nil {
		b.close()
		return nil, b.explain(ctx, "connected, but no answer", err)
	}
	return b, nil
}

func (b *bus) close() {
	b.stop()
	_ = b.conn.Close()
}

// address is where the bus listens.
func (c *Check) address() (string, error) {
	if c.Address != "" {
		return c.Address, nil
	}
	lookup := c.Lookup
	if lookup == nil {
		lookup = os.LookupEnv
	}
	text, _ := lookup("DBUS_SYSTEM_BUS_ADDRESS")
	if text == "" {
		return defaultSocket, nil
	}
	if address := parseAddress(text); address != "" {
		return address, nil
	}
	return "", errors.New("no address that is known here in DBUS_SYSTEM_BUS_ADDRESS: write unix:path=PATH, unix:abstract=NAME or tcp:host=HOST,port=PORT")
}

// parseAddress returns the first address of a list such as
// "unix:path=/run/dbus/system_bus_socket,guid=1;tcp:host=127.0.0.1,port=99"
// (D-Bus Specification, "Server Addresses") in the form of package net; empty if
// there is none that can be used.
func parseAddress(list string) string {
	for address := range strings.SplitSeq(list, ";") {
		transport, pairs, _ := strings.Cut(address, ":")
		values := make(map[string]string)
		for pair := range strings.SplitSeq(pairs, ",") {
			key, value, _ := strings.Cut(pair, "=")
			if text, err := dbus.UnescapeBusAddressValue(value); err == nil {
				values[key] = text
			}
		}
		switch {
		case transport == "unix" && filepath.IsAbs(values["path"]):
			return values["path"]
		case transport == "unix" && values["abstract"] != "":
			return "@" + values["abstract"]
		case transport == "tcp" && values["port"] != "":
			return net.JoinHostPort(cmp.Or(values["host"], "localhost"), values["port"])
		}
	}
	return ""
}

// unit asks for the state of a unit. LoadUnit, unlike GetUnit, also knows those
// that nothing has needed so far.
func (b *bus) unit(ctx context.Context, name string) (*unit, error) {
	var path dbus.ObjectPath
	manager := b.conn.Object(service, managerPath)
	if err := manager.CallWithContext(ctx, loadUnit, dbus.FlagNoAutoStart, name).Store(&path); err != nil {
		return nil, b.explain(ctx, "connected, but no answer", err)
	}
	object := b.conn.Object(service, path)
	var general map[string]dbus.Variant
	if err := object.CallWithContext(ctx, getAll, dbus.FlagNoAutoStart, service+".Unit").Store(&general); err != nil {
		return nil, b.explain(ctx, "connected, but no answer", err)
	}
	u := &unit{
		name: name,
		load: get[string](general, "LoadState"), active: get[string](general, "ActiveState"), sub: get[string](general, "SubState"),
		changed: moment(general, "StateChangeTimestamp"), activated: moment(general, "ActiveEnterTimestamp"),
		// False also where nothing was tried, so that the time tells.
		unconditional: get[bool](general, "ConditionResult") || moment(general, "ConditionTimestamp").IsZero(),
	}
	u.isService, u.isTimer = kind(name) == "service", kind(name) == "timer"
	iface := map[string]string{
		"service": "Service", "timer": "Timer", "socket": "Socket", "mount": "Mount", "automount": "Automount",
		"swap": "Swap", "path": "Path", "scope": "Scope",
	}[kind(name)]
	if iface == "" || u.load != "loaded" {
		return u, nil
	}
	var special map[string]dbus.Variant
	if err := object.CallWithContext(ctx, getAll, dbus.FlagNoAutoStart, service+"."+iface).Store(&special); err != nil {
		return nil, b.explain(ctx, "connected, but no answer", err)
	}
	u.result, u.kind = get[string](special, "Result"), get[string](special, "Type")
	u.restarts = get[uint32](special, "NRestarts")
	u.exitCode, u.exitStatus = get[int32](special, "ExecMainCode"), get[int32](special, "ExecMainStatus")
	u.ended, u.lastTriggered = moment(special, "ExecMainExitTimestamp"), moment(special, "LastTriggerUSec")
	return u, nil
}

// get returns a property, or the zero value where systemd is too old to have it.
func get[T any](properties map[string]dbus.Variant, name string) T {
	value, _ := properties[name].Value().(T)
	return value
}

// moment reads a time stamp, in microseconds since 1970; 0 is never.
func moment(properties map[string]dbus.Variant, name string) time.Time {
	us := get[uint64](properties, name)
	if us == 0 || us > 1<<62 {
		return time.Time{}
	}
	return time.UnixMicro(int64(us))
}

// explain says what went wrong on the bus.
func (b *bus) explain(ctx context.Context, waiting string, err error) error {
	text := ""
	var answer dbus.Error
	switch {
	case ctx.Err() != nil || explain.IsTimeout(err):
		// The library closes the connection, and calls that the error.
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		budget, ok := explain.Budget(ctx, b.start)
		if !ok || !explain.IsTimeout(err) {
			return explain.Network(err, b.address)
		}
		text = fmt.Sprintf("%s within %v", waiting, budget)
	case errors.Is(err, fs.ErrNotExist):
		text = "no such socket (the machine does not run systemd and D-Bus, or a container does not see them)"
	case errors.As(err, &answer):
		text = complaint(answer)
	case strings.HasPrefix(err.Error(), "dbus: authentication"):
		text = "the bus does not let this user in"
	case errors.Is(err, dbus.ErrClosed):
		text = "connection closed without an answer"
	default:
		return explain.Network(err, b.address)
	}
	return &explain.Error{Text: text + ": " + b.address, Err: err}
}

// complaint explains what the bus, or systemd, answers in place of a result.
func complaint(answer dbus.Error) string {
	switch answer.Name {
	case "org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner":
		return "systemd is not on the bus"
	case "org.freedesktop.DBus.Error.AccessDenied":
		return "the bus does not allow this user to ask systemd"
	case "org.freedesktop.DBus.Error.NoReply", "org.freedesktop.DBus.Error.Timeout":
		return "systemd does not answer the bus"
	default:
		return "systemd answers " + explain.Line(answer.Error())
	}
}
