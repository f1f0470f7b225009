package doctor

import (
	"encoding/json"
	"testing"
)

func TestEvidenceAsJSON(t *testing.T) {
	for name, test := range map[string]struct {
		evidence Evidence
		want     string
	}{
		"statuses": {Evidence{"Host: example.com", "400", "200"}, `{"change":"Host: example.com","before":"400","after":"200"}`},
		"a redirect after it": {
			Evidence{"Host: example.com", "400", "301 to https://example.com/health"},
			`{"change":"Host: example.com","before":"400","after":"301","after_location":"https://example.com/health"}`,
		},
		"a redirect before it": {
			Evidence{"X-Forwarded-Proto: https", "302 to /login", "200"},
			`{"change":"X-Forwarded-Proto: https","before":"302","after":"200","before_location":"/login"}`,
		},
		"no answer": {
			Evidence{"path /a", "connection refused", "closed without a byte after 3ms"},
			`{"change":"path /a","before":"connection refused","after":"closed without a byte after 3ms"}`,
		},
	} {
		got, err := json.Marshal(test.evidence)
		if err != nil || string(got) != test.want {
			t.Errorf("%s: %s, %v, want %s", name, got, err, test.want)
		}
	}
}
