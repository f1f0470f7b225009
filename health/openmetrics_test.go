package health_test

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hale/health"
)

func TestOpenMetrics(t *testing.T) {
	const odd, strange = `a "b" é`, "a\"\\b\\n\n é"
	synctest.Test(t, func(t *testing.T) {
		begun := float64(time.Now().UnixMilli()) / 1000
		m, _ := monitor(t, health.Options{Version: "1\r\n.2\xff", ServiceID: "i-0123"},
			health.Check{Name: odd, Type: strange, Run: pass, Interval: once},
			health.Check{Name: "stuck", Timeout: time.Second, Interval: 2 * time.Second, Run: hangs},
			health.Check{Name: "slow", Impact: health.Degraded, Scope: health.Shared, Timeout: time.Hour, Run: hangs},
		)
		h := handler(t, m, health.HandlerOptions{Details: health.DetailsAlways})
		after(4 * time.Second)
		a := get(h, "/health?format=openmetrics")
		if got := a.Header.Get("Content-Type"); got != "application/openmetrics-text; version=1.0.0; charset=utf-8" || a.Status != 200 {
			t.Errorf("status %d, Content-Type %q", a.Status, got)
		}
		samples, err := parseOpenMetrics(string(a.Body))
		if err != nil {
			t.Fatalf("%v\n%s", err, a.Body)
		}
		label := func(name string) string { return fmt.Sprintf("{check=%q}", name) }
		for key, want := range map[string]float64{
			`hale_health_status{hale_health_status="pass"}`:          0,
			`hale_health_status{hale_health_status="fail"}`:          1,
			`hale_health_starting`:                                   1,
			`hale_health_draining`:                                   0,
			`hale_health_since_timestamp_seconds`:                    begun,
			`hale_service_info{version="1\n.2",service_id="i-0123"}`: 1,
			`hale_check_info{check=` + strconv.Quote(odd) + `,type=` + strconv.Quote(strange) + `,impact="critical",scope="instance"}`: 1,
			`hale_check_info{check="slow",impact="degraded",scope="shared"}`:                                                           1,
			`hale_check_status{check="stuck",hale_check_status="fail"}`:                                                                1,
			`hale_check_status{check="stuck",hale_check_status="pass"}`:                                                                0,
			`hale_check_status{check="slow",hale_check_status="unknown"}`:                                                              1,
			`hale_check_status{check=` + strconv.Quote(odd) + `,hale_check_status="pass"}`:                                             1,
			`hale_check_duration_seconds` + label(odd):                                                                                 0,
			`hale_check_stuck` + label("stuck"):                                                                                        1,
			`hale_check_stuck` + label("slow"):                                                                                         0,
			`hale_check_runs_total` + label(odd):                                                                                       1,
			`hale_check_runs_total` + label("slow"):                                                                                    0,
			`hale_check_runs_total` + label("stuck"):                                                                                   2,
			`hale_check_failures_total` + label("stuck"):                                                                               2,
			`hale_check_failures_total` + label(odd):                                                                                   0,
			`hale_check_overruns_total` + label("stuck"):                                                                               1,
		} {
			if got, ok := samples[key]; !ok || got != want {
				t.Errorf("%s = %v (there: %v), want %v", key, got, ok, want)
			}
		}
		if took := samples[`hale_check_duration_seconds`+label("stuck")]; took < 3 || took > 4 {
			t.Errorf("stuck for %v s", took)
		}
		for _, family := range []string{"hale_check_duration_seconds", "hale_check_last_run_timestamp_seconds"} {
			if _, ok := samples[family+label("slow")]; ok {
				t.Errorf("%s of a check that was never answered", family)
			}
		}
	})
}

func TestOpenMetricsWithoutChecks(t *testing.T) {
	if _, err := parseOpenMetrics(string(handler(t, settled(t, health.Options{}), health.HandlerOptions{}).Metrics())); err != nil {
		t.Error(err)
	}
}

