package trust

import (
	"fmt"
	"strings"
	"testing"
)

func TestWithoutTLS(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		options Options
		want    string
	}{
		{Options{}, ""},
		{Options{Dir: "/etc"}, ""},
		{Options{CA: "ca.pem"}, "ca: has no effect without TLS: write x:// in url"},
		{
			Options{CA: "ca.pem", Certificate: "c.pem", Key: "k.pem", Insecure: true},
			"ca: has no effect without TLS: write x:// in url\ncertificate: has no effect without TLS: write x:// in url\ninsecure: has no effect without TLS: write x:// in url",
		},
	} {
		err := test.options.WithoutTLS("write x:// in url")
		if got := strings.TrimSuffix(fmt.Sprint(err), "<nil>"); got != test.want {
			t.Errorf("%+v: %q, want %q", test.options, got, test.want)
		}
	}
}

func TestHalfACertificate(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		options Options
		want    string
	}{
		{Options{Certificate: "c.pem", Key: "k.pem"}, "<nil>"},
		{Options{Certificate: "c.pem"}, "key: is missing: the file of the private key that belongs to certificate"},
		{Options{Key: "k.pem"}, "certificate: is missing: the file of the certificate that belongs to key"},
	} {
		if got := fmt.Sprint(test.options.Validate()); got != test.want {
			t.Errorf("%+v: %q, want %q", test.options, got, test.want)
		}
	}
}
