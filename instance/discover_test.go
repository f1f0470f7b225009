package instance_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hale/instance"
)

var ethernet = netip.MustParseAddr("10.0.1.23")

// forgetAWS takes what may be set on the machine out of the environment.
func forgetAWS(t *testing.T) {
	t.Helper()
	for _, name := range []string{
		"AWS_EC2_METADATA_DISABLED", "AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
		"AWS_EC2_METADATA_V1_DISABLED", "ECS_CONTAINER_METADATA_URI_V4",
	} {
		t.Setenv(name, "")
	}
}

// texts writes addresses as "10.0.1.23 ec2-metadata v2".
func texts(in instance.Instance) []string {
	var all []string
	for _, a := range in.Addresses {
		text := a.Addr.String()
		if a.Public {
			text += " public"
		}
		all = append(all, text+" "+string(a.Source))
	}
	return all
}

func TestDiscoverOnEC2(t *testing.T) {
	forgetAWS(t)
	o := instance.Options{Endpoint: serveTCP(t, &fakeEC2{items: machine(), tokenRequired: true})}
	before := time.Now()
	in, err := instance.Discover(t.Context(), o.Through(nil, netip.MustParseAddr("127.0.0.1"), ethernet, netip.MustParseAddr("fe80::1"), netip.MustParseAddr("172.17.0.1")))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		fact instance.Fact
		want string
	}{
		{"id", in.ID, "i-0123456789abcdef0"},
		{"zone", in.Zone, "eu-central-1a"},
		{"region", in.Region, "eu-central-1"},
		{"type", in.Type, "t3.small"},
		{"hostname", in.Hostname, "ip-10-0-1-23.eu-central-1.compute.internal"},
	} {
		if tt.fact.Value != tt.want || tt.fact.Source != instance.EC2v2 || tt.fact.Time.Before(before) {
			t.Errorf("%s is %+v, want %s from %s", tt.name, tt.fact, tt.want, instance.EC2v2)
		}
	}
	want := []string{
		"10.0.1.23 ec2-metadata v2", // the primary interface's first, though it is listed second
		"10.0.1.24 ec2-metadata v2",
		"10.0.2.50 ec2-metadata v2",
		"2001:db8::5 ec2-metadata v2",
		"203.0.113.7 public ec2-metadata v2",
		"172.17.0.1 interfaces", // loopback and link-local are nobody's target
	}
	if got := texts(in); !slices.Equal(got, want) {
		t.Errorf("addresses\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if addr, ok := in.Primary(); !ok || addr != ethernet {
		t.Errorf("primary address %v, %v", addr, ok)
	}
}

