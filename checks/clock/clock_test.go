package clock

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hale/checks"
	"hale/health"
	"hale/test/checktest"
	"hale/test/servers"
)

// chronyd starts the real one, which touches no clock (-x). With local it takes
// its own clock for right, without it has no time to give.
func chronyd(t *testing.T, local string) (address string, server *servers.Process) {
	t.Helper()
	address = servers.FreeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	dir := t.TempDir()
	config := filepath.Join(dir, "chrony.conf")
	if err := os.WriteFile(config, []byte("port "+port+"\nbindaddress 127.0.0.1\nallow 127.0.0.1\ncmdport 0\nbindcmdaddress /\npidfile "+dir+"/pid\n"+local+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return address, servers.Run(t, servers.Spec{
		Name: "chronyd", Args: []string{"-x", "-d", "-U", "-u", "root", "-f", config},
		Ready: func(context.Context) error {
			if a := ask(t.Context(), address); a.err != nil && !strings.Contains(a.err.Error(), "synchronised") {
				return a.err
			}
			return nil
		},
	})
}

func TestChronyd(t *testing.T) {
	address, server := chronyd(t, "local stratum 8")
	check := &Check{Servers: []string{address}, WarnOffset: 100 * time.Millisecond}
	says(t, check, health.Pass, "the clock is (right to|RIGHT) .*, by "+address)
	checktest.Soak(t, check, nil)

	unsynchronised, _ := chronyd(t, "")
	says(t, &Check{Servers: []string{unsynchronised}}, health.Fail, "the time server is not synchronised itself: "+unsynchronised)
	says(t, &Check{Servers: []string{address, unsynchronised}}, health.Warn, "the time server is not synchronised itself: "+unsynchronised)

	server.Pause()
	says(t, check, health.Fail, "no answer within 2s: "+address)
	server.Resume()
	says(t, check, health.Pass, "the clock is .*, by "+address)
	server.Stop()
	says(t, check, health.Fail, "connection refused: "+address)
	server.Start()
	says(t, check, health.Pass, "the clock is .*, by "+address)
}

// says runs a check. The text is a regular expression, in which RIGHT stands for
// hardly any offset and ABOUT for one of 1.5 s: on a busy machine a packet is
// longer on its way there than back. Where silence has to be found out, the run
// has two seconds, otherwise as many as it needs.
func says(t *testing.T, check *Check, status health.Status, want string) {
	t.Helper()
	timeout := time.Minute
	if strings.Contains(want, "within") {
		timeout = 2 * time.Second
	}
	got := checktest.Outcome(t, check, timeout)
	pattern := strings.NewReplacer("RIGHT", `[0-9.]+(µs|ms) (fast|slow)`, "ABOUT", `1\.[3-7]\d*s`).Replace(want)
	if !regexp.MustCompile("^" + status.String() + ": " + pattern + "$").MatchString(got) {
		t.Errorf("%s\nwant %v: %s", got, status, want)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(names)
}

// packet is an answer of NTP.
type packet struct {
	ahead         time.Duration // of the server's clock before ours
	leap, stratum byte
	reference     string // id, of four bytes
}

// speaks is a time server whose answers are made; nil is none, to a question
// that gets lost.
func speaks(t *testing.T, reply func(question []byte) []byte) (address string) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { conn.Close(); <-done })
	go func() {
		defer close(done)
		var question [1024]byte
		for {
			n, from, err := conn.ReadFrom(question[:])
			if err != nil {
				return
			}
			if answer := reply(question[:n]); answer != nil {
				_, _ = conn.WriteTo(answer, from)
			}
		}
	}()
	return conn.LocalAddr().String()
}

// to answers a question (RFC 5905, 7.3).
func (p packet) to(question []byte) []byte {
	answer := make([]byte, 48)
	answer[0], answer[1], answer[2], answer[3] = p.leap<<6|4<<3|4, p.stratum, 6, 0xe9
	copy(answer[12:16], p.reference)
	copy(answer[24:32], question[40:48]) // origin
	now := time.Now().Add(p.ahead)
	const since1900 = 2208988800
	for _, at := range []int{16, 32, 40} { // reference, receive, transmit
		when := now
		if at == 16 {
			when = now.Add(-time.Minute)
		}
		binary.BigEndian.PutUint32(answer[at:], uint32(when.Unix()+since1900))
		binary.BigEndian.PutUint32(answer[at+4:], uint32(uint64(when.Nanosecond())<<32/1e9))
	}
	return answer
}

func TestOffsets(t *testing.T) {
	t.Parallel()
	ahead := func(d time.Duration) string {
		return speaks(t, packet{ahead: d, stratum: 2, reference: "\x0a\x00\x00\x01"}.to)
	}
	right, fast, slow, wrong := ahead(0), ahead(-1500*time.Millisecond), ahead(1500*time.Millisecond), ahead(3*time.Hour)
	kiss := func(code string) string { return speaks(t, packet{stratum: 0, leap: 3, reference: code}.to) }
	rate, deny, odd := kiss("RATE"), kiss("DENY"), speaks(t, packet{stratum: 0, reference: "ABCD"}.to)
	unsynchronised := speaks(t, packet{stratum: 16, reference: "\x00\x00\x00\x00"}.to)
	leap3 := speaks(t, packet{stratum: 3, leap: 3}.to)
	rubbish := speaks(t, func([]byte) []byte { return []byte("HTTP/1.1 400 Bad Request\r\n\r\n") })
	stranger := speaks(t, func(q []byte) []byte { q[40]++; return packet{stratum: 2}.to(q) })
	stale := speaks(t, func(q []byte) []byte {
		answer := packet{stratum: 2}.to(q)
		binary.BigEndian.PutUint32(answer[16:], binary.BigEndian.Uint32(answer[16:])-7*24*3600)
		return answer
	})
	backwards := speaks(t, func(q []byte) []byte {
		answer := packet{stratum: 2}.to(q)
		binary.BigEndian.PutUint32(answer[40:], binary.BigEndian.Uint32(answer[40:])-10)
		return answer
	})
	far := speaks(t, func(q []byte) []byte {
		answer := packet{stratum: 2}.to(q)
		binary.BigEndian.PutUint32(answer[8:], 20<<16) // dispersion
		return answer
	})
	silent := speaks(t, func([]byte) []byte { return nil })

	const late = `( \(no answer within 2s\))?` // the right answer may have been yet to come
	for _, test := range []struct {
		name   string
		check  Check
		status health.Status
		want   string
	}{
		{"right", Check{Servers: []string{right}}, health.Pass, "the clock is (right to [0-9.]+(µs|ms)|RIGHT), by " + right},
		{"fast", Check{Servers: []string{fast}}, health.Warn, "the clock is ABOUT fast, by " + fast + ", more than 500ms"},
		{"slow", Check{Servers: []string{slow}}, health.Warn, "the clock is ABOUT slow, by " + slow + ", more than 500ms"},
		{"slow is allowed", Check{Servers: []string{slow}, WarnOffset: 2 * time.Second}, health.Pass, "the clock is ABOUT slow, by " + slow},
		{"too slow", Check{Servers: []string{slow}, MaxOffset: time.Second}, health.Fail, "the clock is ABOUT slow, by " + slow + ", more than 1s"},
		{"far off", Check{Servers: []string{wrong}}, health.Fail, "the clock is 3h slow, by " + wrong + ", more than 10s"},
		{"one of three is wrong", Check{Servers: []string{right, wrong, right}}, health.Pass, "the clock is .*, by " + right + " of 3 servers"},
		{"one of two is wrong", Check{Servers: []string{wrong, right}}, health.Pass, "the clock is .*, by " + right + " of 2 servers"},
		{"two of three are wrong", Check{Servers: []string{wrong, slow, right}}, health.Warn, "the clock is ABOUT slow, by " + slow + " of 3 servers, more than 500ms"},

		{"asked too often", Check{Servers: []string{rate}}, health.Fail, `the time server sends clients away: it is asked too often \(RATE\): ` + rate},
		{"not served", Check{Servers: []string{deny}}, health.Fail, `the time server sends clients away: it does not serve this client \(DENY\): ` + deny},
		{"sent away", Check{Servers: []string{odd}}, health.Fail, `the time server sends clients away \("ABCD"\): ` + odd},
		{"unsynchronised", Check{Servers: []string{unsynchronised}}, health.Fail, "the time server is not synchronised itself: " + unsynchronised},
		{"leap 3", Check{Servers: []string{leap3}}, health.Fail, "the time server is not synchronised itself: " + leap3},
		{"last set a week ago", Check{Servers: []string{stale}}, health.Fail, `the time server's own clock was last set too long ago: ` + stale},
		{"sent before it was received", Check{Servers: []string{backwards}}, health.Fail, "the time server's answer contradicts itself: " + backwards},
		{"far from its source", Check{Servers: []string{far}}, health.Fail, "the time server is not synchronised itself: " + far},
		{"not NTP", Check{Servers: []string{rubbish}}, health.Fail, "the answer is not that of a time server: " + rubbish + late},
		{"somebody else's answer", Check{Servers: []string{stranger}}, health.Fail, "the answer is not that of a time server: " + stranger + late},
		{"silent", Check{Servers: []string{silent}}, health.Fail, "no answer within 2s: " + silent},
		{"unknown name", Check{Servers: []string{"ntp.invalid"}}, health.Fail, "name does not resolve: ntp.invalid"},
		{"one is silent", Check{Servers: []string{right, silent}}, health.Warn, "no answer within 1.5s: " + silent},
		{"none answers", Check{Servers: []string{silent, deny}}, health.Fail, `no answer within 1.5s: ` + silent + `; the time server sends clients away: it does not serve this client \(DENY\): ` + deny},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			says(t, &test.check, test.status, test.want)
		})
	}
}

