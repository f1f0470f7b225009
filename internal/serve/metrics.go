package serve

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// durationBounds are the upper bounds of the request durations' histogram.
var durationBounds = [...]time.Duration{
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond,
	25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond,
	500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second,
}

// metrics counts what the gateway does. The zero value is ready.
type metrics struct {
	inFlight  atomic.Int64
	probes    atomic.Int64 // health answers
	codes     [6]atomic.Int64
	durations [len(durationBounds) + 1]atomic.Int64
	nanos     atomic.Int64
	causes    [len(causeNames)]atomic.Int64
	reloads   atomic.Int64
	reloadBad atomic.Bool
}

// cause says why the app gave no answer.
type cause int

const (
	causeConnect cause = iota
	causeTimeout
	causeBroken
	causeClient
)

var causeNames = [...]string{causeConnect: "connect", causeTimeout: "timeout", causeBroken: "broken", causeClient: "client_gone"}

func (m *metrics) observe(status int, took time.Duration) {
	if class := status / 100; class < len(m.codes) {
		m.codes[class].Add(1)
	}
	i := 0
	for i < len(durationBounds) && took > durationBounds[i] {
		i++
	}
	m.durations[i].Add(1)
	m.nanos.Add(int64(took))
}

// writeTo writes the metrics as OpenMetrics text, without the closing # EOF.
func (m *metrics) writeTo(w io.Writer, version string) {
	fmt.Fprintf(w, "# TYPE hale_build info\n# HELP hale_build Hale's version.\nhale_build_info{version=%q} 1\n", version)

	fmt.Fprint(w, "# TYPE hale_gateway_requests counter\n# HELP hale_gateway_requests Answered requests by class of status code, health probes not counted.\n")
	for class := 1; class < len(m.codes); class++ {
		fmt.Fprintf(w, "hale_gateway_requests_total{code=\"%dxx\"} %d\n", class, m.codes[class].Load())
	}
	fmt.Fprint(w, "# TYPE hale_gateway_probes counter\n# HELP hale_gateway_probes Answered health probes.\n")
	fmt.Fprintf(w, "hale_gateway_probes_total %d\n", m.probes.Load())
	fmt.Fprint(w, "# TYPE hale_gateway_requests_in_flight gauge\n# HELP hale_gateway_requests_in_flight Requests being answered now.\n")
	fmt.Fprintf(w, "hale_gateway_requests_in_flight %d\n", m.inFlight.Load())

	fmt.Fprint(w, "# TYPE hale_gateway_app_errors counter\n# HELP hale_gateway_app_errors Requests that the app gave no whole answer to, by cause.\n")
	for i, name := range causeNames {
		fmt.Fprintf(w, "hale_gateway_app_errors_total{cause=%q} %d\n", name, m.causes[i].Load())
	}

	fmt.Fprint(w, "# TYPE hale_gateway_request_duration_seconds histogram\n# UNIT hale_gateway_request_duration_seconds seconds\n# HELP hale_gateway_request_duration_seconds Time from a request's head to the end of its answer.\n")
	var sum int64
	for i, bound := range durationBounds {
		sum += m.durations[i].Load()
		fmt.Fprintf(w, "hale_gateway_request_duration_seconds_bucket{le=\"%g\"} %d\n", bound.Seconds(), sum)
	}
	sum += m.durations[len(durationBounds)].Load()
	fmt.Fprintf(w, "hale_gateway_request_duration_seconds_bucket{le=\"+Inf\"} %d\n", sum)
	fmt.Fprintf(w, "hale_gateway_request_duration_seconds_count %d\n", sum)
	fmt.Fprintf(w, "hale_gateway_request_duration_seconds_sum %g\n", time.Duration(m.nanos.Load()).Seconds())

	good := 1
	if m.reloadBad.Load() {
		good = 0
	}
	fmt.Fprintf(w, "# TYPE hale_config_last_reload_ok gauge\n# HELP hale_config_last_reload_ok 1 unless the last reload was refused.\nhale_config_last_reload_ok %d\n", good)
	fmt.Fprintf(w, "# TYPE hale_config_reloads counter\n# HELP hale_config_reloads Configurations taken over since the start.\nhale_config_reloads_total %d\n", m.reloads.Load())
}