// Each cause of a silent or odd metadata service has its own line, with the
// way out.
func TestDiscoverExplainsEC2Metadata(t *testing.T) {
	const id = "i-0123456789abcdef0"
	for _, tt := range []struct {
		name   string
		fake   *fakeEC2
		env    string
		source instance.Source // "" = nothing found
		detail string          // END is the endpoint
	}{
		{"version 2", &fakeEC2{items: machine(), tokenRequired: true}, "", instance.EC2v2, ""},
		{"version 2, tokens optional", &fakeEC2{items: machine()}, "", instance.EC2v2, ""},
		{"version 1 only", &fakeEC2{items: machine(), tokenStatus: 404}, "", instance.EC2v1, "the token request was answered 404"},
		{"version 1 only, 405", &fakeEC2{items: machine(), tokenStatus: 405}, "", instance.EC2v1, "the token request was answered 405"},
		{"token lost, version 1 allowed", &fakeEC2{items: machine(), tokenLost: true}, "", instance.EC2v1, "the token request was not answered: in a container, raise the hop limit of the token's answer: aws ec2 modify-instance-metadata-options --instance-id ID --http-put-response-hop-limit 2"},
		{"token lost, version 2 required", &fakeEC2{items: machine(), tokenLost: true, tokenRequired: true}, "", "", "END answers 401: it wants a session token (IMDSv2), and the token request was not answered: in a container, raise the hop limit of the token's answer: aws ec2 modify-instance-metadata-options --instance-id ID --http-put-response-hop-limit 2"},
		{"token refused, version 2 required", &fakeEC2{items: machine(), tokenStatus: 404, tokenRequired: true}, "", "", "END answers 401: it wants a session token (IMDSv2), and the token request was answered 404"},
		{"off", &fakeEC2{items: nil, tokenStatus: 403, tokenRequired: true}, "AWS_EC2_METADATA_V1_DISABLED=true", "", "END answers 403: the metadata service is off for this instance (HttpEndpoint=disabled), or something on the way adds X-Forwarded-For"},
		{"not asked", &fakeEC2{items: machine()}, "AWS_EC2_METADATA_DISABLED=true", "", "not asked: the environment has AWS_EC2_METADATA_DISABLED=true"},
		{"something else there", &fakeEC2{}, "", "", "END answers 404 to instance-id: something else than the EC2 metadata service answers there"},
		{"a page of HTML", &fakeEC2{items: map[string]string{"instance-id": "<html>log in</html>"}}, "", "", `END answers instance-id with "<html>log in</html>", which is none: something else than the EC2 metadata service answers there`},
		{"throttled at first", &fakeEC2{items: machine(), throttled: 2}, "", instance.EC2v2, ""},
		{"throttled", &fakeEC2{items: machine(), throttled: 1000}, "", "", "END answers 503: throttled; something on this machine asks it too often"},
		{"bad address", &fakeEC2{items: map[string]string{"instance-id": id, "local-ipv4": "<html>"}}, "", instance.EC2v2, `local-ipv4: "<html>" is not an IP address`},
		{"slow", &fakeEC2{items: machine(), delay: 200 * time.Millisecond}, "", instance.EC2v2, ""},
		{"one item silent", &fakeEC2{items: machine(), lost: "public-ipv4"}, "", instance.EC2v2, "public-ipv4: no answer in time"},
		{"silent", &fakeEC2{items: machine(), tokenLost: true, lost: "instance-id"}, "", "", "END does not answer: no answer in time"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			forgetAWS(t)
			if name, value, ok := strings.Cut(tt.env, "="); ok {
				t.Setenv(name, value)
			}
			synctest.Test(t, func(t *testing.T) {
				dial, stop := serveMemory(tt.fake)
				const endpoint = "http://169.254.169.254"
				start := time.Now()
				in, err := instance.Discover(t.Context(), instance.Options{}.Through(dial, ethernet))
				took := time.Since(start)
				stop()
				if err != nil {
					t.Fatalf("an interface is known, yet: %v", err)
				}
				if took > instance.DefaultTimeout {
					t.Errorf("took %v, more than %v", took, instance.DefaultTimeout)
				}
				report := in.Reports[0]
				want := tt.source
				if want == "" {
					want = instance.EC2v2
				}
				if report.Found != (tt.source != "") || report.Source != want {
					t.Errorf("report %+v, want %q", report, tt.source)
				}
				if detail := strings.ReplaceAll(report.Detail, endpoint, "END"); detail != tt.detail {
					t.Errorf("detail %q\n  want %q", detail, tt.detail)
				}
				if report.Found && in.ID != (instance.Fact{Value: id, Source: tt.source, Time: in.ID.Time}) {
					t.Errorf("id %+v, want it from %s", in.ID, tt.source)
				}
			})
		})
	}
}

func TestDiscoverWithoutMetadataService(t *testing.T) {
	forgetAWS(t)
	for _, tt := range []struct {
		name   string
		o      instance.Options
		took   time.Duration
		detail string
	}{
		{"refused", instance.Options{}.Through(refuse, ethernet), 0, "no EC2 metadata service at http://169.254.169.254: dial tcp: connect: connection refused"},
		{"black hole", instance.Options{}.Through(blackHole, ethernet), 600 * time.Millisecond, "no EC2 metadata service at http://169.254.169.254: no answer in time"},
		{"a shorter time", instance.Options{Timeout: 50 * time.Millisecond}.Through(blackHole, ethernet), 50 * time.Millisecond, "http://169.254.169.254 does not answer: no answer in time"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				in, err := instance.Discover(t.Context(), tt.o)
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				if got := in.Reports[0].Detail; got != tt.detail {
					t.Errorf("detail %q, want %q", got, tt.detail)
				}
				if got, want := texts(in), []string{"10.0.1.23 interfaces"}; !slices.Equal(got, want) {
					t.Errorf("addresses %q, want %q", got, want)
				}
				time.Sleep(time.Second) // a dial that nobody waits for any more ends
			})
		})
	}
}

