package load

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"hale/internal/proc"
)

// sample is what was read at one time. Times are counted since boot.
type sample struct {
	load      [3]float64
	cpus      int
	total     uint64 // time of all processors, in ticks
	stolen    uint64 // of it
	throttled map[string]periods
}

// periods of a control group with a CPU limit.
type periods struct{ all, throttled int64 }

func read(fs proc.FS) (*sample, error) {
	loadavg, err := fs.Read("proc/loadavg")
	if err != nil {
		return nil, err
	}
	stat, err := fs.Read("proc/stat")
	if err != nil {
		return nil, err
	}
	s := &sample{throttled: make(map[string]periods)}
	var ok bool
	if s.load, ok = parseLoad(loadavg); !ok {
		return nil, errors.New("not in the form that is known: /proc/loadavg")
	}
	if s.cpus, s.total, s.stolen, ok = parseStat(stat); !ok {
		return nil, errors.New("not in the form that is known: /proc/stat")
	}
	for _, dir := range fs.Groups() {
		content, err := fs.Read(dir + "/cpu.stat")
		if err != nil {
			continue // the root of all groups has no limit
		}
		all, ok := proc.Field(content, "nr_periods")
		throttled, _ := proc.Field(content, "nr_throttled")
		if ok {
			s.throttled[dir] = periods{all, throttled}
		}
	}
	return s, nil
}

// parseLoad reads /proc/loadavg: "0.20 0.18 0.12 1/80 11206".
func parseLoad(content string) (load [3]float64, ok bool) {
	fields := strings.Fields(content)
	if len(fields) < len(load) {
		return load, false
	}
	for i := range load {
		n, err := strconv.ParseFloat(fields[i], 64)
		if err != nil || !(n >= 0) || math.IsInf(n, 0) {
			return load, false
		}
		load[i] = n
	}
	return load, true
}

// parseStat reads of /proc/stat how many processors are online, one line
// "cpu0 ..." each, and the times of all in the line "cpu": user, nice, system,
// idle, iowait, irq, softirq, steal, and parts of the first two (proc(5)).
func parseStat(content string) (cpus int, total, stolen uint64, ok bool) {
	const times = 8
	for line := range strings.Lines(content) {
		fields := strings.Fields(line)
		if len(fields) == 0 || !strings.HasPrefix(fields[0], "cpu") {
			continue
		}
		if fields[0] != "cpu" {
			cpus++
			continue
		}
		if len(fields) <= times {
			return 0, 0, 0, false
		}
		for i, field := range fields[1 : times+1] {
			n, err := strconv.ParseUint(field, 10, 64)
			if err != nil {
				return 0, 0, 0, false
			}
			total += n
			if i == times-1 {
				stolen = n
			}
		}
	}
	return cpus, total, stolen, cpus > 0 && total > 0
}

// leastTime is how much time of processors, in ticks, has to have passed for a
// share of it to mean something: a second of one.
const leastTime = 100

// tooSoonAfter tells whether a share of the time since another sample would
// mean nothing yet.
func (s *sample) tooSoonAfter(previous *sample) bool {
	return s.total >= previous.total && s.total < previous.total+leastTime
}

// stolenSince returns the share of time, in percent, that was stolen since
// another sample; ok is false if it cannot be told.
func (s *sample) stolenSince(previous *sample) (share float64, ok bool) {
	if previous == nil || s.tooSoonAfter(previous) || s.total < previous.total || s.stolen < previous.stolen {
		return 0, false
	}
	return percent(float64(s.stolen-previous.stolen), float64(s.total-previous.total)), true
}

// throttledSince returns the largest share of periods, in percent, in which a
// group was throttled since another sample; ok is false if none has a limit.
func (s *sample) throttledSince(previous *sample) (share float64, ok bool) {
	if previous == nil || s.tooSoonAfter(previous) {
		return 0, false
	}
	for dir, now := range s.throttled {
		before, known := previous.throttled[dir]
		if !known || now.all <= before.all || now.throttled < before.throttled {
			continue
		}
		share, ok = max(share, percent(float64(now.throttled-before.throttled), float64(now.all-before.all))), true
	}
	return share, ok
}

func percent(part, whole float64) float64 { return min(part/whole*100, 100) }
