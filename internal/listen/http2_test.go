package listen_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"hale/internal/listen"
	"hale/internal/probe"
)

// h2 is what a client of HTTP/2 sends after its preface: its settings, and a GET
// of / with a header of names and values.
func h2(authority string, header ...string) string {
	var b bytes.Buffer
	f := http2.NewFramer(&b, nil)
	_ = f.WriteSettings()
	_ = f.WriteHeaders(http2.HeadersFrameParam{
		StreamID: 1, EndHeaders: true, EndStream: true,
		BlockFragment: block(append([]string{":method", "GET", ":scheme", "http", ":path", "/", ":authority", authority}, header...)...),
	})
	return b.String()
}

func block(header ...string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for i := 0; i < len(header); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: header[i], Value: header[i+1]})
	}
	return b.Bytes()
}

// frames is an HTTP/2 client by hand.
type frames struct {
	t *testing.T
	c *client
	*http2.Framer
}

// speak connects, and says the preface and settings.
func speak(t *testing.T, s *site, settings ...http2.Setting) *frames {
	t.Helper()
	c := s.dial(node)
	t.Cleanup(func() { c.Close() })
	c.send(http2.ClientPreface)
	f := &frames{t, c, http2.NewFramer(c.Conn, nil)}
	if err := f.WriteSettings(settings...); err != nil {
		t.Fatal(err)
	}
	return f
}

// call begins a gRPC call.
func (f *frames) call(stream uint32, method string) {
	f.t.Helper()
	err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, EndHeaders: true, BlockFragment: block(
		":method", "POST", ":scheme", "http", ":path", method, ":authority", "10.0.1.23:8080",
		"content-type", "application/grpc", "user-agent", "ELB-HealthChecker/2.0", "te", "trailers")})
	if err == nil {
		err = f.WriteData(stream, true, []byte{0, 0, 0, 0, 0})
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

// answers returns the frames that came, each as a line.
func (f *frames) answers() []string {
	f.t.Helper()
	synctest.Wait()
	in := http2.NewFramer(nil, strings.NewReader(f.c.got()))
	in.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	var lines []string
	for {
		frame, err := in.ReadFrame()
		if err != nil {
			return lines
		}
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			var fields []string
			for _, field := range frame.Fields {
				fields = append(fields, field.Name+"="+field.Value)
			}
			lines = append(lines, "headers "+strings.Join(fields, " "))
		case *http2.DataFrame:
			lines = append(lines, "data "+string(frame.Data()))
		case *http2.GoAwayFrame:
			lines = append(lines, "goaway "+frame.ErrCode.String())
		case *http2.RSTStreamFrame:
			lines = append(lines, "rst "+frame.ErrCode.String())
		case *http2.PingFrame:
			lines = append(lines, "ping")
		}
	}
}

func TestGRPC(t *testing.T) {
	const health, alb = "/grpc.health.v1.Health/Check", "/AWS.ALB/healthcheck"
	serving, notServing := "data \x00\x00\x00\x00\x02\x08\x01", "data \x00\x00\x00\x00\x02\x08\x02"
	for name, test := range map[string]struct {
		answer listen.Answer
		method string
		want   []string
	}{
		"the health service":                   {listen.Answer{}, health, []string{serving, "headers grpc-status=0"}},
		"the health service, unwell":           {listen.Answer{Status: 503}, health, []string{notServing, "headers grpc-status=0"}},
		"what a server without it answers":     {listen.Answer{}, alb, []string{"headers grpc-status=12"}},
		"what a server that is down answers":   {listen.Answer{Status: 503}, alb, []string{"headers grpc-status=14"}},
		"a status of one's own":                {listen.Answer{GRPC: new(0)}, alb, []string{"headers grpc-status=0"}},
		"a status of one's own, for health":    {listen.Answer{GRPC: new(5)}, health, []string{"headers grpc-status=5"}},
		"a body is not for gRPC":               {listen.Answer{Body: "ok\n"}, alb, []string{"headers grpc-status=12"}},
		"header of one's own, save its type":   {listen.Answer{Header: []probe.Field{{Name: "Content-Type", Value: "text/html"}}}, alb, []string{"headers grpc-status=12"}},
		"a connection's field is not HTTP/2's": {listen.Answer{Header: []probe.Field{{Name: "Connection", Value: "close"}}}, alb, []string{"headers grpc-status=12"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				told := &notes{}
				s := start(t, listen.Server{Answer: test.answer, Probers: probe.Probers()}, target, told)
				f := speak(t, s)
				f.call(1, test.method)
				want := append([]string{"headers :status=200 content-type=application/grpc"}, test.want...)
				if got := f.answers(); !slices.Equal(got, want) {
					t.Errorf("answered %q, want %q", got, want)
				}
				visits, _ := told.all()
				if len(visits) != 1 || len(visits[0].Looks) == 0 || visits[0].Looks[0].Prober.Name != "alb-grpc" {
					t.Errorf("told %+v, want one visit that looks like alb-grpc", visits)
				}
			})
		})
	}
}

