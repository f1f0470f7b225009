package sites

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// imitate answers every request on an address of Private with the bytes that
// answer returns, as a program would that is not to be had here.
func imitate(t testing.TB, answer func(*http.Request) string) Site {
	t.Helper()
	address := private(t)
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	open := make(map[net.Conn]bool)
	var serving sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for conn := range open {
			conn.Close()
		}
		mu.Unlock()
		serving.Wait()
	})
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // closed
			}
			mu.Lock()
			open[conn] = true
			mu.Unlock()
			serving.Go(func() {
				defer conn.Close()
				for in := bufio.NewReader(conn); ; {
					req, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					if _, err := conn.Write([]byte(answer(req))); err != nil || req.Close {
						return
					}
				}
			})
		}
	})
	return site(address)
}

// message makes an answer with a body: the first lines of its head are given,
// the length is added.
func message(head, body string) string {
	return fmt.Sprintf("HTTP/1.1 %s\r\ncontent-length: %d\r\ndate: %s\r\n\r\n%s",
		strings.ReplaceAll(head, "\n", "\r\n"), len(body), time.Now().UTC().Format(http.TimeFormat), body)
}

// behindEnvoy is what the app says through Envoy.
func behindEnvoy(r *http.Request) string {
	const served = "server: envoy\nx-envoy-upstream-service-time: 1\ncontent-type: text/plain"
	switch r.URL.Path {
	case "/health":
		return message("200 OK\n"+served, "healthy\n")
	case "/":
		return message("200 OK\n"+served, "welcome\n")
	default:
		return message("404 Not Found\n"+served, "404 page not found\n")
	}
}

// httpSys is an answer of Windows's HTTP.sys, which has no site or no worker
// process for a request.
func httpSys(status, title, text string) string {
	return message(status+"\nContent-Type: text/html; charset=us-ascii\nServer: Microsoft-HTTPAPI/2.0", strings.ReplaceAll(
		`<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01//EN""http://www.w3.org/TR/html4/strict.dtd">
<HTML><HEAD><TITLE>`+strings.TrimPrefix(status, status[:4])+`</TITLE>
<META HTTP-EQUIV="Content-Type" Content="text/html; charset=us-ascii"></HEAD>
<BODY><h2>`+title+`</h2>
<hr><p>HTTP Error `+status[:3]+`. `+text+`</p>
</BODY></HTML>
`, "\n", "\r\n"))
}

// behindIIS is what the app says through IIS.
func behindIIS(r *http.Request) string {
	const served = "Server: Microsoft-IIS/10.0\nX-Powered-By: ASP.NET\nContent-Type: text/plain"
	switch r.URL.Path {
	case "/health":
		return message("200 OK\n"+served, "healthy\n")
	case "/":
		return message("200 OK\n"+served, "welcome\n")
	default:
		return message("404 Not Found\n"+served, "The resource you are looking for has been removed.\n")
	}
}

// forDomain answers for the site's name alone.
func forDomain(app func(*http.Request) string, otherwise string) func(*http.Request) string {
	return func(r *http.Request) string {
		if name, _, _ := strings.Cut(r.Host, ":"); name == Domain {
			return app(r)
		}
		return otherwise
	}
}

func always(answer string) func(*http.Request) string {
	return func(*http.Request) string { return answer }
}

// imitatedSites are sites of programs that Debian does not have.
func imitatedSites() []Case {
	const envoy, iis = "envoy-no-upstream", "iis-app-pool-or-binding"
	imitation := func(name, row string, answer func(*http.Request) string) Case {
		return Case{
			Name: name, Row: row, Findings: []string{row}, Imitated: true,
			Start: func(t testing.TB) Site { return imitate(t, answer) },
		}
	}
	return []Case{
		imitation("envoy-no-healthy-upstream", envoy, always(message("503 Service Unavailable\nserver: envoy\ncontent-type: text/plain", "no healthy upstream"))),
		imitation("envoy-connect-error", envoy, always(message("503 Service Unavailable\nserver: envoy\ncontent-type: text/plain",
			"upstream connect error or disconnect/reset before headers. reset reason: connection failure"))),
		imitation("envoy-no-route", envoy, forDomain(behindEnvoy, message("404 Not Found\nserver: envoy", ""))),
		imitation("iis-no-binding", iis, forDomain(behindIIS, httpSys("400 Bad Request", "Bad Request - Invalid Hostname", "The request hostname is invalid."))),
		imitation("iis-no-site", iis, forDomain(behindIIS, httpSys("404 Not Found", "Not Found", "The requested resource is not found."))),
		imitation("iis-pool-stopped", iis, always(httpSys("503 Service Unavailable", "Service Unavailable", "The service is unavailable."))),
	}
}
