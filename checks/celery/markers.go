package celery

import (
	"strconv"
	"time"
)

// markers are messages of a list that were seen waiting in earlier runs, the
// oldest first. A list is first in, first out: as long as one of them is still
// there, the message at the head has been waiting for longer than it; once it
// is gone, so is all that came before it. Redis itself does not know when a
// message came, and neither does the message.
type markers struct {
	list []marker
}

type marker struct {
	message string
	seen    time.Time
}

const (
	// reach is how far from the head of a list a marker is looked for. Looking is
	// a comparison with each message up to there, well under a millisecond.
	reach = 10_000

	// precision is how many markers there are up to the age that matters, which
	// is how much too low the age can be: one part of so many.
	precision = 16

	maxMarkers = 2 * precision
	maxMessage = 256 << 10 // longer messages make no markers
)

// asker asks Redis.
type asker interface {
	Ask(commands ...[]string) ([]any, error)
}

// waited returns for how long the head of a list has been waiting, at least, and
// precisely enough to compare it with an age that matters.
func (m *markers) waited(redis asker, list string, matters time.Duration) (time.Duration, error) {
	for len(m.list) > 0 {
		replies, err := redis.Ask([]string{"LPOS", list, m.list[0].message, "RANK", "-1", "MAXLEN", strconv.Itoa(reach)})
		if err != nil {
			return 0, err
		}
		if replies[0] != nil {
			break
		}
		m.list = m.list[1:]
	}
	now := time.Now()
	if m.due(now, matters/precision) {
		// The newest message, or the one that will be within reach for longest.
		replies, err := redis.Ask([]string{"LINDEX", list, strconv.Itoa(-reach)}, []string{"LINDEX", list, "0"})
		if err != nil {
			return 0, err
		}
		message, ok := replies[0].(string)
		if !ok {
			message, ok = replies[1].(string)
		}
		if ok && len(message) <= maxMessage {
			m.add(marker{message, now})
		}
	}
	if len(m.list) == 0 {
		return 0, nil
	}
	return now.Sub(m.list[0].seen), nil
}

// due reports whether it is time for another marker.
func (m *markers) due(now time.Time, spacing time.Duration) bool {
	return len(m.list) == 0 || now.Sub(m.list[len(m.list)-1].seen) >= spacing
}

// add adds a marker. When there are too many, the list has stood still for long,
// and every other one will do.
func (m *markers) add(next marker) {
	if n := len(m.list); n > 0 && m.list[n-1].message == next.message {
		return // nothing has come since
	}
	if len(m.list) == maxMarkers {
		kept := m.list[:0:0]
		for i := 0; i < len(m.list); i += 2 {
			kept = append(kept, m.list[i])
		}
		m.list = kept
	}
	m.list = append(m.list, next)
}
