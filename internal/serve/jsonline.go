package serve

import (
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// jsonLine builds one JSON object on one line without allocating: the access
// log writes one for each request. Keys are plain words, never escaped.
type jsonLine []byte

func (l *jsonLine) begin(at time.Time) {
	*l = append((*l)[:0], `{"time":"`...)
	*l = at.UTC().AppendFormat(*l, "2006-01-02T15:04:05.000000Z")
	*l = append(*l, '"')
}

func (l *jsonLine) end() []byte {
	*l = append(*l, '}', '\n')
	return *l
}

func (l *jsonLine) key(k string) {
	*l = append(*l, ',', '"')
	*l = append(*l, k...)
	*l = append(*l, '"', ':')
}

// str adds a string; an empty one is left out.
func (l *jsonLine) str(k, v string) {
	if v == "" {
		return
	}
	l.key(k)
	*l = appendJSONString(*l, v)
}

// appendAddress adds what writes itself as plain ASCII: an address, with or without
// port. One that is not valid is left out.
func appendAddress[A interface {
	IsValid() bool
	AppendTo(b []byte) []byte
}](l *jsonLine, k string, a A,
) {
	if !a.IsValid() {
		return
	}
	l.key(k)
	*l = append(a.AppendTo(append(*l, '"')), '"')
}

func (l *jsonLine) int(k string, v int64) {
	l.key(k)
	*l = strconv.AppendInt(*l, v, 10)
}

// ms adds a duration in milliseconds, to the microsecond; 0 is left out.
func (l *jsonLine) ms(k string, d time.Duration) {
	if d == 0 {
		return
	}
	l.key(k)
	*l = strconv.AppendFloat(*l, math.Round(float64(d)/1e3)/1e3, 'f', -1, 64)
}

const hexDigits = "0123456789abcdef"

// appendJSONString appends s quoted after RFC 8259; what is not UTF-8 becomes U+FFFD.
func appendJSONString(b []byte, s string) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r != utf8.RuneError || n > 1 {
				i += n
				continue
			}
		}
		b = append(b, s[from:i]...)
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c >= utf8.RuneSelf:
			b = append(b, `\ufffd`...)
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
		}
		i++
		from = i
	}
	return append(append(b, s[from:]...), '"')
}