// A packet that is lost is asked for again, after half of the time.
func TestLostPacket(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	lossy := speaks(t, func(q []byte) []byte {
		if asked.Add(1) == 1 {
			return nil
		}
		return packet{stratum: 2, reference: "abcd"}.to(q)
	})
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	if output, err := (&Check{Servers: []string{lossy}}).Run(ctx); err != nil || asked.Load() != 2 {
		t.Errorf("%q, %v after %d questions", output, err, asked.Load())
	}
}

// Each step may be cut off, and leaves nothing behind.
func TestCutOff(t *testing.T) {
	silent := speaks(t, func([]byte) []byte { return nil })
	check := &Check{Servers: []string{silent, silent}}
	files, goroutines := openFiles(t), runtime.NumGoroutine()
	for after := range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(after)*time.Millisecond)
		start := time.Now()
		if _, err := check.Run(ctx); err == nil {
			t.Error("a silent server has answered")
		}
		cancel()
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("cut off after %d ms, it took %v", after, took)
		}
	}
	checktest.Eventually(t, "nothing is left", func() bool {
		return openFiles(t) <= files && runtime.NumGoroutine() <= goroutines
	})
}

func TestKernel(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		state  state
		status health.Status
		want   string
	}{
		{"synchronised", state{true, 210 * time.Microsecond, 31 * time.Millisecond}, health.Pass, `the clock is synchronised, and thought to be right to 210µs \(at worst 31ms off\)`},
		{"without an estimate", state{true, 0, 31 * time.Millisecond}, health.Pass, `the clock is synchronised \(at worst 31ms off\)`},
		{"unsure", state{true, 800 * time.Millisecond, 16 * time.Second}, health.Warn, `the clock is synchronised, and thought to be right to 800ms \(at worst 16s off\), more than 500ms`},
		{"unsynchronised", state{false, 16 * time.Second, 16 * time.Second}, health.Warn, `no time service \(chronyd, systemd-timesyncd, ntpd\) keeps the clock right: the kernel calls it unsynchronised`},
	} {
		t.Run(test.name, func(t *testing.T) {
			says(t, &Check{kernel: func() (state, error) { return test.state, nil }}, test.status, test.want)
		})
	}
	says(t, &Check{kernel: func() (state, error) { return state{}, errors.New("no kernel") }}, health.Fail, "no kernel")

	// This machine's own, whatever it says.
	output, err := (&Check{}).Run(t.Context())
	if text := fmt.Sprint(output, err); !strings.Contains(text, "synchronised") {
		t.Errorf("%q, %v", output, err)
	}
	t.Log(output, err)
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		check Check
		want  string
	}{
		{Check{Servers: []string{"pool.ntp.org", "10.0.0.1:123", "fd00::1", "[fd00::1]:1123"}}, ""},
		{Check{}, ""},
		{Check{Servers: []string{"ntp://x"}}, `servers: "ntp://x" is neither host nor host:port`},
		{Check{Servers: []string{""}}, `servers: "" is neither host nor host:port`},
		{Check{WarnOffset: time.Minute}, "warn_offset: 1m0s is more than max_offset (10s): the check would fail before it warns"},
		{Check{MaxOffset: -1}, "max_offset: is negative: write a duration such as 10s"},
	} {
		err := test.check.Validate()
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("error = %v, want %s", err, test.want)
		}
		if _, ok := errors.AsType[*checks.OptionError](err); err != nil && !ok {
			t.Errorf("not an OptionError: %#v", err)
		}
	}
}

