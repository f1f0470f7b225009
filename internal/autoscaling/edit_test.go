package autoscaling_test

import (
	"errors"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"hale/internal/autoscaling"
	"hale/internal/elb"
)

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	refused, ok := errors.AsType[*elb.Error](err)
	if !ok || refused.Code != code {
		t.Errorf("error %v, want code %s", err, code)
	}
}

func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	web := &autoscaling.TemplateRef{Name: "web"}
	create := func(name string, s autoscaling.Settings) func(*autoscaling.Edit) error {
		return func(e *autoscaling.Edit) error {
			_, err := e.CreateGroup(name, s)
			return err
		}
	}
	update := func(s autoscaling.Settings) func(*autoscaling.Edit) error {
		return func(e *autoscaling.Edit) error { return e.UpdateGroup("web", s) }
	}
	for _, test := range []struct {
		name   string
		change func(*autoscaling.Edit) error
		code   string
	}{
		{"a name that there is", create("web", autoscaling.Settings{Min: new(0), Max: new(1), Template: web}), "AlreadyExists"},
		{"no template", create("x", autoscaling.Settings{Min: new(0), Max: new(1)}), "ValidationError"},
		{"an unknown template", create("x", autoscaling.Settings{Min: new(0), Max: new(1), Template: &autoscaling.TemplateRef{Name: "nope"}}), "ValidationError"},
		{"an unknown version", create("x", autoscaling.Settings{Min: new(0), Max: new(1), Template: &autoscaling.TemplateRef{Name: "web", Version: 9}}), "ValidationError"},
		{"no limits", create("x", autoscaling.Settings{Template: web}), "ValidationError"},
		{"limits the wrong way round", create("x", autoscaling.Settings{Min: new(2), Max: new(1), Template: web}), "ValidationError"},
		{"more than the limit", create("x", autoscaling.Settings{Min: new(0), Max: new(1), Desired: new(2), Template: web}), "ValidationError"},
		{"a name with a colon", create("a:b", autoscaling.Settings{Min: new(0), Max: new(1), Template: web}), "ValidationError"},
		{"a zone of elsewhere", create("x", autoscaling.Settings{Min: new(0), Max: new(1), Template: web, Zones: []string{"us-east-1a"}}), "ValidationError"},
		{"an unknown health check", update(autoscaling.Settings{HealthCheckType: new("EBS")}), "ValidationError"},
		{"an unknown policy", update(autoscaling.Settings{Policies: []string{"Random"}}), "ValidationError"},
		{"a grace of two days", update(autoscaling.Settings{Grace: new(48 * time.Hour)}), "ValidationError"},
		{"below the minimum", func(e *autoscaling.Edit) error { return e.SetDesired("web", -1, false) }, "ValidationError"},
		{"above the maximum", func(e *autoscaling.Edit) error { return e.SetDesired("web", 11, false) }, "ValidationError"},
		{"within the cooldown", func(e *autoscaling.Edit) error { return e.SetDesired("web", 3, true) }, "ScalingActivityInProgress"},
		{"no such group", func(e *autoscaling.Edit) error { return e.SetDesired("nope", 1, false) }, "ValidationError"},
		{"no such target group", func(e *autoscaling.Edit) error { return e.Attach("web", []string{"arn:nope"}) }, "ValidationError"},
		{"a target group that is not attached", func(e *autoscaling.Edit) error { return e.Detach("web", []string{green}) }, "ValidationError"},
		{"no such instance", func(e *autoscaling.Edit) error { return e.SetHealth("i-0", true, true) }, "ValidationError"},
		{"an unknown process", func(e *autoscaling.Edit) error { return e.Suspend("web", []string{"Sleep"}) }, "ValidationError"},
		{"an unknown transition", func(e *autoscaling.Edit) error { return e.PutHook("web", autoscaling.Hook{Name: "h", Transition: "x"}) }, "ValidationError"},
		{"a short heartbeat", func(e *autoscaling.Edit) error {
			return e.PutHook("web", autoscaling.Hook{Name: "h", Transition: autoscaling.Launching, Heartbeat: time.Second})
		}, "ValidationError"},
		{"nobody who waits", func(e *autoscaling.Edit) error { return e.CompleteAction("web", "h", "i-0", "", "CONTINUE") }, "ValidationError"},
		{"a standby of nobody", func(e *autoscaling.Edit) error {
			_, err := e.EnterStandby("web", []string{"i-0"}, false)
			return err
		}, "ValidationError"},
		{"a refresh of more than all", func(e *autoscaling.Edit) error {
			_, err := e.StartRefresh("web", nil, autoscaling.Preferences{MinHealthy: 101, MaxHealthy: 101})
			return err
		}, "ValidationError"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.create(2, blue)
			wantCode(t, w.edit(test.change), test.code)
		})
	}
}

func TestTheGroupFollowsItsLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(2)
	for _, test := range []struct{ min, max, desired int }{{3, 10, 3}, {0, 1, 1}, {0, 5, 1}} {
		w.must(func(e *autoscaling.Edit) error {
			return e.UpdateGroup("web", autoscaling.Settings{Min: &test.min, Max: &test.max})
		})
		if got := w.group().Desired; got != test.desired {
			t.Errorf("desired %d within %d and %d, want %d", got, test.min, test.max, test.desired)
		}
	}
}

func TestTemplatesAreChecked(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		template autoscaling.LaunchTemplate
		ok       bool
	}{
		{"a command", autoscaling.LaunchTemplate{Name: "web", Command: []string{"x"}}, true},
		{"none", autoscaling.LaunchTemplate{Name: "web"}, false},
		{"no name", autoscaling.LaunchTemplate{Command: []string{"x"}}, false},
		{"one port and one address", autoscaling.LaunchTemplate{Name: "web", Command: []string{"x"}, Ports: autoscaling.PortRange{First: 80, Last: 80}}, false},
		{"one port and many addresses", autoscaling.LaunchTemplate{
			Name: "web", Command: []string{"x"}, Ports: autoscaling.PortRange{First: 80, Last: 80}, Addresses: netip.MustParsePrefix("127.64.0.0/16"),
		}, true},
		{"a variable without a name", autoscaling.LaunchTemplate{Name: "web", Command: []string{"x"}, Environment: map[string]string{"": "x"}}, false},
	} {
		if err := test.template.Check(); (err == nil) != test.ok {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	at := netip.MustParseAddrPort
	for _, test := range []struct {
		name             string
		addresses, ports string
		taken, busy      []netip.AddrPort
		want             string // empty: there is none
	}{
		{"any port", "127.0.0.1", "", nil, nil, "127.0.0.1:40000"},
		{"a port that an instance will have is none", "127.0.0.1", "", []netip.AddrPort{at("127.0.0.1:40000")}, nil, "127.0.0.1:40001"},
		{"the first of a range", "127.0.0.1", "8000-8003", nil, nil, "127.0.0.1:8000"},
		{"that no instance has, nor another program", "127.0.0.1", "8000-8003", []netip.AddrPort{at("127.0.0.1:8000")}, []netip.AddrPort{at("127.0.0.1:8001")}, "127.0.0.1:8002"},
		{"all taken", "127.0.0.1", "8000-8001", []netip.AddrPort{at("127.0.0.1:8000"), at("127.0.0.1:8001")}, nil, ""},
		{"an address each", "127.64.0.0/16", "80", []netip.AddrPort{at("127.64.0.1:80")}, nil, "127.64.0.2:80"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			prefix, err := autoscaling.ParseAddresses(test.addresses)
			if err != nil {
				t.Fatal(err)
			}
			template := autoscaling.LaunchTemplate{Addresses: prefix}
			if test.ports != "" {
				if template.Ports, err = autoscaling.ParsePortRange(test.ports); err != nil {
					t.Fatal(err)
				}
			}
			taken, busy := make(map[netip.AddrPort]bool), make(map[netip.AddrPort]bool)
			for _, a := range test.taken {
				taken[a] = true
			}
			for _, a := range test.busy {
				busy[a] = true
			}
			named := uint16(39999)
			got, err := template.Place(taken, func(a netip.AddrPort) (netip.AddrPort, bool) {
				if a.Port() == 0 {
					named++
					return netip.AddrPortFrom(a.Addr(), named), true
				}
				return a, !busy[a]
			})
			if (err == nil) != (test.want != "") || err == nil && got.String() != test.want {
				t.Errorf("%v, %v; want %q", got, err, test.want)
			}
		})
	}
}

