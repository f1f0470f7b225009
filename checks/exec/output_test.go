package exec

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// Lines of real plugins, and of others.
func TestSummary(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, stdout, want string }{
		{"check_load", "LOAD OK - total load average: 4.13, 4.38, 3.50|load1=4.130;1000.000;2000.000;0; load5=4.380;1000.000;2000.000;0; \n", "LOAD OK - total load average: 4.13, 4.38, 3.50"},
		{"check_disk", "DISK OK - free space: / 68109MiB (73% inode=95%);| /=26374832128B;267847005634;267847005634;0;270552530944\n", "DISK OK - free space: / 68109MiB (73% inode=95%);"},
		{"check_procs", "PROCS CRITICAL: 0 processes with command name 'surely-absent' | procs=0;;1:;0;\n", "PROCS CRITICAL: 0 processes with command name 'surely-absent'"},
		{"check_ping", "PING OK - Packet loss = 0%, RTA = 0.01 ms|rta=0.014000ms;100.000000;500.000000;0.000000 pl=0%;20;60;0;\n", "PING OK - Packet loss = 0%, RTA = 0.01 ms"},
		{"check_icmp", "OK - 127.0.0.1: rta 0.009ms, lost 0%|rta=0.009ms;200.000;500.000;0; pl=0%;40;80;; rtmax=0.026ms;;;; rtmin=0.004ms;;;; \n", "OK - 127.0.0.1: rta 0.009ms, lost 0%"},
		{"quoted label", "OK | 'C: used space'=3Gb;5;8;0;10 'it''s'=1\n", "OK"},
		{"ranges", "OK | a=1;@10:20;~:30;; b=2;5:;:9\n", "OK"},
		{"not measured", "UNKNOWN | time=U;1;2\n", "UNKNOWN"},
		{"negative, with an exponent", "OK | drift=-1.5e-06s;;;;\n", "OK"},
		{"a comma for a point", "OK|time=0,023s;1,5;3\n", "OK"},
		{"a unit of its own", "OK | rate=5µs traffic=3MB/s\n", "OK"},
		{"nothing behind it", "OK - fine |\n", "OK - fine"},
		{"a line of a shell", "failed: ls /x | wc -l\n", "failed: ls /x | wc -l"},
		{"an assignment is none", "failed: env | A = 1\n", "failed: env | A = 1"},
		{"words with an equals sign", "failed: ps | grep x=y\n", "failed: ps | grep x=y"},
		{"nothing but performance data", "| load1=0.1;1;2\n", "load1=0.1;1;2"},
		{"long output", "DISK WARNING | /=9GB;8;9\n/var is full\n/srv is full | /srv=3GB\n", "DISK WARNING"},
		{"an empty line first", "\n  \nOK\n", "OK"},
		{"cut off in the data", "OK | a=1;2;3 b=" + strings.Repeat("9", 9000), "OK"},
	} {
		if got := summary(test.stdout, ""); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	if got := summary("\n", "cannot connect | x\nmore"); got != "cannot connect | x" {
		t.Errorf("of the standard error: %q", got)
	}
}

func FuzzSummary(f *testing.F) {
	f.Add("DISK OK - free space: / 3326 MB | /=2643MB;5948;5958;0;5968\nlong\n| /boot=68MB", "")
	f.Add("OK | 'it''s'=U;@1:2;~:3", "x")
	f.Fuzz(func(t *testing.T, stdout, stderr string) {
		line := summary(stdout, stderr)
		if !utf8.ValidString(line) || strings.ContainsAny(line, "\n\x00\x1b") || utf8.RuneCountInString(line) > 203 {
			t.Errorf("%q", line)
		}
	})
}
