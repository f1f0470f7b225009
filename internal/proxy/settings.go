package proxy

import (
	"cmp"
	"time"

	"hale/internal/proxy/guard"
)

// Settings are the engine's limits and time-outs. A zero field means its
// default; a negative one, where the comment says so, none.
type Settings struct {
	// Towards clients.
	HeaderSize    int           // of a request's head, in bytes: 64 KiB; more is 431
	TargetSize    int           // of the request line, in bytes: 16 KiB; more is 414
	FieldSize     int           // of one header field's line, in bytes: as the HeaderSize; more is 431
	BodySize      int64         // of a forwarded request's body, in bytes: 1 GiB; more is 413; negative: no limit
	HeaderTimeout time.Duration // from a head's first byte to its last: 10 s; then 408
	BodyTimeout   time.Duration // between two reads of a body, and two writes of an answer: 60 s
	IdleTimeout   time.Duration // between two requests: 75 s, longer than the load balancer's 60 s; of HTTP/2, see NewServer
	ConnAge       time.Duration // how old a connection grows before an answer is its last: no limit
	TunnelTimeout time.Duration // without a byte of an upgraded connection in either direction: no limit
	Streams       int           // requests at once on one HTTP/2 connection: 128; as they are in NewServer
	Underscores   bool          // fields of requests whose names have an underscore go on, but for those that look like one that the policy sets, removes or owns
	NoHTTP2       bool          // TLS offers HTTP/1.1 alone, to the connections to come

	// Towards upstreams.
	ConnectTimeout     time.Duration // 5 s; then 504
	TLSTimeout         time.Duration // for the handshake: 10 s; then 502
	ResponseTimeout    time.Duration // from the request's last byte to the answer's head: 60 s; then 504
	StreamTimeout      time.Duration // between two reads of an answer's body, or two writes of a request's: 60 s; not for event streams and upgrades
	ContinueTimeout    time.Duration // how long to wait for "100 Continue" before sending the body all the same: 1 s
	ResponseHeaderSize int           // of an answer's head, in bytes: 64 KiB; more is 502
	IdleConns          int           // kept per upstream: 128; negative: none
	IdleConnTimeout    time.Duration // how long one is kept: 60 s

	// RepeatBody is up to what length, in bytes, a request's body is read before
	// the request is sent on: 8 KiB. It then goes out with the head, in one write,
	// and can be sent again.
	RepeatBody int64

	// SpoolDir holds the bodies of unknown length for uwsgi upstreams that do
	// not fit SpoolMemory bytes (64 KiB), as files without a name. Empty means
	// the system's directory for temporary files.
	SpoolDir    string
	SpoolMemory int
}

func (s Settings) withDefaults() *Settings {
	s.HeaderSize = cmp.Or(s.HeaderSize, 64<<10)
	s.TargetSize = cmp.Or(s.TargetSize, 16<<10)
	s.BodySize = cmp.Or(s.BodySize, 1<<30)
	s.FieldSize = cmp.Or(s.FieldSize, s.HeaderSize)
	s.Streams = cmp.Or(s.Streams, 128)
	s.TLSTimeout = cmp.Or(s.TLSTimeout, 10*time.Second)
	s.RepeatBody = cmp.Or(s.RepeatBody, 8<<10)
	s.HeaderTimeout = cmp.Or(s.HeaderTimeout, 10*time.Second)
	s.BodyTimeout = cmp.Or(s.BodyTimeout, 60*time.Second)
	s.IdleTimeout = cmp.Or(s.IdleTimeout, 75*time.Second)
	s.ConnectTimeout = cmp.Or(s.ConnectTimeout, 5*time.Second)
	s.ResponseTimeout = cmp.Or(s.ResponseTimeout, 60*time.Second)
	s.StreamTimeout = cmp.Or(s.StreamTimeout, 60*time.Second)
	s.ContinueTimeout = cmp.Or(s.ContinueTimeout, time.Second)
	s.ResponseHeaderSize = cmp.Or(s.ResponseHeaderSize, 64<<10)
	s.IdleConns = cmp.Or(s.IdleConns, 128)
	s.IdleConnTimeout = cmp.Or(s.IdleConnTimeout, 60*time.Second)
	s.SpoolMemory = cmp.Or(s.SpoolMemory, 64<<10)
	return &s
}

func (s *Settings) guard() guard.Limits {
	return guard.Limits{HeadSize: s.HeaderSize, LineSize: s.TargetSize, FieldSize: s.FieldSize}
}
