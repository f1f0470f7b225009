package sites

import (
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"
)

// metadata is a stand-in for the instance metadata service, which tells an
// instance its private address. The SDKs, and Django's settings here, look for
// it where the variable AWS_EC2_METADATA_SERVICE_ENDPOINT says.
type metadata struct {
	open  bool          // it answers without a token, too: IMDSv1
	delay time.Duration // before each answer
	// unreachable: what comes from a container, one hop further away, never
	// gets its answer.
	unreachable bool
}

const token = "c3VjaCBhIHRva2Vu"

// serve runs the service and returns the variables with which it is found.
func (m metadata) serve(t testing.TB) (env []string) {
	t.Helper()
	return []string{"AWS_EC2_METADATA_SERVICE_ENDPOINT=" + m.start(t), "AWS_EC2_METADATA_DISABLED=false"}
}

func (m metadata) start(t testing.TB) (url string) {
	t.Helper()
	if m.unreachable {
		l, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts, and nobody answers
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return "http://" + l.Addr().String()
	}
	return "http://" + serve(t, "127.0.0.1", http.HandlerFunc(m.answer))
}

func (m metadata) answer(w http.ResponseWriter, r *http.Request) {
	time.Sleep(m.delay)
	w.Header().Set("Server", "EC2ws")
	switch {
	case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token" && r.Header.Get("X-Aws-Ec2-Metadata-Token-Ttl-Seconds") != "":
		fmt.Fprint(w, token)
	case !m.open && r.Header.Get("X-Aws-Ec2-Metadata-Token") != token:
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `<?xml version="1.0" encoding="iso-8859-1"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"
	"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">
 <head>
  <title>401 - Unauthorized</title>
 </head>
 <body>
  <h1>401 - Unauthorized</h1>
 </body>
</html>
`)
	case r.Method == http.MethodGet && r.URL.Path == "/latest/meta-data/local-ipv4":
		fmt.Fprint(w, Private)
	default:
		http.NotFound(w, r)
	}
}

// How settings ask for the instance's private address, in the ways that are
// handed around.
const (
	metadataService = `
from urllib.request import Request, urlopen
SERVICE = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.169.254")
`
	// without a token, and without a look at the status
	askedPlainly = metadataService + `
from urllib.error import HTTPError
try:
    private_ip = urlopen(SERVICE + "/latest/meta-data/local-ipv4", timeout=10).read().decode()
except HTTPError as answer:
    private_ip = answer.read().decode()
ALLOWED_HOSTS = ["example.com", private_ip]
`
	// with 10 ms of time
	askedHastily = metadataService + `
private_ip = ""
try:
    private_ip = urlopen(SERVICE + "/latest/meta-data/local-ipv4", timeout=0.01).read().decode()
except OSError:
    pass
ALLOWED_HOSTS = ["example.com", private_ip]
`
	// with a token, and three times if need be; off AWS the app must start without
	askedWithToken = metadataService + `
private_ip = ""
for attempt in range(3):
    try:
        token = urlopen(Request(SERVICE + "/latest/api/token", method="PUT", headers={"X-aws-ec2-metadata-token-ttl-seconds": "60"}), timeout=2).read().decode()
        private_ip = urlopen(Request(SERVICE + "/latest/meta-data/local-ipv4", headers={"X-aws-ec2-metadata-token": token}), timeout=2).read().decode()
        break
    except OSError:
        pass
ALLOWED_HOSTS = ["example.com"] + ([private_ip] if private_ip else [])
`
)

// metadataCases are sites whose list of hosts lacks the instance's address,
// because they did not learn it. What the probe meets is Django's refusal.
func metadataCases() []Case {
	asks := func(m metadata, settings string) func(testing.TB) Site {
		return func(t testing.TB) Site {
			address := private(t)
			return site(address, django(t, settings, m.serve(t)...).gunicorn(t, address))
		}
	}
	return []Case{
		{
			Name: "imdsv2-required-401", Row: "imdsv2-required-401", Findings: []string{"imdsv2-required-401", "django-allowed-hosts"},
			Inside: true, Start: asks(metadata{}, askedPlainly),
		},
		{
			Name: "imds-timeout-too-small", Row: "imds-timeout-too-small", Findings: []string{"imds-timeout-too-small", "django-allowed-hosts"},
			Inside: true, Start: asks(metadata{open: true, delay: 300 * time.Millisecond}, askedHastily),
		},
		{
			Name: "imds-hop-limit", Row: "imds-hop-limit", Findings: []string{"imds-hop-limit", "django-allowed-hosts"},
			Inside: true, Imitated: true, Start: asks(metadata{unreachable: true}, askedWithToken),
		},
		{
			// The traps on the way out of setup B: a token cures the first and
			// shows the next.
			Name: "imds-hosts-ssl", Row: "imds-hosts-ssl", Findings: []string{"imdsv2-required-401", "django-allowed-hosts", "django-ssl-redirect"},
			Inside: true, Start: asks(metadata{}, askedPlainly+redirectSet+headerSet),
		},
		{
			Name: "imds-hosts-ssl-hasty", Row: "imds-hosts-ssl", Findings: []string{"imds-timeout-too-small", "django-allowed-hosts", "django-ssl-redirect"},
			Inside: true, Start: asks(metadata{open: true, delay: 300 * time.Millisecond}, askedHastily+redirectSet+headerSet),
		},
		{
			Name: "imds-hosts-ssl-hop", Row: "imds-hosts-ssl", Findings: []string{"imds-hop-limit", "django-allowed-hosts", "django-ssl-redirect"},
			Inside: true, Imitated: true, Start: asks(metadata{unreachable: true}, askedWithToken+redirectSet+headerSet),
		},
	}
}
