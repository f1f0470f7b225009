package supervise

import "time"

// TellByAge makes a Reaper work as where there are no pidfds.
func (r *Reaper) TellByAge(patience time.Duration) { r.patience = patience }

// ParseStat is parseStat, for its fuzz test.
func ParseStat(text []byte) (state byte, parent, group int, ok bool) {
	s, ok := parseStat(text)
	return s.state, s.parent, s.group, ok
}