func TestPortsAndAddressesThatAreNone(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "0", "65536", "9-8", "a", "80-", "-80"} {
		if r, err := autoscaling.ParsePortRange(text); err == nil {
			t.Errorf("port range %q is read as %v", text, r)
		}
	}
	for _, text := range []string{"", "127.0.0", "127.0.0.1/33", "fe80::1%eth0", "web"} {
		if p, err := autoscaling.ParseAddresses(text); err == nil {
			t.Errorf("addresses %q are read as %v", text, p)
		}
	}
}

// A template that comes back unchanged, as at each start, has no new version.
func TestVersionsOfTemplates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	same := autoscaling.LaunchTemplate{Name: "web", Command: []string{"serve", "{port}"}, StopTimeout: 20 * time.Second, Environment: map[string]string{}}
	set := func(templates ...autoscaling.LaunchTemplate) {
		w.must(func(e *autoscaling.Edit) error { return e.SetTemplates(templates) })
	}
	set(same)
	if got := w.state.Templates["web"].Latest; got != 1 {
		t.Errorf("version %d of an unchanged template", got)
	}
	w.create(1)
	changed := same
	for n := range 20 {
		changed.StopTimeout = time.Duration(n+1) * time.Minute
		set(changed)
	}
	web := w.state.Templates["web"]
	if web.Latest != 21 || len(web.Versions) > 11 || web.Versions[1] == nil {
		t.Errorf("version %d; %d are kept, the one that an instance has: %v", web.Latest, len(web.Versions), web.Versions[1] != nil)
	}
	set() // it is not configured any more, but used
	if w.state.Latest("web") == nil {
		t.Error("a template that a group uses is gone")
	}
	if err := w.edit(func(e *autoscaling.Edit) error { return e.SetTemplates([]autoscaling.LaunchTemplate{same, same}) }); err == nil {
		t.Error("a template may be there twice")
	}
}

func TestWhatIsAnInstancesOwnIsFilledIn(t *testing.T) {
	t.Parallel()
	template := autoscaling.LaunchTemplate{
		Name: "web", Command: []string{"serve", "--bind={address}:{port}", "{unknown}"}, Directory: "/srv/{group}",
		Environment: map[string]string{"NAME": "{group}-{instance_id}", "PORT": "1{port}"},
	}
	filled := template.Fill("shop", &autoscaling.Instance{ID: "i-1", Address: netip.MustParseAddrPort("127.64.0.1:8000")})
	want := template
	want.Command = []string{"serve", "--bind=127.64.0.1:8000", "{unknown}"}
	want.Directory = "/srv/shop"
	want.Environment = map[string]string{
		"NAME": "shop-i-1", "PORT": "18000", "HALE_ADDRESS": "127.64.0.1", "HALE_INSTANCE_ID": "i-1", "HALE_GROUP": "shop",
	}
	if !reflect.DeepEqual(filled, want) {
		t.Errorf("%+v, want %+v", filled, want)
	}
	if template.Command[1] != "--bind={address}:{port}" || len(template.Environment) != 2 {
		t.Error("the template itself was changed")
	}
}
