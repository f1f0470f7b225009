package machine

import (
	"slices"
	"strconv"
	"strings"
)

// parseCounters reads /proc/net/netstat: pairs of lines, names and numbers, each
// behind the name of its group.
func parseCounters(content string) (c Counters, ok bool) {
	var names []string
	for line := range strings.Lines(content) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0 || fields[0] != "TcpExt:":
		case names == nil:
			names = fields
		default:
			overflows, first := numberAt(names, fields, "ListenOverflows")
			drops, second := numberAt(names, fields, "ListenDrops")
			return Counters{overflows, drops}, first && second
		}
	}
	return Counters{}, false
}

func numberAt(names, numbers []string, name string) (uint64, bool) {
	i := slices.Index(names, name)
	if i < 0 || i >= len(numbers) {
		return 0, false
	}
	n, err := strconv.ParseUint(numbers[i], 10, 64)
	return n, err == nil
}

// parseFileLimit reads the soft limit of open files in /proc/PID/limits:
// "Max open files            1024                 524288               files".
func parseFileLimit(content string) (limit int, ok bool) {
	for line := range strings.Lines(content) {
		if rest, found := strings.CutPrefix(line, "Max open files"); found {
			fields := strings.Fields(rest)
			if len(fields) < 2 {
				return 0, false
			}
			limit, err := strconv.Atoi(fields[0])
			return limit, err == nil
		}
	}
	return 0, false
}

// parsePortRange reads net.ipv4.ip_local_port_range: "32768	60999".
func parsePortRange(content string) (first, last uint16, ok bool) {
	fields := strings.Fields(content)
	if len(fields) != 2 {
		return 0, 0, false
	}
	a, errA := strconv.ParseUint(fields[0], 10, 16)
	b, errB := strconv.ParseUint(fields[1], 10, 16)
	return uint16(a), uint16(b), errA == nil && errB == nil && a <= b
}