func TestDiscoverSaysWhereThereIsNoAddress(t *testing.T) {
	forgetAWS(t)
	_, err := instance.Discover(t.Context(), instance.Options{}.Through(refuse, netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("fe80::1")))
	if !errors.Is(err, instance.ErrNoAddress) {
		t.Errorf("error %v, want ErrNoAddress", err)
	}
}

func TestDiscoverAsksOnlyWhomItMay(t *testing.T) {
	forgetAWS(t)
	fake := &fakeEC2{items: machine()}
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", serveTCP(t, fake))
	t.Run("metadata off", func(t *testing.T) {
		in, err := instance.Discover(t.Context(), instance.Options{Metadata: instance.Off}.Through(nil, ethernet))
		if err != nil || len(in.Reports) != 1 || in.Reports[0].Source != instance.Interfaces || len(fake.asked()) != 0 {
			t.Errorf("reports %+v, error %v, requests %q", in.Reports, err, fake.asked())
		}
	})
	t.Run("interfaces off", func(t *testing.T) {
		in, err := instance.Discover(t.Context(), instance.Options{Interfaces: instance.Off})
		if err != nil || len(in.Reports) != 1 || in.Reports[0].Source != instance.EC2v2 || in.ID.Value == "" {
			t.Errorf("reports %+v, error %v", in.Reports, err)
		}
	})
	t.Run("never credentials or user data", func(t *testing.T) {
		for _, r := range fake.asked() {
			if strings.Contains(r, "iam") || strings.Contains(r, "user-data") {
				t.Errorf("asked for %s", r)
			}
		}
	})
	t.Run("never through a proxy", func(t *testing.T) {
		t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
		in, err := instance.Discover(t.Context(), instance.Options{Interfaces: instance.Off})
		if err != nil || in.ID.Value == "" {
			t.Errorf("%+v, %v", in, err)
		}
	})
}

func TestDiscoverAsksWhereTheEnvironmentSays(t *testing.T) {
	for _, tt := range []struct {
		name string
		env  map[string]string
		o    instance.Options
		want string
	}{
		{"by default", nil, instance.Options{}, "169.254.169.254:80"},
		{"endpoint", map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://10.9.9.9:1338"}, instance.Options{}, "10.9.9.9:1338"},
		{"IPv6", map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "IPv6"}, instance.Options{}, "[fd00:ec2::254]:80"},
		{"options come first", map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://10.9.9.9:1338"}, instance.Options{Endpoint: "http://10.8.8.8:80"}, "10.8.8.8:80"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			forgetAWS(t)
			for name, value := range tt.env {
				t.Setenv(name, value)
			}
			asked := make(chan string, 10)
			dial := func(ctx context.Context, network, address string) (net.Conn, error) {
				asked <- address
				return refuse(ctx, network, address)
			}
			if _, err := instance.Discover(t.Context(), tt.o.Through(dial, ethernet)); err != nil {
				t.Fatal(err)
			}
			if got := <-asked; got != tt.want || len(asked) > 0 {
				t.Errorf("asked %s, and %d more; want %s once", got, len(asked), tt.want)
			}
		})
	}
}

