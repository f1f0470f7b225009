package phpfpm

import (
	"strconv"
	"strings"
)

// status is what the check reads of the status page
// (https://www.php.net/manual/en/fpm.status.php).
type status struct {
	started  string // the pool
	accepted uint64 // connections since then, ours among them
	waiting  int    // for a worker; 0 on a unix socket, where PHP-FPM cannot tell
	limit    int    // how many may wait; 0 likewise
	active   int    // workers
	total    int    // workers
	reached  int    // how often there were pm.max_children workers, and not enough
	slow     int    // requests that took longer than request_slowlog_timeout
}

// parse reads the head of the page as text: what follows are the processes, with
// the requests of strangers in them. As JSON the page would be broken by a quote
// in one of those, at least up to PHP 8.2.
func parse(page string) (s status, ok bool) {
	head, _, _ := strings.Cut(page, "\n*")
	fields := make(map[string]string)
	for line := range strings.Lines(head) {
		if name, value, ok := strings.Cut(line, ":"); ok {
			fields[name] = strings.TrimSpace(value)
		}
	}
	s.started = fields["start time"]
	ok = fields["pool"] != "" && s.started != ""
	number := func(name string) int {
		n, err := strconv.Atoi(fields[name])
		ok = ok && err == nil && n >= 0
		return n
	}
	s.accepted = uint64(max(0, number("accepted conn")))
	s.waiting, s.limit = number("listen queue"), number("listen queue len")
	s.active, s.total = number("active processes"), number("total processes")
	s.reached, s.slow = number("max children reached"), number("slow requests")
	return s, ok
}
