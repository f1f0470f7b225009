package storage

import (
	"net/url"
	"testing"
)

func TestBaseURL(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ endpoint, region, bucket, style, want string }{
		{"", "eu-west-1", "media", "", "https://media.s3.eu-west-1.amazonaws.com"},
		{"", "cn-north-1", "media", "auto", "https://media.s3.cn-north-1.amazonaws.com.cn"},
		{"", "eu-west-1", "media.example.com", "", "https://s3.eu-west-1.amazonaws.com/media.example.com"}, // its certificate has no two labels
		{"", "us-east-1", "Media", "", "https://s3.us-east-1.amazonaws.com/Media"},
		{"", "eu-west-1", "media", "path", "https://s3.eu-west-1.amazonaws.com/media"},
		{"http://minio:9000", "us-east-1", "media", "", "http://minio:9000/media"},
		{"https://proxy/s3/", "us-east-1", "media", "path", "https://proxy/s3/media"},
		{"https://objects.example.com", "us-east-1", "media", "virtual", "https://media.objects.example.com"},
	} {
		var endpoint *url.URL
		if test.endpoint != "" {
			var err error
			if endpoint, err = parseEndpoint(test.endpoint); err != nil {
				t.Fatal(err)
			}
		}
		if got := baseURL(endpoint, test.region, test.bucket, test.style).String(); got != test.want {
			t.Errorf("%+v: got %s", test, got)
		}
	}
}

func FuzzParsePlace(f *testing.F) {
	for _, seed := range []string{"s3://bucket/prefix", "file:///srv", "media", "s3://b//", "gs://b", "s3://k:s@h/b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		p, err := parsePlace(raw)
		if err == nil && (p.bucket == "") == (p.path == "") {
			t.Errorf("%q: %+v", raw, p)
		}
	})
}
