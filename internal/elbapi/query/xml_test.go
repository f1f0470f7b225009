package query

import (
	"testing"
	"time"
)

// The answer's form: SDKs are stricter about some of it than about other parts.
func TestWriteAnAnswer(t *testing.T) {
	t.Parallel()
	service := Service{Namespace: "http://example.com/doc/2026-01-01/"}
	const open, end = `<XResponse xmlns="http://example.com/doc/2026-01-01/">`, "<ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></XResponse>\n"
	for _, test := range []struct {
		name   string
		action Action
		output any
		want   string
	}{
		{
			"lists at the top are there when they are empty",
			Action{Name: "X"},
			&shape{},
			open + "<XResult><Names></Names><Parts></Parts></XResult>" + end,
		},
		{
			"below they are so only if they are set",
			Action{Name: "X"},
			&shape{Names: []string{}, Parts: []part{{ID: new("")}, {Parts: []inner{{Values: []string{}}}}}},
			open + "<XResult><Names></Names><Parts><member><ID></ID></member><member><Parts><member><Values></Values></member></Parts></member></Parts></XResult>" + end,
		},
		{
			"an output of nothing has its element",
			Action{Name: "X"},
			&struct{}{},
			open + "<XResult></XResult>" + end,
		},
		{
			"so has none at all",
			Action{Name: "X"},
			(*shape)(nil),
			open + "<XResult></XResult>" + end,
		},
		{
			"an action without an output has not", Action{Name: "X"}.Silent(),
			&shape{Name: new("a")},
			open + end,
		},
		{
			"values",
			Action{Name: "X"},
			&struct {
				Name *string
				Kind kind
				N    *int64
				F, G *float64
				On   *bool
				At   *time.Time
				Map  map[string]string
			}{new("<a>\x01"), "k", new(int64(-1)), new(0.1), new(1e21), new(false), new(time.Date(2026, 1, 2, 3, 4, 5, 6789e5, time.FixedZone("", 3600))), map[string]string{"b": "2", "a": "1"}},
			open + "<XResult><Name>&lt;a&gt;\uFFFD</Name><Kind>k</Kind><N>-1</N><F>0.1</F><G>1000000000000000000000</G><On>false</On><At>2026-01-02T02:04:05.678Z</At>" +
				"<Map><entry><key>a</key><value>1</value></entry><entry><key>b</key><value>2</value></entry></Map></XResult>" + end,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := string(answer(service, test.action, test.output, "id")); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}
