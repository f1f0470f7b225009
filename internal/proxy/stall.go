package proxy

import "time"

// stall strikes when a read or a write of a client's stream over HTTP/2 takes too
// long. net/http's deadlines for these would end the stream between two as well,
// where nobody waits for the client.
type stall struct {
	timeout time.Duration
	timer   *time.Timer
	struck  chan struct{}
}

// newStall returns a stall; strike has to make what is under way return.
func newStall(timeout time.Duration, strike func()) *stall {
	s := &stall{timeout: timeout, struck: make(chan struct{}, 1)}
	s.timer = time.AfterFunc(timeout+time.Hour, func() {
		strike()
		s.struck <- struct{}{}
	})
	s.timer.Stop()
	return s
}

// begin is called before a read or a write, end after it.
func (s *stall) begin() { s.timer.Reset(s.timeout) }

func (s *stall) end() {
	if !s.timer.Stop() {
		<-s.struck
	}
}
