package resp_test

import (
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"hale/checks/internal/resp"
)

func TestAppend(t *testing.T) {
	t.Parallel()
	got := string(resp.Append(nil, "SET", "key", "a\r\nb", ""))
	if want := "*4\r\n$3\r\nSET\r\n$3\r\nkey\r\n$4\r\na\r\nb\r\n$0\r\n\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestReply(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, in string
		want     any
		err      error // nil: want is the reply
	}{
		{"simple string", "+PONG\r\n", "PONG", nil},
		{"error", "-NOAUTH Authentication required.\r\n", resp.Error("NOAUTH Authentication required."), nil},
		{"integer", ":-12\r\n", int64(-12), nil},
		{"bulk string", "$4\r\na\r\nb\r\n", "a\r\nb", nil},
		{"empty bulk string", "$0\r\n\r\n", "", nil},
		{"null", "$-1\r\n", nil, nil},
		{"null array", "*-1\r\n", nil, nil},
		{"array", "*3\r\n:1\r\n$1\r\nx\r\n*1\r\n+y\r\n", []any{int64(1), "x", []any{"y"}}, nil},
		{"long line", "+" + strings.Repeat("x", 6000) + "\r\n", strings.Repeat("x", 6000), nil},

		{"nothing", "", nil, io.EOF},
		{"cut in a line", "+PO", nil, io.ErrUnexpectedEOF},
		{"cut in a bulk string", "$4\r\na", nil, io.ErrUnexpectedEOF},
		{"cut in an array", "*2\r\n:1\r\n", nil, io.ErrUnexpectedEOF},
		{"line without end", "+" + strings.Repeat("x", 10_000), nil, resp.ErrTooLong},
		{"more announced than may be read", "$9000\r\nx", nil, resp.ErrTooLong},
		{"absurd length", "$9223372036854775807\r\n", nil, resp.ErrTooLong},
		{"absurd array", "*9223372036854775807\r\n", nil, resp.ErrTooLong},
		{"arrays without bottom", strings.Repeat("*1\r\n", 1000), nil, resp.ErrTooLong},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, in := range []io.Reader{strings.NewReader(test.in), iotest.OneByteReader(strings.NewReader(test.in))} {
				got, err := resp.NewReader(in, 8<<10).Reply()
				if !errors.Is(err, test.err) || !reflect.DeepEqual(got, test.want) {
					t.Errorf("got %#v, %v; want %#v, %v", got, err, test.want, test.err)
				}
			}
		})
	}
}

func TestReplyOfAStranger(t *testing.T) {
	t.Parallel()
	for in, line := range map[string]string{
		"HTTP/1.1 400 Bad Request\r\n": "HTTP/1.1 400 Bad Request\r\n",
		"+PONG\n":                      "PONG\n",
		":twelve\r\n":                  ":twelve",
		"$2\r\nabcd":                   "abcd",
		"$99999999999999999999\r\n":    "$99999999999999999999",
		"\x15\x03\x01\x00\x02":         "\x15\x03\x01\x00\x02",
	} {
		_, err := resp.NewReader(strings.NewReader(in), 8<<10).Reply()
		if stranger, ok := errors.AsType[*resp.StrangerError](err); !ok || stranger.Line != line {
			t.Errorf("%q: error = %#v, want one of %q", in, err, line)
		}
	}
}

func FuzzReply(f *testing.F) {
	for _, seed := range []string{"+OK\r\n", "-ERR x\r\n", ":1\r\n", "$3\r\nabc\r\n", "*2\r\n$1\r\na\r\n*0\r\n", "$-1\r\n", "*99999999\r\n", "\x15\x03"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		const limit = 4096
		reader := resp.NewReader(strings.NewReader(string(in)), limit)
		for range len(in) + 1 {
			if _, err := reader.Reply(); err != nil {
				return
			}
		}
		t.Error("more replies than bytes")
	})
}