// The distance between two times is right to the nanosecond, also across the
// end of the era in 2036.
func TestStamps(t *testing.T) {
	t.Parallel()
	now := time.Date(2036, 2, 7, 6, 28, 15, 999_999_000, time.UTC) // one second before it
	for _, d := range []time.Duration{0, time.Nanosecond, -time.Nanosecond, 1500 * time.Millisecond, -1500 * time.Millisecond, time.Hour, -60 * 365 * 24 * time.Hour} {
		if got := stampOf(now.Add(d)).after(stampOf(now)); (got - d).Abs() > time.Nanosecond {
			t.Errorf("%v after is %v after", d, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(packet{stratum: 2, reference: "abcd"}.to(make([]byte, 48)))
	f.Add(packet{leap: 3, reference: "RATE"}.to(make([]byte, 48)))
	f.Fuzz(func(t *testing.T, sent []byte) {
		r, ok := parse(sent, 0)
		if !ok {
			return
		}
		const trip = time.Second
		text := r.useless(trip)
		if strings.ContainsAny(text, "\n\r\x00\x1b") {
			t.Errorf("%q", text)
		}
		if off := r.offset(time.Now(), trip); text == "" && off.Abs() > 70*365*24*time.Hour {
			t.Errorf("%+v is off by %v", r, off)
		}
	})
}
