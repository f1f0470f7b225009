package sites

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func busyProofs() map[string]proof {
	// The kernel answers for the program: so many connections wait for it.
	waits := func(least, most int) step {
		return does(func(t *testing.T, s Site) {
			if n := acceptQueue(t, s.Address); n < least || n > most {
				t.Errorf("%d connections wait to be accepted, want %d to %d", n, least, most)
			}
		})
	}
	relieved := []step{
		does(func(_ *testing.T, s Site) { s.relief() }),
		asked(says(200, "healthy"), within(time.Minute)),
	}
	return map[string]proof{
		"gunicorn-backlog-full": append(proof{
			waits(5, 5),
			does(func(t *testing.T, s Site) {
				before := listenOverflows(t)
				if a := health(s, 0).send(); a.outcome != noConnection {
					t.Errorf("want %s, got %v", noConnection, a)
				}
				if after := listenOverflows(t); after <= before {
					t.Errorf("the kernel counts %d overflows before and %d after", before, after)
				}
			}),
		}, relieved...),
		"gunicorn-workers-busy":    append(proof{waits(3, 100), asked(fails(silent)), waits(4, 100)}, relieved...),
		"gunicorn-idle-connection": append(proof{waits(0, 0), asked(fails(silent)), waits(1, 100)}, relieved...),
		"node-event-loop":          append(proof{asked(fails(silent))}, relieved...),
		"nginx-open-files": append(proof{
			asked(fails(silent)),
			inLog("accept4() failed (24: Too many open files)"),
		}, relieved...),
	}
}

// listenOverflows is how often a connection found the queue of its listener
// full, since the machine started.
func listenOverflows(t *testing.T) int {
	t.Helper()
	content, err := os.ReadFile("/proc/net/netstat")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(content)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != "TcpExt:" {
			continue
		}
		if names == nil {
			names = fields
			continue
		}
		n, err := strconv.Atoi(fields[slices.Index(names, "ListenOverflows")])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	t.Fatal("/proc/net/netstat has no TcpExt")
	return 0
}
