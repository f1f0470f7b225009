package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"testing"
	"time"

	"hale/internal/machine"
	"hale/internal/probe"
	"hale/internal/targetgroup"
)

// said tells whether notes are one that says something; "": none.
func said(notes []targetgroup.Note, want string) bool {
	if want == "" {
		return len(notes) == 0
	}
	return len(notes) == 1 && strings.Contains(notes[0].What+"; "+notes[0].Seen, want)
}

func TestClockNotes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		clock machine.Clock
		err   error
		want  string
	}{
		{machine.Clock{Synchronised: true, Offset: 300 * time.Microsecond}, nil, ""},
		{machine.Clock{Synchronised: true, Offset: -90 * time.Second}, nil, "this machine's clock is wrong; by 1m30s"},
		{machine.Clock{}, nil, "no time service keeps this machine's clock right"},
		{machine.Clock{}, errors.New("not Linux"), ""},
	} {
		if notes := clockNotes(test.clock, test.err); !said(notes, test.want) {
			t.Errorf("%+v: %+v, want %q", test.clock, notes, test.want)
		}
	}
}

// A target's clock shows in the Date of its answers, if that is a clock's.
func TestClocksApart(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	answer := func(at time.Duration, date time.Time, more ...probe.Field) exchange {
		header := append(more, probe.Field{Name: "Date", Value: date.Format(http.TimeFormat)})
		return exchange{answer: probe.Answer{Header: header}, at: now.Add(at)}
	}
	for name, test := range map[string]struct {
		sent []exchange
		want string
	}{
		"right":                          {[]exchange{answer(0, now), answer(3*time.Second, now.Add(3*time.Second))}, ""},
		"no Date":                        {[]exchange{{at: now}}, ""},
		"no date":                        {[]exchange{{at: now, answer: probe.Answer{Header: []probe.Field{{Name: "Date", Value: "today"}}}}}, ""},
		"an hour ahead":                  {[]exchange{answer(0, now.Add(time.Hour)), answer(time.Second, now.Add(time.Hour))}, "apart"},
		"an hour behind":                 {[]exchange{answer(0, now.Add(-time.Hour))}, "are 1h0m0s apart"},
		"from a cache":                   {[]exchange{answer(0, now.Add(-time.Hour), probe.Field{Name: "Age", Value: "3600"})}, ""},
		"written into the page for good": {[]exchange{answer(0, now.Add(-time.Hour)), answer(9*time.Second, now.Add(-time.Hour))}, ""},
		"one of several is old":          {[]exchange{answer(0, now.Add(-time.Hour)), answer(time.Second, now.Add(time.Second))}, ""},
	} {
		if notes := clocksApart(test.sent); !said(notes, test.want) {
			t.Errorf("%s: %+v, want %q", name, notes, test.want)
		}
	}
}

func TestMetadataNotes(t *testing.T) {
	t.Parallel()
	asks := metadataUse{place: "/srv/shop/settings.py:12"}
	for _, test := range []struct {
		metadata machine.Metadata
		use      metadataUse
		want     string
	}{
		{machine.Metadata{}, metadataUse{}, ""},
		{machine.Metadata{Reachable: true, Other: true, Err: errors.New("404")}, metadataUse{}, ""},
		{machine.Metadata{Reachable: true, TokenRequired: true}, metadataUse{}, "demands a token"},
		{machine.Metadata{Reachable: true}, asks, "with a token and without; the app asks : /srv/shop/settings.py:12"},
		{machine.Metadata{}, asks, "cannot be reached"},
		{machine.Metadata{Disabled: true}, asks, "AWS_EC2_METADATA_DISABLED"},
		{machine.Metadata{Reachable: true, TokenRequired: true, TokenLost: true, Err: errors.New("no token")}, asks, "one hop far"},
		{machine.Metadata{Reachable: true, Err: errors.New("knows no private address")}, asks, "knows no private address"},
	} {
		if notes := metadataNotes(test.metadata, test.use); !said(notes, test.want) {
			t.Errorf("%+v: %+v, want %q", test.metadata, notes, test.want)
		}
	}
}

// Services that do not run are told where that may be the cause; the site's own
// in any case.
func TestUnitNotes(t *testing.T) {
	t.Parallel()
	units := []machine.Unit{
		{Name: "fwupd.service", Active: "failed", Sub: "failed"},
		{Name: "shop.service", Active: "activating", Sub: "auto-restart"},
	}
	both := "fwupd shop"
	for _, test := range []struct {
		err  error
		own  []string
		down bool
		want string
	}{
		{nil, nil, false, ""},
		{nil, []string{"shop.service"}, false, "shop"},
		{nil, nil, true, both},
		{fmt.Errorf("no systemd: %w", fs.ErrNotExist), nil, true, ""},
	} {
		var asked []machine.Unit
		if test.err == nil {
			asked = units
		}
		var names []string
		for _, n := range unitNotes(asked, test.err, test.own, test.down) {
			names = append(names, strings.Fields(n.What)[2])
		}
		if got := strings.Join(names, " "); got != test.want {
			t.Errorf("%v, of its own %q, down %v: %q, want %q", test.err, test.own, test.down, got, test.want)
		}
	}
	if notes := unitNotes(nil, errors.New("systemctl: not allowed"), nil, true); !said(notes, "not allowed") {
		t.Errorf("%+v", notes)
	}
}
