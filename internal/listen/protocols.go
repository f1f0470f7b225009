package listen

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// protocols are what else may come to a port, by how it begins. Contains, if it
// is set, must be somewhere within.
var protocols = []struct{ begins, contains, name string }{
	{"*1\r\n$4\r\n", "", "a command of Redis (RESP), as HAProxy's redis-check sends it"},
	{"*", "\r\n$", "a command of Redis (RESP)"},
	{"PING\r\n", "", "a command of Redis (inline)"},
	{"EHLO ", "", "SMTP"},
	{"HELO ", "", "SMTP, as HAProxy's smtpchk sends it"},
	{"SSH-", "", "SSH"},
	{"\x00\x00\x00\x08\x04\xd2\x16\x2f", "", "PostgreSQL: it asks for TLS"},
	{"\x00\x00", "user\x00", "PostgreSQL: a login, as HAProxy's pgsql-check sends it"},
	{"", "\x00\x00\x01\x00\x82\x00\x00\x00\x80\x00\x01", "MySQL: a login, as HAProxy's mysql-check sends it"},
	{"\x00", "REQUEST_METHOD", "the uwsgi protocol: nginx with uwsgi_pass, where the app is to speak HTTP (then: proxy_pass)"},
	{"\x01\x01\x00", "", "FastCGI: a web server with fastcgi_pass, where the app is to speak HTTP"},
	{"\x12\x34", "", "AJP: a web server with proxy_ajp, where the app is to speak HTTP"},
	{"\x80", "", "an SSL 2 hello"},
	{"AMQP", "", "AMQP"},
	{"\x10", "MQTT", "MQTT"},
	{"\x05", "", "SOCKS 5"},
	{"\x04\x01", "", "SOCKS 4"},
	{"\x03\x00", "", "Remote Desktop"},
	{"OPTIONS ", " RTSP/", "RTSP"},
	{"OPTIONS ", " SIP/", "SIP"},
	{"version\r\n", "", "a command of memcached"},
	{"stats\r\n", "", "a command of memcached"},
}

// protocolOf names what begins with b, which is not HTTP.
func protocolOf(b []byte) string {
	for _, p := range protocols {
		if strings.HasPrefix(string(b), p.begins) && bytes.Contains(b, []byte(p.contains)) {
			return p.name
		}
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	if bytes.ContainsFunc(line, func(r rune) bool { return isControl(r) || r == utf8.RuneError }) {
		return "bytes of no protocol that is known"
	}
	return "a line that is no request line of HTTP"
}
