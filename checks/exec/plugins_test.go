package exec_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"hale/checks/exec"
	"hale/health"
	"hale/test/servers"
)

// TestPlugins runs Debian's monitoring-plugins against real things, with
// thresholds that are kept, crossed, and nonsense.
func TestPlugins(t *testing.T) {
	t.Parallel()
	plugins := filepath.Dir(servers.Need(t, "check_load"))
	dir := t.TempDir()

	redis := servers.FreeAddress(t)
	_, redisPort, _ := net.SplitHostPort(redis)
	servers.Run(t, servers.Spec{Name: "redis-server", Args: []string{"--port", redisPort, "--bind", "127.0.0.1", "--save", "", "--dir", dir}, Listens: []string{redis}})
	web := servers.FreeAddress(t)
	_, webPort, _ := net.SplitHostPort(web)
	servers.Nginx(t, "", fmt.Sprintf(`server { listen %s; location = /up { return 200 "all is well"; } location = /broken { return 500; } }`, web), web)
	fresh := filepath.Join(dir, "fresh")
	file(t, fresh, "some content", 0o600)
	old := filepath.Join(dir, "old")
	file(t, old, "some content", 0o600)
	yesterday := time.Now().Add(-24 * time.Hour)
	if err := os.Chtimes(old, yesterday, yesterday); err != nil {
		t.Fatal(err)
	}
	nobody := strconv.Itoa(servers.FreePort(t))

	const pass, warn, fail = health.Pass, health.Warn, health.Fail
	for _, test := range []struct {
		command []string
		status  health.Status
		want    string // a regular expression for the whole text
	}{
		{[]string{"check_load", "-w", "10000", "-c", "20000"}, pass, `LOAD OK - total load average: [0-9., ]+`},
		{[]string{"check_load", "-w", "0", "-c", "20000"}, warn, `LOAD WARNING - total load average: [0-9., ]+`},
		{[]string{"check_load", "-w", "0", "-c", "0"}, fail, `LOAD CRITICAL - total load average: [0-9., ]+`},
		{[]string{"check_load"}, fail, `unknown: check_load: Could not parse arguments`},

		{[]string{"check_disk", "-w", "0%", "-c", "0%", "-p", "/"}, pass, `DISK OK - free space: / \d+MiB \(\d+% inode=\d+%\);`},
		{[]string{"check_disk", "-w", "100%", "-c", "0%", "-p", "/"}, warn, `DISK WARNING - free space: / \d+MiB \(\d+% inode=\d+%\);`},
		{[]string{"check_disk", "-w", "100%", "-c", "100%", "-p", "/"}, fail, `DISK CRITICAL - free space: / \d+MiB \(\d+% inode=\d+%\);`},
		{[]string{"check_disk", "-w", "10%", "-c", "5%", "-p", "/nowhere"}, fail, `DISK CRITICAL - /nowhere is not accessible: No such file or directory`},

		{[]string{"check_procs", "-w", "1:", "-c", "1:"}, pass, `PROCS OK: \d+ processes`},
		{[]string{"check_procs", "-w", "1:", "-c", "1:", "-C", "redis-server"}, pass, `PROCS OK: \d+ process(es)? with command name 'redis-server'`},
		{[]string{"check_procs", "-w", "1:", "-C", "surely-absent"}, warn, `PROCS WARNING: 0 processes with command name 'surely-absent'`},
		{[]string{"check_procs", "-c", "1:", "-C", "surely-absent"}, fail, `PROCS CRITICAL: 0 processes with command name 'surely-absent'`},

		{[]string{"check_users", "-w", "1000", "-c", "2000"}, pass, `USERS OK - \d+ users currently logged in`},
		{[]string{"check_swap", "-n", "ok", "-w", "1%", "-c", "0"}, pass, `SWAP OK - .*`},

		{[]string{"check_tcp", "-H", "127.0.0.1", "-p", redisPort}, pass, `TCP OK - [0-9.]+ second response time on 127.0.0.1 port ` + redisPort},
		{[]string{"check_tcp", "-H", "127.0.0.1", "-p", redisPort, "-E", "-s", `PING\r\n`, "-e", "+PONG", "-q", `QUIT\r\n`}, pass, `TCP OK - .* \[\+PONG\]`},
		{[]string{"check_tcp", "-H", "127.0.0.1", "-p", redisPort, "-E", "-s", `PING\r\n`, "-e", "+SONG", "-M", "warn", "-t", "2"}, fail, `.*(CRITICAL|Unexpected response).*`},
		{[]string{"check_tcp", "-H", "127.0.0.1", "-p", redisPort, "-w", "0.0000001"}, warn, `TCP WARNING - .*`},
		{[]string{"check_tcp", "-H", "127.0.0.1", "-p", nobody}, fail, `connect to address 127.0.0.1 and port ` + nobody + `: Connection refused`},

		{[]string{"check_http", "-H", "127.0.0.1", "-p", webPort, "-u", "/up", "-s", "all is well"}, pass, `HTTP OK: HTTP/1.1 200 OK - \d+ bytes in [0-9.]+ second response time`},
		{[]string{"check_http", "-H", "127.0.0.1", "-p", webPort, "-u", "/up", "-s", "all is lost"}, fail, `HTTP CRITICAL: HTTP/1.1 200 OK - string 'all is lost' not found on .*`},
		{[]string{"check_http", "-H", "127.0.0.1", "-p", webPort, "-u", "/absent"}, warn, `HTTP WARNING: HTTP/1.1 404 Not Found - \d+ bytes in [0-9.]+ second response time`},
		{[]string{"check_http", "-H", "127.0.0.1", "-p", webPort, "-u", "/broken"}, fail, `HTTP CRITICAL: HTTP/1.1 500 Internal Server Error - \d+ bytes in [0-9.]+ second response time`},
		{[]string{"check_http", "-H", "127.0.0.1", "-p", nobody}, fail, `connect to address 127.0.0.1 and port ` + nobody + `: Connection refused`},

		{[]string{"check_ssh", "-p", redisPort, "-t", "2", "127.0.0.1"}, fail, `.*`},
		{[]string{"check_ssh", "-p", nobody, "127.0.0.1"}, fail, `connect to address 127.0.0.1 and port ` + nobody + `: Connection refused`},

		{[]string{"check_file_age", "-w", "3600", "-c", "7200", "-f", fresh}, pass, `FILE_AGE OK: ` + fresh + ` is \d+ seconds old and 12 bytes`},
		{[]string{"check_file_age", "-w", "3600", "-c", "172800", "-f", old}, warn, `FILE_AGE WARNING: ` + old + ` is \d+ seconds old and 12 bytes`},
		{[]string{"check_file_age", "-w", "3600", "-c", "7200", "-f", old}, fail, `FILE_AGE CRITICAL: ` + old + ` is \d+ seconds old and 12 bytes`},
		{[]string{"check_file_age", "-f", dir + "/absent"}, fail, `FILE_AGE CRITICAL: File not found - ` + dir + `/absent`},

		{[]string{"check_cluster", "-s", "-l", "web", "-d", "0,0,0", "-w", "0", "-c", "1"}, pass, `CLUSTER OK: web: 3 ok, 0 warning, 0 unknown, 0 critical`},
		{[]string{"check_cluster", "-s", "-l", "web", "-d", "0,2,0", "-w", "0", "-c", "1"}, warn, `CLUSTER WARNING: web: 2 ok, 0 warning, 0 unknown, 1 critical`},
		{[]string{"negate", "-s", "-o", "WARNING", filepath.Join(plugins, "check_dummy"), "0", "fine"}, warn, `WARNING: fine`},
		{[]string{"check_dummy", "0", "fine"}, pass, `OK: fine`},
		{[]string{"check_dummy", "1", "so so"}, warn, `WARNING: so so`},
		{[]string{"check_dummy", "2", "bad"}, fail, `CRITICAL: bad`},
		{[]string{"check_dummy", "3", "who knows"}, fail, `unknown: UNKNOWN: who knows`},
	} {
		t.Run(fmt.Sprint(test.command), func(t *testing.T) {
			t.Parallel()
			check := exec.Check{Command: append([]string{filepath.Join(plugins, test.command[0])}, test.command[1:]...)}
			result := health.RunOnce(t.Context(), nil, health.Check{Name: "it", Run: check.Run, Timeout: 20 * time.Second})[0]
			if result.Status != test.status || !regexp.MustCompile(`^(?:`+test.want+`)$`).MatchString(result.Output) {
				t.Errorf("%v %q, want %v %q", result.Status, result.Output, test.status, test.want)
			}
		})
	}
}
