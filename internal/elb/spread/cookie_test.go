package spread_test

import (
	"bytes"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"hale/internal/elb"
	"hale/internal/elb/spread"
)

func sealer(t testing.TB, with byte) *spread.Sealer {
	t.Helper()
	s, err := spread.NewSealer(bytes.Repeat([]byte{with}, spread.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sent returns the Cookie field of a client that kept what was set.
func sent(lines []string) string {
	var pairs []string
	for _, line := range lines {
		pair, _, _ := strings.Cut(line, ";")
		pairs = append(pairs, pair)
	}
	return strings.Join(pairs, "; ")
}

// The lines as AWS writes them (capture of an Application Load Balancer, November
// 2025), but for the value.
func TestSetCookieLines(t *testing.T) {
	t.Parallel()
	value := regexp.MustCompile(`=[A-Za-z0-9_-]{40,200};`)
	for _, test := range []struct {
		cookie spread.Cookie
		secure bool
		want   []string
	}{
		{spread.TargetCookie, false, []string{
			"AWSALB=V; Expires=Sat, 28 Nov 2026 12:00:00 GMT; Path=/",
			"AWSALBCORS=V; Expires=Sat, 28 Nov 2026 12:00:00 GMT; Path=/; SameSite=None; Secure",
		}},
		{spread.GroupCookie, true, []string{
			"AWSALBTG=V; Expires=Sat, 28 Nov 2026 12:00:00 GMT; Path=/",
			"AWSALBTGCORS=V; Expires=Sat, 28 Nov 2026 12:00:00 GMT; Path=/; SameSite=None; Secure",
		}},
		{spread.ClassicCookie, false, []string{
			"AWSELB=V;PATH=/;MAX-AGE=3600",
			"AWSELBCORS=V;PATH=/;MAX-AGE=3600;SECURE;SAMESITE=None",
		}},
		{spread.ApplicationCookie, true, []string{
			"AWSALBAPP-0=V; Expires=Sat, 28 Nov 2026 12:00:00 GMT; Path=/; SameSite=None; Secure",
			"AWSALBAPP-1=_remove_; Expires=Sat, 28 Nov 2026 12:00:00 GMT; Path=/; SameSite=None; Secure",
			"AWSALBAPP-2=_remove_; Expires=Sat, 28 Nov 2026 12:00:00 GMT; Path=/; SameSite=None; Secure",
			"AWSALBAPP-3=_remove_; Expires=Sat, 28 Nov 2026 12:00:00 GMT; Path=/; SameSite=None; Secure",
		}},
		{spread.ApplicationCookie, false, []string{
			"AWSALBAPP-0=V; Expires=Sat, 28 Nov 2026 12:00:00 GMT; Path=/",
			"AWSALBAPP-1=_remove_; Expires=Sat, 28 Nov 2026 12:00:00 GMT; Path=/",
			"AWSALBAPP-2=_remove_; Expires=Sat, 28 Nov 2026 12:00:00 GMT; Path=/",
			"AWSALBAPP-3=_remove_; Expires=Sat, 28 Nov 2026 12:00:00 GMT; Path=/",
		}},
	} {
		s := spread.Stickiness{Cookie: test.cookie, Sealer: sealer(t, 1), Scope: 7, Duration: time.Hour}
		lines := s.SetCookies(42, start, test.secure)
		var got []string
		for _, line := range lines {
			if _, err := http.ParseSetCookie(line); err != nil {
				t.Errorf("net/http cannot read %q: %v", line, err)
			}
			got = append(got, value.ReplaceAllString(line, "=V;"))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%q\nwant %q", got, test.want)
		}
		if test.cookie != spread.ApplicationCookie && value.FindString(lines[0]) != value.FindString(lines[1]) {
			t.Errorf("two values: %q", lines)
		}
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	ours := spread.Stickiness{Sealer: sealer(t, 1), Scope: 7, Duration: 20 * time.Second}
	lines := ours.SetCookies(42, start, false)
	cookie := sent(lines)
	cors := sent(lines[1:])
	_, value, _ := strings.Cut(sent(lines[:1]), "=")
	flipped := []byte(value)
	flipped[len(flipped)/2] ^= 1
	group := ours
	group.Cookie = spread.GroupCookie
	otherScope := ours
	otherScope.Scope = 8
	otherKey := ours
	otherKey.Sealer = sealer(t, 2)
	for _, test := range []struct {
		name    string
		sticky  spread.Stickiness
		headers []string
		after   time.Duration
		ok      bool
	}{
		{"what was set", ours, []string{cookie}, 0, true},
		{"the one for other sites alone", ours, []string{cors}, 0, true},
		{"among others", ours, []string{"a=1; " + cookie + ";b=2"}, 0, true},
		{"in a field of its own, as HTTP/2 has them", ours, []string{"a=1", cookie}, 0, true},
		{"after a bad one", ours, []string{"AWSALB=bad; AWSALB=" + value}, 0, true},
		{"the good one of the two", ours, []string{"AWSALB=bad; AWSALBCORS=" + value}, 0, true},
		{"to the last moment", ours, []string{cookie}, 20*time.Second - 1, true},
		{"stale", ours, []string{cookie}, 20 * time.Second, false},
		{"of a clock that was set back", ours, []string{cookie}, -time.Hour, true},
		{"no cookie", ours, nil, 0, false},
		{"others alone", ours, []string{"a=1; b=2"}, 0, false},
		{"empty", ours, []string{"AWSALB="}, 0, false},
		{"without a value", ours, []string{"AWSALB"}, 0, false},
		{"in small letters", ours, []string{"awsalb=" + value}, 0, false},
		{"a longer name", ours, []string{"AWSALBX=" + value}, 0, false},
		{"cut short", ours, []string{"AWSALB=" + value[1:]}, 0, false},
		{"too long", ours, []string{"AWSALB=" + value + "A"}, 0, false},
		{"one bit changed", ours, []string{"AWSALB=" + string(flipped)}, 0, false},
		{"URL-encoded", ours, []string{"AWSALB=%41" + value[1:]}, 0, false},
		{"AWS's own", ours, []string{"AWSALB=VzFvgG+8fOUDCmPokhe1NVMd9qPNHCfMCIZ23ngxcecsEHl0iIfncknHVe0F+emD0D5Xy7HhBGE8E+3aEQbHGBrB7U3DCVM+S1AsWbh09ytHRTRC+Sbyr0MZ0l83"}, 0, false},
		{"of another group", otherScope, []string{cookie}, 0, false},
		{"of another key", otherKey, []string{cookie}, 0, false},
		{"for another purpose", group, []string{"AWSALBTG=" + value}, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			key, ok := test.sticky.Read(test.headers, start.Add(test.after))
			if ok != test.ok || ok && key != 42 || !ok && key != 0 {
				t.Errorf("%d, %v; want %v", key, ok, test.ok)
			}
		})
	}
}

// The load balancer's cookie counts while the application's is there.
func TestApplicationCookie(t *testing.T) {
	t.Parallel()
	s := spread.Stickiness{
		Cookie: spread.ApplicationCookie, Sealer: sealer(t, 1), Scope: 7, Duration: time.Minute, Application: "sessionid",
	}
	ours := sent(s.SetCookies(42, start, false))
	for _, test := range []struct {
		header string
		ok     bool
	}{
		{"sessionid=abc; " + ours, true},
		{ours + "; sessionid=", true},
		{ours, false},
		{ours + "; sessionid2=abc", false},
		{"sessionid=abc", false},
		{"sessionid=abc; AWSALBAPP-0=_remove_; AWSALBAPP-1=_remove_", false},
	} {
		if key, ok := s.Read([]string{test.header}, start); ok != test.ok || ok && key != 42 {
			t.Errorf("%s: %d, %v", test.header, key, ok)
		}
	}
	for _, test := range []struct {
		fields []string
		want   bool
	}{
		{[]string{"a=1; Path=/", "sessionid=abc; Path=/; HttpOnly"}, true},
		{[]string{"sessionid=abc"}, true},
		{[]string{"sessionid"}, false},
		{[]string{"a=1; sessionid=abc"}, false},
		{[]string{"Sessionid=abc"}, false},
		{nil, false},
	} {
		if got := s.SetsApplicationCookie(test.fields); got != test.want {
			t.Errorf("%q sets it: %v", test.fields, got)
		}
	}
	removes := s.RemoveCookies(start, false)
	if len(removes) != 4 || removes[0] != "AWSALBAPP-0=_remove_; Expires=Sat, 28 Nov 2026 12:00:00 GMT; Path=/" {
		t.Errorf("%q", removes)
	}
	other := spread.Stickiness{Sealer: s.Sealer}
	if lines := other.RemoveCookies(start, false); lines != nil {
		t.Errorf("the load balancer's own cookie is removed: %q", lines)
	}
}

func TestStickinessOf(t *testing.T) {
	t.Parallel()
	key := sealer(t, 1)
	scope := spread.KeyOf("arn", 0)
	http := elb.Kind{Protocol: elb.HTTP}
	for _, test := range []struct {
		name       string
		kind       elb.Kind
		attributes elb.Attributes
		want       *spread.Stickiness
	}{
		{"off", http, nil, nil},
		{"the load balancer's", http, elb.Attributes{"stickiness.enabled": "true"}, &spread.Stickiness{Sealer: key, Scope: scope, Duration: 24 * time.Hour}},
		{
			"for a shorter time", http,
			elb.Attributes{"stickiness.enabled": "true", "stickiness.lb_cookie.duration_seconds": "60", "stickiness.app_cookie.duration_seconds": "5"},
			&spread.Stickiness{Sealer: key, Scope: scope, Duration: time.Minute},
		},
		{
			"the application's", http,
			elb.Attributes{"stickiness.enabled": "true", "stickiness.type": "app_cookie", "stickiness.app_cookie.cookie_name": "s", "stickiness.app_cookie.duration_seconds": "5"},
			&spread.Stickiness{Cookie: spread.ApplicationCookie, Sealer: key, Scope: scope, Duration: 5 * time.Second, Application: "s"},
		},
		{"by address", elb.Kind{Protocol: elb.TCP}, elb.Attributes{"stickiness.enabled": "true"}, nil},
	} {
		got := spread.StickinessOf(key, "arn", test.kind, test.attributes)
		if (got == nil) != (test.want == nil) || got != nil && *got != *test.want {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}

// A client that comes back within the time goes on with its target; each answer
// renews its cookie. When the target may take no traffic, it gets another one.
func TestStickySession(t *testing.T) {
	t.Parallel()
	all := named("abc")
	g := group(spread.Settings{}, all...)
	s := spread.Stickiness{Sealer: sealer(t, 1), Scope: 7, Duration: 20 * time.Second}
	now := start
	request := func(header string) (*target, string) {
		chosen, ok := (*target)(nil), false
		if key, sticks := s.Read([]string{header}, now); sticks {
			chosen, ok = g.Find(key)
		}
		if !ok {
			chosen, _ = g.Pick(now)
		}
		return chosen, sent(s.SetCookies(chosen.Key, now, false))
	}
	first, cookie := request("")
	for range 10 {
		now = now.Add(15 * time.Second)
		var again *target
		if again, cookie = request(cookie); again != first {
			t.Fatalf("first %s, then %s", first.name, again.name)
		}
	}
	g.Use(now, spread.Settings{}, healthy(slices.DeleteFunc(slices.Clone(all), func(one *target) bool { return one == first })...))
	second, cookie := request(cookie)
	if second == first {
		t.Fatalf("%s may take no traffic", first.name)
	}
	g.Use(now, spread.Settings{}, healthy(all...))
	if again, _ := request(cookie); again != second {
		t.Errorf("%s, and back to %s", second.name, again.name)
	}
}

func TestNewSealer(t *testing.T) {
	t.Parallel()
	if _, err := spread.NewSealer(make([]byte, 16)); err == nil || err.Error() != "the key for stickiness cookies has 16 bytes, not 32" {
		t.Error(err)
	}
}

// Whatever a client sends, reading it neither panics nor finds a target that no
// answer named.
func FuzzRead(f *testing.F) {
	s := spread.Stickiness{Sealer: sealer(f, 1), Scope: 7, Duration: time.Hour}
	app := spread.Stickiness{Cookie: spread.ApplicationCookie, Sealer: s.Sealer, Scope: 7, Duration: time.Hour, Application: "app"}
	f.Add(sent(s.SetCookies(42, start, false)))
	f.Add("app=1; " + sent(app.SetCookies(42, start, false)))
	f.Add("AWSALB=\"" + strings.Repeat("A", 69) + "\"; =; ;;AWSALB")
	f.Add("AWSALBAPP-0=_remove_; app")
	f.Fuzz(func(t *testing.T, header string) {
		for _, sticky := range []spread.Stickiness{s, app} {
			if key, ok := sticky.Read([]string{header}, start); ok && key != 42 {
				t.Errorf("%q: target %d", header, key)
			}
		}
	})
}

func BenchmarkRead(b *testing.B) {
	s := spread.Stickiness{Sealer: sealer(b, 1), Scope: 7, Duration: time.Hour}
	headers := []string{"a=1; " + sent(s.SetCookies(42, start, false))}
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := s.Read(headers, start); !ok {
			b.Fatal("not read")
		}
	}
}

func BenchmarkSetCookies(b *testing.B) {
	s := spread.Stickiness{Sealer: sealer(b, 1), Scope: 7, Duration: time.Hour}
	b.ReportAllocs()
	for b.Loop() {
		s.SetCookies(42, start, false)
	}
}
