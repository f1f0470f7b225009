package listen_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hale/internal/listen"
	"hale/internal/probe"
)

var update = flag.Bool("update", false, "write what was told into testdata/visits")

// TestVisits plays each file of testdata/visits: what a client sends and, below
// the line of dashes, what is told of it. Lines that begin with "-- " are
// directions:
//
//	-- from ADDR      comes from this address
//	-- to ADDR        the server's own address
//	-- raw            shows all bytes
//	-- delay TIME     the server holds its answers back
//	-- wait TIME      the client waits
//	-- reconnect      the client closes, and connects anew
//	-- reset          the client cuts the connection
//	-- stay           the client stays when all is said
//
// The rest is sent, with Go's escapes, and without the ends of the lines.
func TestVisits(t *testing.T) {
	files, err := filepath.Glob("testdata/visits/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			script, want, _ := strings.Cut(string(content), "----------\n")
			var got string
			synctest.Test(t, func(t *testing.T) { got = play(t, script) })
			checkPrintable(t, got)
			if *update {
				if err := os.WriteFile(file, []byte(script+"----------\n"+got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("told:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// play plays a script, and returns what was told.
func play(t *testing.T, script string) string {
	t.Helper()
	var (
		out      bytes.Buffer
		text     = &listen.Text{Out: &out}
		server   = listen.Server{Probers: probe.Probers(), Answer: listen.Answer{Body: "ok\n"}}
		from, to = node, target
		steps    []func(*site, **client)
		stay     bool
	)
	duration := func(s string) time.Duration {
		d, err := time.ParseDuration(s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(script, "\n"), "\n") {
		direction, ok := strings.CutPrefix(line, "-- ")
		if !ok {
			bytes, err := strconv.Unquote(`"` + strings.ReplaceAll(line, `"`, `\"`) + `"`)
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			steps = append(steps, func(_ *site, c **client) { (*c).send(bytes) })
			continue
		}
		name, value, _ := strings.Cut(direction, " ")
		switch name {
		case "from":
			from = value
		case "to":
			to = value
		case "raw":
			text.Raw = true
		case "delay":
			server.Answer.Delay = duration(value)
		case "wait":
			steps = append(steps, func(*site, **client) { time.Sleep(duration(value)) })
		case "reconnect":
			steps = append(steps, func(s *site, c **client) {
				synctest.Wait()
				(*c).Close()
				synctest.Wait()
				*c = s.dial(from)
			})
		case "reset":
			steps = append(steps, func(_ *site, c **client) {
				synctest.Wait()
				(*c).reset()
			})
		case "stay":
			stay = true
		default:
			t.Fatalf("no such direction: %s", line)
		}
	}
	s := start(t, server, to, text)
	c := s.dial(from)
	for _, step := range steps {
		step(s, &c)
	}
	if stay {
		<-c.heard
	} else {
		synctest.Wait()
		c.Close()
		time.Sleep(time.Second)
	}
	synctest.Wait()
	s.end()
	return clock.ReplaceAllString(out.String(), "TIME")
}

var clock = regexp.MustCompile(`\d\d:\d\d:\d\d\.\d\d\d`)

// checkPrintable fails unless a text is safe for any terminal.
func checkPrintable(t *testing.T, text string) {
	t.Helper()
	for i := range len(text) {
		if b := text[i]; b != '\n' && (b < ' ' || b > '~') {
			t.Fatalf("byte %#x reaches the terminal: %q", b, text[max(0, i-40):i+1])
		}
	}
}

// On a terminal lines are wrapped to its width, and labels have colours.
func TestTextOnATerminal(t *testing.T) {
	var out bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		s := start(t, listen.Server{Probers: probe.Probers()}, target, &listen.Text{Out: &out, Colour: true, Width: 60})
		ask(t, s, "GET / HTTP/1.1\r\nHost: \x1b[31m\r\nUser-Agent: x\r\nAccept: */*\r\nConnection: close\r\n\r\n")
		s.end()
	})
	const want = "\x1b[1m#1\x1b[0m  TIME  10.0.2.17:41234\n" + `    GET / HTTP/1.1
    Host: \x1b[31m
    User-Agent: x
    Accept: */*
    Connection: close
  looks like   no prober that hale knows
` + "  \x1b[33mmay stumble\x1b[0m" + `  a control character in the header: strict
               servers answer 400
               no X-Forwarded-Proto: an app that sends users
               to https answers 301 (SECURE_SSL_REDIRECT,
               force_ssl, RewriteCond)
  answer       200; closes the connection

`
	if got := clock.ReplaceAllString(out.String(), "TIME"); got != want {
		t.Errorf("told:\n%q\nwant:\n%q", got, want)
	}
}