// The parser must be as strict as the specification, or the tests say nothing.
func TestParseOpenMetrics(t *testing.T) {
	for name, text := range map[string]string{
		"no end":                      "# TYPE a gauge\na 1\n",
		"more after the end":          "# EOF\na 1\n",
		"carriage return":             "# TYPE a gauge\r\na 1\n# EOF\n",
		"no type":                     "a 1\n# EOF\n",
		"a family twice":              "# TYPE a gauge\na 1\n# TYPE b gauge\nb 1\n# TYPE a gauge\n# EOF\n",
		"another family's sample":     "# TYPE a gauge\nb 1\n# EOF\n",
		"the same sample twice":       "# TYPE a gauge\na 1\na 2\n# EOF\n",
		"unit that is no suffix":      "# TYPE a gauge\n# UNIT a seconds\na 1\n# EOF\n",
		"type after unit":             "# UNIT a_seconds seconds\n# TYPE a_seconds gauge\n# EOF\n",
		"counter without its suffix":  "# TYPE a counter\na 1\n# EOF\n",
		"negative counter":            "# TYPE a counter\na_total -1\n# EOF\n",
		"gauge with a suffix":         "# TYPE a gauge\na_total 1\n# EOF\n",
		"stateset without its label":  "# TYPE a stateset\na 1\n# EOF\n",
		"stateset with another value": "# TYPE a stateset\na{a=\"x\"} 2\n# EOF\n",
		"info that is not one":        "# TYPE a info\na_info 0\n# EOF\n",
		"unescaped quote":             "# TYPE a gauge\na{b=\"\"\"} 1\n# EOF\n",
		"a label twice":               "# TYPE a gauge\na{b=\"1\",b=\"2\"} 1\n# EOF\n",
		"no number":                   "# TYPE a gauge\na x\n# EOF\n",
		"an empty line":               "# TYPE a gauge\n\na 1\n# EOF\n",
		"a comment":                   "# hello\n# EOF\n",
	} {
		if _, err := parseOpenMetrics(text); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

var (
	metaLine   = regexp.MustCompile(`^# (TYPE|UNIT|HELP) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$`)
	sampleLine = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (-?[0-9]+(?:\.[0-9]+)?)$`)
	labelPair  = regexp.MustCompile(`^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[n"\\])*)"(,|$)`)
	metricType = []string{"gauge", "counter", "stateset", "info"}
)

// parseOpenMetrics reads the part of OpenMetrics 1.0 that the library writes, and
// refuses everything else. Samples are keyed as they are written, save that
// their labels are quoted as Go does.
func parseOpenMetrics(text string) (map[string]float64, error) {
	body, ok := strings.CutSuffix(text, "# EOF\n")
	if !ok || strings.Contains(body, "# EOF") {
		return nil, errors.New("does not end with # EOF")
	}
	if strings.Contains(text, "\r") {
		return nil, errors.New("has a carriage return")
	}
	samples, families := map[string]float64{}, map[string]bool{}
	var family, kind, last string
	for line := range strings.Lines(body) {
		line = strings.TrimSuffix(line, "\n")
		if m := metaLine.FindStringSubmatch(line); m != nil {
			switch key, name, value := m[1], m[2], m[3]; {
			case key == "TYPE" && (families[name] || !slices.Contains(metricType, value)):
				return nil, fmt.Errorf("%s: the second of its family, or of a strange type", line)
			case key == "TYPE":
				family, kind, families[name] = name, value, true
			case name != family:
				return nil, fmt.Errorf("%s: out of order", line)
			case key == "UNIT" && (last != "TYPE" || !strings.HasSuffix(name, "_"+value)):
				return nil, fmt.Errorf("%s: out of order, or no suffix of the name", line)
			case key == "HELP" && last != "TYPE" && last != "UNIT":
				return nil, fmt.Errorf("%s: out of order", line)
			}
			last = m[1]
			continue
		}
		last = "sample"
		key, value, err := parseSample(line, family, kind)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", line, err)
		}
		if _, twice := samples[key]; twice {
			return nil, fmt.Errorf("%s: for the second time", line)
		}
		samples[key] = value
	}
	return samples, nil
}

func parseSample(line, family, kind string) (key string, value float64, err error) {
	m := sampleLine.FindStringSubmatch(line)
	if m == nil {
		return "", 0, errors.New("no sample")
	}
	suffix := map[string]string{"counter": "_total", "info": "_info"}[kind]
	if family == "" || m[1] != family+suffix {
		return "", 0, fmt.Errorf("does not belong to %s %s", kind, family)
	}
	labels, err := parseLabels(m[2])
	if err != nil {
		return "", 0, err
	}
	value, err = strconv.ParseFloat(m[3], 64)
	if err != nil {
		return "", 0, err
	}
	isState := slices.ContainsFunc(labels, func(l string) bool { return strings.HasPrefix(l, family+"=") })
	switch {
	case kind == "counter" && value < 0:
		return "", 0, errors.New("a counter below zero")
	case kind == "info" && value != 1:
		return "", 0, errors.New("an info that is not 1")
	case kind == "stateset" && (!isState || value != 0 && value != 1):
		return "", 0, errors.New("no state")
	}
	if len(labels) == 0 {
		return m[1], value, nil
	}
	return m[1] + "{" + strings.Join(labels, ",") + "}", value, nil
}

func parseLabels(text string) (labels []string, err error) {
	seen := map[string]bool{}
	for text != "" {
		m := labelPair.FindStringSubmatch(text)
		if m == nil || seen[m[1]] {
			return nil, fmt.Errorf("labels %q", text)
		}
		seen[m[1]] = true
		unescaped := strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\n`, "\n").Replace(m[2])
		labels = append(labels, m[1]+"="+strconv.Quote(unescaped))
		text = text[len(m[0]):]
	}
	return labels, nil
}
