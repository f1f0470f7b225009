package clock

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"hale/internal/explain"
)

// reply is what is used of a packet of NTP (RFC 5905, 7.3).
type reply struct {
	leap, stratum uint8
	code          string        // reference id: of stratum 0, a "kiss code"
	distance      time.Duration // to the server's own source: how exact it may be
	age           time.Duration // since the server's clock was last set
	received      stamp
	sent          stamp
}

// stamp is a time in seconds since 1900, in units of 2^-32 s. It wraps round in
// 2036, so that only the distance between two means something.
type stamp uint64

const since1900 = 2208988800 // seconds from there to 1970

func stampOf(t time.Time) stamp {
	return stamp(uint64(t.Unix()+since1900)<<32 | uint64(t.Nanosecond())<<32/1e9) //nolint:gosec // wraps round on purpose
}

// after is the time from another stamp to this one, within 68 years either way.
func (s stamp) after(other stamp) time.Duration {
	d := int64(s - other) //nolint:gosec // wraps round on purpose
	nanos := (d & 0xffffffff) * 1e9 >> 32
	return time.Duration(d>>32)*time.Second + time.Duration(nanos)
}

const (
	packetSize = 48
	client     = 4<<3 | 3 // version 4, mode of a client
	modeServer = 4
)

// parse reads a server's answer to a question, which bore a number in place of
// its time; ok is false if it is not that.
func parse(packet []byte, number uint64) (r reply, ok bool) {
	if len(packet) < packetSize || packet[0]&7 != modeServer || binary.BigEndian.Uint64(packet[24:]) != number {
		return reply{}, false
	}
	short := func(at int) time.Duration { // 16 bits of seconds, 16 of their parts
		return time.Duration(binary.BigEndian.Uint32(packet[at:])) * time.Second >> 16
	}
	full := func(at int) stamp { return stamp(binary.BigEndian.Uint64(packet[at:])) }
	return reply{
		leap: packet[0] >> 6, stratum: packet[1],
		code:     string(packet[12:16]),
		distance: short(4)/2 + short(8),
		age:      full(40).after(full(16)),
		received: full(32), sent: full(40),
	}, true
}

// exchange sends one question, and waits for the answer to it. Times are those
// of this machine.
func exchange(ctx context.Context, server string) (r reply, asked time.Time, trip time.Duration, err error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "udp", server)
	if err != nil {
		return r, asked, 0, err
	}
	defer conn.Close()
	// The context ends waiting, whether by its deadline or by being cancelled.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	// A random number in place of the time: an answer that bears it is to this
	// question, and nobody learns how wrong the clock is.
	question := make([]byte, packetSize)
	question[0] = client
	_, _ = rand.Read(question[40:]) // never fails
	number := binary.BigEndian.Uint64(question[40:])

	asked = time.Now()
	if _, err := conn.Write(question); err != nil {
		return r, asked, 0, err
	}
	buf := make([]byte, 1024)
	strangers := 0
	for {
		n, err := conn.Read(buf)
		trip = time.Since(asked) // by a clock that nobody sets
		switch {
		case err != nil && strangers > 0 && explain.IsTimeout(err):
			return r, asked, trip, errNotNTP
		case err != nil && ctx.Err() != nil:
			return r, asked, trip, ctx.Err()
		case err != nil:
			return r, asked, trip, err
		}
		r, ok := parse(buf[:n], number)
		if ok {
			return r, asked, trip, nil
		}
		strangers++ // anybody can send a packet: the answer may be yet to come
	}
}

var errNotNTP = errors.New("not an answer of NTP")

// offset is what would have to be added to this machine's clock (RFC 5905, 8).
func (r reply) offset(asked time.Time, trip time.Duration) time.Duration {
	return r.received.after(stampOf(asked))/2 + r.sent.after(stampOf(asked.Add(trip)))/2
}

// What makes an answer useless (RFC 5905, 7.3 and appendix A.5.1.1).
const (
	leapUnknown = 3
	maxStratum  = 16
	maxDistance = 16 * time.Second
	maxClockAge = (1 << 17) * time.Second // a day and a half
)

// kisses are the codes with which a server sends clients away (RFC 5905, 7.4).
var kisses = map[string]string{
	"RATE": "it is asked too often",
	"DENY": "it does not serve this client",
	"RSTR": "it does not serve this client",
	"INIT": "it has only just started",
	"STEP": "it is setting its own clock",
}

// useless says why an answer is not to be believed; empty if it is.
func (r reply) useless(trip time.Duration) string {
	// A server without a time of its own may leave the stratum at 0, which would
	// be the mark of a kiss of death, but has no code then.
	why := kisses[r.code]
	held := r.sent.after(r.received) // by the server
	switch {
	case r.stratum == 0 && why != "":
		return fmt.Sprintf("the time server sends clients away: %s (%s)", why, r.code)
	case r.leap == leapUnknown || r.stratum >= maxStratum || r.distance >= maxDistance:
		return "the time server is not synchronised itself"
	case r.stratum == 0:
		return fmt.Sprintf("the time server sends clients away (%s)", explain.Line(fmt.Sprintf("%q", r.code)))
	case r.age > maxClockAge:
		return "the time server's own clock was last set too long ago"
	// The two clocks may run at different speeds, but not that different.
	case r.sent == 0 || r.age < 0 || held < 0 || held > trip+trip/2+time.Millisecond:
		return "the time server's answer contradicts itself"
	default:
		return ""
	}
}
