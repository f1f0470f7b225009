package storage

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// place is what a check's URL names: a bucket and a prefix, or a path.
type place struct {
	bucket string
	prefix string // empty, or ends in a slash
	path   string // of a directory
}

const forms = "write s3://BUCKET/PREFIX, or the path of a directory"

// parsePlace does without percent-encoding: a key of S3 may hold any character.
func parsePlace(raw string) (place, error) {
	if raw == "" {
		return place{}, errors.New("is missing: " + forms)
	}
	if strings.ContainsFunc(raw, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return place{}, errors.New("holds a control character, perhaps a line break at its end")
	}
	if path, ok := strings.CutPrefix(raw, "file://"); ok {
		if !strings.HasPrefix(path, "/") {
			return place{}, errors.New("names a host: write file:///PATH, with three slashes")
		}
		return place{path: path}, nil
	}
	rest, ok := strings.CutPrefix(raw, "s3://")
	if !ok {
		if scheme, _, found := strings.Cut(raw, "://"); found {
			return place{}, fmt.Errorf("has the scheme %q, which is not known here: %s", scheme, forms)
		}
		return place{path: raw}, nil
	}
	bucket, prefix, _ := strings.Cut(rest, "/")
	if strings.ContainsAny(bucket, "@:?# ") || bucket == "" {
		return place{}, errors.New("names no bucket: write s3://BUCKET/PREFIX; host and keys have options of their own")
	}
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	return place{bucket: bucket, prefix: prefix}, nil
}

func parseEndpoint(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return nil, errors.New("is not an http or https URL: write https://HOST:PORT")
	case u.User != nil:
		return nil, errors.New("holds a user: keys have options of their own")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("ends in a query or a fragment: write https://HOST:PORT")
	}
	return u, nil
}

// baseURL returns where a bucket is. The endpoint is nil for AWS.
func baseURL(endpoint *url.URL, region, bucket, style string) *url.URL {
	u := url.URL{Scheme: "https", Host: "s3." + region + ".amazonaws.com"}
	if strings.HasPrefix(region, "cn-") {
		u.Host += ".cn"
	}
	if endpoint != nil {
		u = url.URL{Scheme: endpoint.Scheme, Host: endpoint.Host, Path: strings.TrimSuffix(endpoint.Path, "/")}
	}
	// The certificate of *.s3.REGION.amazonaws.com is for one more label, and
	// host names have no capitals.
	fits := !strings.ContainsAny(bucket, "._") && bucket == strings.ToLower(bucket)
	if style == "virtual" || style != "path" && endpoint == nil && fits {
		u.Host = bucket + "." + u.Host
	} else {
		u.Path += "/" + bucket
	}
	return &u
}