func TestHTTP2KeepsToTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, listen.Server{Answer: listen.Answer{Body: "0123456789"}}, target, &notes{})
		f := speak(t, s, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 4})
		f.c.send(h2("a.example")[9:]) // its settings have been sent
		head := "headers :status=200 content-type=text/plain; charset=utf-8 content-length=10"
		if got, want := f.answers(), []string{head, "data 0123"}; !slices.Equal(got, want) {
			t.Fatalf("answered %q, want %q", got, want)
		}
		if err := f.WriteWindowUpdate(1, 3); err != nil {
			t.Fatal(err)
		}
		if got, want := f.answers(), []string{head, "data 0123", "data 456"}; !slices.Equal(got, want) {
			t.Fatalf("answered %q, want %q", got, want)
		}
		if err := f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 100}); err != nil {
			t.Fatal(err)
		}
		if got, want := f.answers(), []string{head, "data 0123", "data 456", "data 789"}; !slices.Equal(got, want) {
			t.Fatalf("answered %q, want %q", got, want)
		}
	})
}

func TestHTTP2Conversation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := &notes{}
		s := start(t, listen.Server{Answer: listen.Answer{Delay: 10 * time.Second}, Patience: time.Minute}, target, told)
		f := speak(t, s)
		f.call(1, "/a.B/C")
		f.call(3, "/a.B/C")
		if err := f.WritePing(false, [8]byte{1}); err != nil {
			t.Fatal(err)
		}
		if got, want := f.answers(), []string{"ping"}; !slices.Equal(got, want) {
			t.Fatalf("answered %q before the delay was over, want %q", got, want)
		}
		time.Sleep(4 * time.Second)
		if err := f.WriteRSTStream(3, http2.ErrCodeCancel); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if _, left := told.all(); len(left) != 1 || left[0].Answered || left[0].Visit != 2 || left[0].After != 4*time.Second {
			t.Errorf("told %+v, want that the second call was cancelled after 4 s", left)
		}
		time.Sleep(6 * time.Second)
		head, trailer := "headers :status=200 content-type=application/grpc", "headers grpc-status=12"
		if got, want := f.answers(), []string{"ping", head, trailer}; !slices.Equal(got, want) {
			t.Fatalf("answered %q, want %q", got, want)
		}
		<-f.c.heard // patience is over
		if got := f.answers(); got[len(got)-1] != "goaway NO_ERROR" {
			t.Errorf("answered %q, want goaway at the end", got)
		}
	})
}

// A call that is cancelled leaves nothing behind: neither its answer, which would
// hold the connection for the delay, nor a debt, which would hold the server.
func TestHTTP2CancelledIsForgotten(t *testing.T) {
	for name, test := range map[string]struct {
		count int
		takes time.Duration
	}{
		"an idle connection":         {0, time.Minute},
		"the last visit that counts": {1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t, listen.Server{Answer: listen.Answer{Delay: time.Hour}, Patience: time.Minute, Count: test.count}, target, &notes{})
				f := speak(t, s)
				f.call(1, "/a.B/C")
				synctest.Wait()
				begun := time.Now()
				if err := f.WriteRSTStream(1, http2.ErrCodeCancel); err != nil {
					t.Fatal(err)
				}
				<-f.c.heard
				if took := time.Since(begun); took < test.takes || took > test.takes+10*time.Second {
					t.Errorf("the connection ended after %v, want %v", took, test.takes)
				}
				if got := f.answers(); !slices.Contains(got, "goaway NO_ERROR") {
					t.Errorf("answered %q, want goaway", got)
				}
			})
		})
	}
}

// What breaks the rules of HTTP/2 is answered as they say.
func TestHTTP2Rules(t *testing.T) {
	for name, test := range map[string]struct {
		offend func(f *frames) error
		want   string
	}{
		"an even stream": {func(f *frames) error {
			return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 2, EndHeaders: true, EndStream: true, BlockFragment: block(":method", "GET", ":scheme", "http", ":path", "/")})
		}, "goaway PROTOCOL_ERROR"},
		"data without a request": {func(f *frames) error { return f.WriteData(7, true, []byte("x")) }, "goaway PROTOCOL_ERROR"},
		"a window of more than all": {func(f *frames) error {
			_ = f.WriteWindowUpdate(0, 1<<31-1)
			return f.WriteWindowUpdate(0, 1<<31-1)
		}, "goaway FLOW_CONTROL_ERROR"},
		"a frame that is too large": {func(f *frames) error {
			return f.WriteRawFrame(http2.FrameData, 0, 1, make([]byte, 20<<10))
		}, "goaway FRAME_SIZE_ERROR"},
		"more requests than may wait": {func(f *frames) error {
			for id := uint32(1); id <= 65; id += 2 {
				_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndHeaders: true, BlockFragment: block(":method", "GET", ":scheme", "http", ":path", "/")})
			}
			return nil
		}, "rst REFUSED_STREAM"},
		"a body without an end": {func(f *frames) error {
			err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, BlockFragment: block(":method", "POST", ":scheme", "http", ":path", "/")})
			for range 80 {
				_ = f.WriteData(1, false, make([]byte, 16<<10))
			}
			return err
		}, "rst ENHANCE_YOUR_CALM"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t, listen.Server{}, target, &notes{})
				f := speak(t, s)
				go func() { _ = test.offend(f) }()
				if got := f.answers(); !slices.Contains(got, test.want) {
					t.Errorf("answered %q, want %q", got, test.want)
				}
			})
		})
	}
}
