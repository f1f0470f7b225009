package main

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// targets are many addresses of the loopback network that answer health probes,
// and note when each of them was asked. One thread serves them all, so that their
// clock is the same for whoever probes them, and costs as little as it can.
type targets struct {
	addresses []netip.AddrPort
	slow      int // the first so many take a connection and never answer

	epoll, wake int         // file descriptors; wake ends the loop
	target      map[int]int // of a listener
	opened      []int       // listeners
	done        chan struct{}
	err         error // of the loop; to be read once done is closed

	mu    sync.Mutex
	began time.Time
	last  []time.Duration // since began, when each target was asked last; 0: never
	gaps  []time.Duration // between two probes of the same target
	asked int
}

// answer is what a target says to a probe.
const answer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"

// targetAddresses are n addresses of 127.0.0.0/8.
func targetAddresses(n int, port uint16) []netip.AddrPort {
	all := make([]netip.AddrPort, n)
	for i := range all {
		all[i] = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 1, byte(i / 250), byte(i%250 + 1)}), port)
	}
	return all
}

// startTargets listens on all addresses but the last ones, as many as down says:
// connections to these are refused.
func startTargets(addresses []netip.AddrPort, slow, down int, cpus cpuSet) (*targets, error) {
	t := &targets{addresses: addresses, slow: slow, target: make(map[int]int), done: make(chan struct{}), wake: -1, epoll: -1}
	if err := t.listen(addresses[:len(addresses)-down]); err != nil {
		t.close()
		return nil, fmt.Errorf("targets of probes: %w", err)
	}
	t.forget()
	go func() {
		defer close(t.done)
		runtime.LockOSThread() // never unlocked: the thread ends with its goroutine
		var set unix.CPUSet
		for _, cpu := range cpus {
			set.Set(cpu)
		}
		if t.err = unix.SchedSetaffinity(0, &set); t.err == nil {
			t.err = t.serve()
		}
	}()
	return t, nil
}

func (t *targets) listen(addresses []netip.AddrPort) (err error) {
	if t.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	if t.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return err
	}
	if err := t.watch(t.wake); err != nil {
		return err
	}
	for i, address := range addresses {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		t.opened = append(t.opened, fd)
		t.target[fd] = i
		if err := errors.Join(
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
			unix.Bind(fd, &unix.SockaddrInet4{Addr: address.Addr().As4(), Port: int(address.Port())}),
			unix.Listen(fd, 16),
			t.watch(fd),
		); err != nil {
			return fmt.Errorf("%v: %w", address, err)
		}
	}
	return nil
}

func (t *targets) watch(fd int) error {
	return unix.EpollCtl(t.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

// serve answers until stop.
func (t *targets) serve() error {
	events := make([]unix.EpollEvent, 512)
	request := make([]byte, 8<<10)
	conns := make(map[int]int) // to their targets
	defer func() {
		for fd := range conns {
			_ = unix.Close(fd)
		}
	}()
	for {
		n, err := unix.EpollWait(t.epoll, events, -1)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("epoll: %w", err)
		}
		for _, event := range events[:n] {
			fd := int(event.Fd)
			if fd == t.wake {
				return nil
			}
			if target, ok := t.target[fd]; ok {
				conn, _, err := unix.Accept4(fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
				if err != nil {
					continue // reset meanwhile
				}
				t.note(target)
				conns[conn] = target
				if t.reply(conn, target, request) {
					delete(conns, conn)
				} else if err := t.watch(conn); err != nil {
					return err
				}
				continue
			}
			if t.reply(fd, conns[fd], request) {
				delete(conns, fd)
			}
		}
	}
}

// reply answers a connection if its request is there, and tells whether the
// connection is closed. A request comes in one piece, short as it is.
func (t *targets) reply(fd, target int, buffer []byte) (closed bool) {
	n, err := unix.Read(fd, buffer)
	switch {
	case errors.Is(err, unix.EAGAIN):
		return false
	case err == nil && n > 0 && target < t.slow:
		return false
	case err == nil && n > 0:
		_, _ = unix.Write(fd, []byte(answer))
	}
	_ = unix.Close(fd)
	return true
}

// note writes down that a target was asked.
func (t *targets) note(target int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Since(t.began)
	if t.last[target] > 0 {
		t.gaps = append(t.gaps, now-t.last[target])
	}
	t.last[target] = now
	t.asked++
}

// forget begins the notes anew.
func (t *targets) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.began, t.asked = time.Now(), 0
	t.last = make([]time.Duration, len(t.addresses))
	t.gaps = make([]time.Duration, 0, 1<<16)
}

// seen is what was noted since forget.
type seen struct {
	asked  int             // probes
	silent int             // targets that were never asked, those included that are down
	off    []time.Duration // how far from the interval two probes of a target were apart, ascending
}

func (t *targets) seen(interval time.Duration) seen {
	t.mu.Lock()
	s := seen{asked: t.asked, off: slices.Clone(t.gaps)}
	for _, last := range t.last {
		if last == 0 {
			s.silent++
		}
	}
	t.mu.Unlock()
	for i, gap := range s.off {
		s.off[i] = (gap - interval).Abs()
	}
	slices.Sort(s.off)
	return s
}

// quantile is the value that the share q of all ascending values does not exceed.
func quantile(ascending []time.Duration, q float64) time.Duration {
	if len(ascending) == 0 {
		return 0
	}
	return ascending[max(int(math.Ceil(q*float64(len(ascending))))-1, 0)]
}

// stop ends the serving, and returns why it had ended before, if it had.
func (t *targets) stop() error {
	_, _ = unix.Write(t.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	<-t.done
	t.close()
	return t.err
}

func (t *targets) close() {
	for _, fd := range append(t.opened, t.wake, t.epoll) {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}
