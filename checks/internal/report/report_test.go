package report_test

import (
	"testing"

	"hale/checks/internal/report"
	"hale/test/checktest"
)

func TestReport(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name         string
		find         func(*report.Report)
		output, want string // want: the error, with "warn: " in front if it only warns
	}{
		{"nothing", func(*report.Report) {}, "", ""},
		{"all well", func(r *report.Report) { r.Passf("a %d", 1); r.Passf("b") }, "a 1; b", ""},
		{"one warning", func(r *report.Report) { r.Passf("a"); r.Warnf("b") }, "", "warn: b"},
		{"failures first", func(r *report.Report) { r.Warnf("b"); r.Failf("c"); r.Failf("d") }, "", "c; d; b"},
		{"no limits", func(r *report.Report) { r.Limit(9, 0, 0, "lags 9") }, "lags 9", ""},
		{"at the limits", func(r *report.Report) { r.Limit(5, 5, 5, "lags 5") }, "lags 5", ""},
		{"above the first", func(r *report.Report) { r.Limit(6, 5, 7, "lags 6") }, "", "warn: lags 6, more than 5"},
		{"above both", func(r *report.Report) { r.Limit(8, 5, 7, "lags 8") }, "", "lags 8, more than 7"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var r report.Report
			test.find(&r)
			output, err := r.Result()
			got := ""
			if err != nil {
				got = err.Error()
				if checktest.Warns(err) {
					got = "warn: " + got
				}
			}
			if output != test.output || got != test.want {
				t.Errorf("got %q, %q\nwant %q, %q", output, got, test.output, test.want)
			}
		})
	}
}
