package nginx

import (
	"strconv"
	"strings"
)

// status is what the page says
// (https://nginx.org/en/docs/http/ngx_http_stub_status_module.html), without the
// connection that asked for it.
type status struct {
	active            int
	accepted, handled uint64 // since nginx started
	reading           int    // the header of a request
	writing           int    // an answer, or waiting for one from behind
	waiting           int    // for the client's next request
}

// parse reads the page:
//
//	Active connections: 291
//	server accepts handled requests
//	 16630948 16630948 31070465
//	Reading: 6 Writing: 179 Waiting: 106
func parse(page string) (s status, ok bool) {
	words := strings.Fields(page)
	form := strings.Fields("Active connections: N server accepts handled requests N N N Reading: N Writing: N Waiting: N")
	if len(words) != len(form) {
		return s, false
	}
	var numbers []uint64
	for i, word := range words {
		if form[i] != "N" {
			if word != form[i] {
				return s, false
			}
			continue
		}
		n, err := strconv.ParseUint(word, 10, 63)
		if err != nil {
			return s, false
		}
		numbers = append(numbers, n)
	}
	// The server counts connections in an int at most. Its workers update the
	// numbers one after the other, so that the sums are not always right.
	count := func(i, own int) int { return max(0, int(numbers[i])-own) } //nolint:gosec // of 63 bits
	return status{
		active:   count(0, 1),
		accepted: numbers[1],
		handled:  numbers[2],
		reading:  count(4, 0),
		writing:  count(5, 1),
		waiting:  count(6, 0),
	}, true
}

// droppedSince returns how many connections were accepted and not handled since
// an earlier moment, nil for none; 0 if nginx has started anew since.
func (s status) droppedSince(before *status) uint64 {
	if before == nil || s.accepted < before.accepted || s.handled < before.handled {
		return 0
	}
	dropped, droppedBefore := s.accepted-min(s.accepted, s.handled), before.accepted-min(before.accepted, before.handled)
	return dropped - min(dropped, droppedBefore)
}
