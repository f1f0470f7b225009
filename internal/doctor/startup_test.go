package doctor

import (
	"context"
	"net"
	"net/netip"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"hale/internal/machine"
	"hale/internal/probe"
)

// A process that ended is not waited for, even where nobody has taken note of its
// end: in a container that is common.
func TestZombiesAreNotAwaited(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.5:0")
	if err != nil {
		t.Skip(err)
	}
	address := netip.MustParseAddrPort(l.Addr().String())
	l.Close()
	app := exec.Command("sleep", "1")
	app.Env = []string{"PORT=" + strconv.Itoa(int(address.Port()))}
	if err := app.Start(); err != nil {
		t.Skip(err)
	}
	defer func() { _ = app.Wait() }() // only now
	x := newExamination(Options{Inside: true, Probe: probe.Probe{Address: address}})
	x.first.sign.class = classRefused
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if x.awaitStart(ctx) {
		t.Error("somebody listens")
	}
	if ctx.Err() != nil || len(x.undecided) > 0 {
		t.Errorf("a zombie is waited for: %v", x.undecided)
	}
}

func TestStartIn(t *testing.T) {
	t.Parallel()
	start := time.Now().Add(-30 * time.Minute).Truncate(time.Second)
	app := machine.Process{PID: 7, Start: start}
	utc, zoned, local := start.UTC(), start.In(time.FixedZone("", 2*3600)), start.Local()
	for _, test := range []struct {
		name, line string
		want       time.Duration
	}{
		{"gunicorn", utc.Add(7*time.Second).Format("[2006-01-02 15:04:05 -0700]") + " [7] [INFO] Listening at: http://0.0.0.0:8000 (7)", 7 * time.Second},
		{"in another zone", zoned.Add(7*time.Second).Format("[2006-01-02 15:04:05 -0700]") + " [7] [INFO] Listening at: http://0.0.0.0:8000 (7)", 7 * time.Second},
		{"the journal", zoned.Add(8*time.Second).Format("2006-01-02T15:04:05-07:00") + " web uvicorn[7]: INFO:     Application startup complete.", 8 * time.Second},
		{"no zone", local.Add(9*time.Second).Format("2006-01-02 15:04:05,000") + " INFO listening on 8080", 9 * time.Second},
		{"no time", "listening on 8080", 0},
		{"the process before", utc.Add(-time.Minute).Format("[2006-01-02 15:04:05 -0700]") + " [5] [INFO] Listening at: http://0.0.0.0:8000 (5)", 0},
		{"Spring", "INFO 1 --- Started ShopApplication in 44.9 seconds (process running for 46.125)", 46125 * time.Millisecond},
		{"Spring before 3", "Started ShopApplication in 44.9 seconds (JVM running for 46.5)", 46500 * time.Millisecond},
		{"Tomcat", "INFO [main] org.apache.catalina.startup.Catalina.start Server startup in [12,345] milliseconds", 12345 * time.Millisecond},
		{"Tomcat 8", "Server startup in 12345 ms", 12345 * time.Millisecond},
		{"uWSGI", "WSGI app 0 (mountpoint='') ready in 6 seconds on interpreter 0x55 pid: 7 (default app)", 6 * time.Second},
		{"longer than the process lives", "Server startup in 12345678 ms", 0},
		{"something else", "GET /health 200", 0},
	} {
		if got := startIn(test.line, app); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}
