package proxy

import (
	"net/http"
	"sync/atomic"
	"time"
)

// date is the Date field's value (RFC 9110, 6.6.1), made once a second.
type date struct{ last atomic.Pointer[second] }

type second struct {
	unix int64
	text string
}

func (d *date) at(t time.Time) string {
	s := d.last.Load()
	if unix := t.Unix(); s == nil || s.unix != unix {
		s = &second{unix, t.UTC().Format(http.TimeFormat)}
		d.last.Store(s)
	}
	return s.text
}