func ecsHandler(mode string, addrs ...string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v4/abc", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"DockerId": "abc", "Networks": [{"NetworkMode": %q, "IPv4Addresses": ["%s"]}]}`, mode, strings.Join(addrs, `","`))
	})
	mux.HandleFunc("GET /v4/abc/task", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"Cluster": "web", "TaskARN": "arn:aws:ecs:us-west-2:111122223333:task/web/158d1c8083dd49d6b527399fd6414f5c",
			"AvailabilityZone": "us-west-2b", "LaunchType": "FARGATE"}`)
	})
	return mux
}

func TestDiscoverOnECS(t *testing.T) {
	for _, tt := range []struct {
		name string
		ecs  http.Handler
		ec2  bool
		want []string
		id   string
		kind string
	}{
		{"Fargate", ecsHandler("awsvpc", "10.0.2.61"), false, []string{"10.0.2.61 ecs", "10.0.1.23 interfaces"}, "158d1c8083dd49d6b527399fd6414f5c", "fargate"},
		{
			"awsvpc on EC2: the task's own address is the target", ecsHandler("awsvpc", "10.0.2.61"), true,
			[]string{"10.0.2.61 ecs", "10.0.1.23 ec2-metadata v2", "10.0.1.24 ec2-metadata v2", "10.0.2.50 ec2-metadata v2", "2001:db8::5 ec2-metadata v2", "203.0.113.7 public ec2-metadata v2"},
			"i-0123456789abcdef0", "fargate",
		},
		{
			"bridge on EC2: the host's address is the target", ecsHandler("bridge", "172.17.0.2"), true,
			[]string{"10.0.1.23 ec2-metadata v2", "10.0.1.24 ec2-metadata v2", "10.0.2.50 ec2-metadata v2", "2001:db8::5 ec2-metadata v2", "203.0.113.7 public ec2-metadata v2", "172.17.0.2 ecs"},
			"i-0123456789abcdef0", "t3.small",
		},
		{"garbage", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }), false, []string{"10.0.1.23 interfaces"}, "", ""},
		{"absent", http.NotFoundHandler(), false, []string{"10.0.1.23 interfaces"}, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			forgetAWS(t)
			t.Setenv("ECS_CONTAINER_METADATA_URI_V4", serveTCP(t, tt.ecs)+"/v4/abc")
			o := instance.Options{Endpoint: "http://127.0.0.1:1"}
			if tt.ec2 {
				o.Endpoint = serveTCP(t, &fakeEC2{items: machine()})
			}
			in, err := instance.Discover(t.Context(), o.Through(nil, ethernet))
			if err != nil {
				t.Fatal(err)
			}
			if got := texts(in); !slices.Equal(got, tt.want) {
				t.Errorf("addresses\n%q, want\n%q", got, tt.want)
			}
			if in.ID.Value != tt.id || in.Type.Value != tt.kind {
				t.Errorf("id %q, type %q; want %q, %q", in.ID.Value, in.Type.Value, tt.id, tt.kind)
			}
			if tt.id == "" && in.Reports[0].Detail == "" {
				t.Error("nothing says why the task's metadata is not known")
			}
		})
	}
	if region := instance.RegionOf("arn:aws:ecs:us-west-2:1:task/x"); region != "us-west-2" {
		t.Errorf("region %q", region)
	}
}

func TestDiscoverReadsAFile(t *testing.T) {
	forgetAWS(t)
	file := filepath.Join(t.TempDir(), "ipv4")
	if err := os.WriteFile(file, []byte("10.9.8.7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := instance.Discover(t.Context(), instance.Options{File: file, Metadata: instance.Off}.Through(nil, ethernet))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"10.9.8.7 file:" + file, "10.0.1.23 interfaces"}
	if got := texts(in); !slices.Equal(got, want) {
		t.Errorf("addresses %q, want %q: the file counts first", got, want)
	}
	in, err = instance.Discover(t.Context(), instance.Options{File: file + "x", Metadata: instance.Off}.Through(nil, ethernet))
	if err == nil || !strings.Contains(err.Error(), file+"x: does not exist: write this machine's address into it (hale instance --write "+file+"x)") {
		t.Errorf("a missing file gives %v", err)
	}
	if got := texts(in); !slices.Equal(got, want[1:]) {
		t.Errorf("beside the error: addresses %q, want %q", got, want[1:])
	}
}

func TestParseAddresses(t *testing.T) {
	for _, tt := range []struct {
		name, text, want string
		err              string
	}{
		{"one", "10.0.1.23\n", "[10.0.1.23]", ""},
		{"no newline", "10.0.1.23", "[10.0.1.23]", ""},
		{"several", "10.0.1.23\n2001:db8::5\r\n", "[10.0.1.23 2001:db8::5]", ""},
		{"comments and blanks", "# written at boot\n\n  10.0.1.23   # eth0\n\t\n", "[10.0.1.23]", ""},
		{"mapped", "::ffff:10.0.1.23\n", "[10.0.1.23]", ""},
		{"empty", "\n# nothing\n", "[]", "f: holds no address: write one a line"},
		{"error page", "\n<html><body>401 - Unauthorized: a long page</body>\n", "[]", `f:2: "<html><body>401 - Unauthorized: a long p..." is not an IP address: write one address a line, without port, mask or name`},
		{"port", "10.0.1.23:80\n", "[]", `f:1: "10.0.1.23:80" is not an IP address: write one address a line, without port, mask or name`},
		{"mask", "10.0.1.0/24\n", "[]", `f:1: "10.0.1.0/24" is not an IP address: write one address a line, without port, mask or name`},
		{"two on a line", "10.0.1.23 10.0.1.24\n", "[]", `f:1: "10.0.1.23 10.0.1.24" is not an IP address: write one address a line, without port, mask or name`},
		{"zone", "fe80::1%eth0\n", "[]", `f:1: "fe80::1%eth0" is not an IP address: write one address a line, without port, mask or name`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			addrs, err := instance.ParseAddresses("f", tt.text)
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != tt.err || fmt.Sprint(addrs) != tt.want {
				t.Errorf("addresses %v, error %q\nwant %v, %q", addrs, got, tt.want, tt.err)
			}
		})
	}
}

func FuzzParseAddresses(f *testing.F) {
	f.Add("10.0.1.23\n# x\n2001:db8::5\n")
	f.Fuzz(func(t *testing.T, text string) {
		addrs, err := instance.ParseAddresses("f", text)
		if (err == nil) != (len(addrs) > 0) {
			t.Errorf("%q gives %v and %v", text, addrs, err)
		}
		for _, a := range addrs {
			if !a.IsValid() || a.Zone() != "" || a.Is4In6() {
				t.Errorf("%q gives %v", text, a)
			}
		}
	})
}

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ipv4")
	in := instance.Instance{Addresses: []instance.Address{
		{Addr: netip.MustParseAddr("2001:db8::5")},
		{Addr: netip.MustParseAddr("203.0.113.7"), Public: true},
		{Addr: ethernet},
	}}
	if err := os.WriteFile(path, []byte("old and longer than the new\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := in.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || string(text) != "10.0.1.23\n" {
		t.Errorf("file holds %q, %v; want the primary private IPv4 alone", text, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v, %v; want 0644: the app is another user", info.Mode(), err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("left behind beside the file: %v", entries)
	}
	if addrs, err := instance.ParseAddresses(path, string(text)); err != nil || !slices.Equal(addrs, []netip.Addr{ethernet}) {
		t.Errorf("read back as %v, %v", addrs, err)
	}

	none := filepath.Join(dir, "none", "ipv4")
	if err := in.WriteFile(none); err == nil || !strings.Contains(err.Error(), "directory "+filepath.Dir(none)+" does not exist: make it first") {
		t.Errorf("without the directory: %v", err)
	}
	if err := (instance.Instance{}).WriteFile(path); !errors.Is(err, instance.ErrNoAddress) {
		t.Errorf("without an address: %v, want ErrNoAddress", err)
	}
}

func TestInstanceAsJSON(t *testing.T) {
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	in := instance.Instance{
		ID:        instance.Fact{Value: "i-1", Source: instance.EC2v2, Time: at},
		Addresses: []instance.Address{{Addr: ethernet, Source: instance.EC2v2, Time: at}},
		Reports:   []instance.Report{{Source: instance.EC2v2, Found: true, Took: 1500 * time.Microsecond}},
	}
	got, err := json.Marshal(in)
	want := `{"id":{"value":"i-1","source":"ec2-metadata v2","time":"2026-05-01T12:00:00Z"},` +
		`"addresses":[{"address":"10.0.1.23","public":false,"source":"ec2-metadata v2","time":"2026-05-01T12:00:00Z"}],` +
		`"sources":[{"source":"ec2-metadata v2","found":true,"time_ms":1.5}]}`
	if err != nil || string(got) != want {
		t.Errorf("JSON %s, %v\nwant %s", got, err, want)
	}
}
