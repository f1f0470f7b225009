package health

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// exposition writes OpenMetrics 1.0 text.
type exposition struct{ b []byte }

// family begins a metric family. A unit, if any, is the end of its name.
func (e *exposition) family(name, kind, unit, help string) {
	e.line("# TYPE ", name, " ", kind)
	if unit != "" {
		e.line("# UNIT ", name, " ", unit)
	}
	e.line("# HELP ", name, " ", escapeMetric(help))
}

func (e *exposition) line(parts ...string) {
	for _, p := range parts {
		e.b = append(e.b, p...)
	}
	e.b = append(e.b, '\n')
}

// label is a name and its value; an empty value is as good as no label.
type label struct{ name, value string }

func (e *exposition) sample(name, value string, labels ...label) {
	e.b = append(e.b, name...)
	separator := "{"
	for _, l := range labels {
		if l.value != "" {
			e.b = append(e.b, separator+l.name+`="`+escapeMetric(l.value)+`"`...)
			separator = ","
		}
	}
	if separator == "," {
		e.b = append(e.b, '}')
	}
	e.line(" ", value)
}

// states writes a StateSet: a sample for each state, of which one holds.
func (e *exposition) states(name string, is Status, states []Status, labels ...label) {
	for _, s := range states {
		e.sample(name, bit(s == is), append(slices.Clip(labels), label{name, s.String()})...)
	}
}

func (e *exposition) end() []byte {
	e.line("# EOF")
	return e.b
}

// escapeMetric escapes a label's value or a help text. Carriage returns are not
// allowed at all.
func escapeMetric(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", "").Replace(strings.ToValidUTF8(s, ""))
}

func bit(set bool) string {
	if set {
		return "1"
	}
	return "0"
}

func count(n uint64) string { return strconv.FormatUint(n, 10) }

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 6, 64) }

func unixSeconds(t time.Time) string {
	return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64)
}

// metricsBrief tells the status and nothing else.
func metricsBrief(s *state) []byte {
	var e exposition
	e.verdict(&s.ready().verdict)
	return e.end()
}

func (e *exposition) verdict(v *Verdict) {
	e.family("hale_health_status", "stateset", "", "The verdict on this instance.")
	e.states("hale_health_status", v.Status, []Status{Pass, Warn, Fail})
}

// metricsFull tells all that is known.
func metricsFull(s *state) []byte {
	var e exposition
	o, v := s.service, &s.ready().verdict
	e.verdict(v)
	e.family("hale_health_profile_status", "stateset", "", "The verdict at each path: ready is that of /health, startup that of /health/startup, any other that of its own.")
	for _, a := range append(slices.Clip(s.judged), s.startup) {
		e.states("hale_health_profile_status", a.verdict.Status, []Status{Pass, Warn, Fail}, label{"profile", a.profile})
	}
	e.family("hale_health_starting", "gauge", "", "Whether some critical check has not passed yet.")
	e.sample("hale_health_starting", bit(v.Starting))
	e.family("hale_health_draining", "gauge", "", "Whether the instance is being taken out of service.")
	e.sample("hale_health_draining", bit(v.Draining))
	e.family("hale_health_since_timestamp_seconds", "gauge", "seconds", "When the verdict last changed.")
	e.sample("hale_health_since_timestamp_seconds", unixSeconds(v.Since))
	if o.Version != "" || o.ReleaseID != "" || o.ServiceID != "" {
		e.family("hale_service", "info", "", "The service that is judged.")
		e.sample("hale_service_info", "1",
			label{"version", o.Version}, label{"release_id", o.ReleaseID}, label{"service_id", o.ServiceID})
	}
	if len(s.results) > 0 {
		e.checks(s.results)
	}
	return e.end()
}

func (e *exposition) checks(results []Result) {
	e.family("hale_check", "info", "", "The checks and what their failures mean.")
	for i := range results {
		r := &results[i]
		e.sample("hale_check_info", "1",
			label{"check", r.Name}, label{"type", r.Type},
			label{"group", r.Group}, label{"impact", r.Impact.String()}, label{"scope", r.Scope.String()},
			label{"profiles", ownProfiles(r)})
	}
	e.family("hale_check_status", "stateset", "", "The status of the check, after rise and fall.")
	for i := range results {
		e.states("hale_check_status", results[i].Status, []Status{Unknown, Pass, Warn, Fail}, label{"check", results[i].Name})
	}
	e.family("hale_check_consequence", "gauge", "", "There while the failure of the check follows from that of another, which is reported in its place.")
	for i := range results {
		if r := &results[i]; r.CausedBy != "" {
			e.sample("hale_check_consequence", "1", label{"check", r.Name}, label{"caused_by", r.CausedBy})
		}
	}
	for _, f := range checkFamilies {
		e.family(f.name, f.kind, f.unit, f.help)
		sample := f.name
		if f.kind == "counter" {
			sample += "_total"
		}
		for i := range results {
			if value := f.value(&results[i]); value != "" {
				e.sample(sample, value, label{"check", results[i].Name})
			}
		}
	}
}

// checkFamilies are the families with one sample a check; none for an empty value.
var checkFamilies = [...]struct {
	name, kind, unit, help string
	value                  func(*Result) string
}{
	{
		"hale_check_since_timestamp_seconds", "gauge", "seconds", "When the status of the check last changed.",
		func(r *Result) string { return unixSeconds(r.Since) },
	},
	{
		"hale_check_last_run_timestamp_seconds", "gauge", "seconds", "When the last run ended, or missed its deadline.",
		func(r *Result) string {
			if r.Runs == 0 {
				return ""
			}
			return unixSeconds(r.Time)
		},
	},
	{
		"hale_check_duration_seconds", "gauge", "seconds", "How long the last run took.",
		func(r *Result) string {
			if r.Runs == 0 {
				return ""
			}
			return seconds(r.Took)
		},
	},
	{
		"hale_check_stuck", "gauge", "", "Whether a run has missed its deadline and is still going on.",
		func(r *Result) string { return bit(r.Stuck) },
	},
	{
		"hale_check_runs", "counter", "", "Answers counted; each interval that a stuck run lasts is one.",
		func(r *Result) string { return count(r.Runs) },
	},
	{
		"hale_check_failures", "counter", "", "Answers counted that were failures.",
		func(r *Result) string { return count(r.Failures) },
	},
	{
		"hale_check_overruns", "counter", "", "Runs that became stuck.",
		func(r *Result) string { return count(r.Overruns) },
	},
}
