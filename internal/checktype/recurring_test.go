package checktype_test

import (
	"reflect"
	"strings"
	"testing"

	"hale/internal/checktype"
)

// Options that recur are told alike: who knows one type of check knows them of
// all.
func TestOptionsThatRecur(t *testing.T) {
	begin := map[string]string{
		"ca":          "File of PEM certificates to trust instead of the system's",
		"certificate": "File of the client's own certificate, PEM, for ",
		"key":         "File of the private key of certificate, PEM.",
		"insecure":    "Accept any certificate",
	}
	seen := make(map[string]int)
	for _, row := range checktype.Types() {
		if row.Name == "certificate" { // which looks at certificates for their own sake
			continue
		}
		for _, f := range reflect.VisibleFields(reflect.TypeOf(row.New(checktype.Site{})).Elem()) {
			key := f.Tag.Get("yaml")
			want, ok := begin[key]
			if !ok {
				continue
			}
			seen[key]++
			if got := f.Tag.Get("jsonschema_description"); !strings.HasPrefix(got, want) {
				t.Errorf("%s: %s is described as %q, not as elsewhere: %q", row.Name, key, got, want)
			}
			if key == "insecure" && f.Tag.Get("jsonschema") != "default=false" {
				t.Errorf("%s: %s has no default=false", row.Name, key)
			}
		}
	}
	for key := range begin {
		if seen[key] < 5 {
			t.Errorf("%s is an option of %d types", key, seen[key])
		}
	}
}
