package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// duty is a piece of the gateway's job.
type duty int

const (
	dutyPage duty = iota
	dutyHeaders
	dutyHosts
	dutyRedirect
)

// inspect finds out whether a gateway does the job that all of them are given:
// only the public host is served, plain HTTP is redirected to https with path
// and query kept, and answers carry the two security headers. What a program has
// no means for is not looked at.
func (b *bench) inspect(ctx context.Context, url string, cannot []duty) error {
	for _, tt := range []struct {
		duty
		what   string
		change func(*http.Request)
		status int
		header map[string]string
	}{
		{
			dutyPage, "the page", func(*http.Request) {}, http.StatusOK, nil,
		},
		{
			dutyHeaders, "the page's headers", func(*http.Request) {}, http.StatusOK,
			map[string]string{"Strict-Transport-Security": "max-age=60", "X-Content-Type-Options": "nosniff"},
		},
		{
			dutyHosts, "a foreign host", func(r *http.Request) { r.Host = "evil.example" }, http.StatusBadRequest, nil,
		},
		{
			dutyRedirect, "plain HTTP", func(r *http.Request) { r.Header.Del("X-Forwarded-Proto") }, http.StatusMovedPermanently,
			map[string]string{"Location": "https://" + b.host + smallPath + "?a=b"},
		},
	} {
		if slices.Contains(cannot, tt.duty) {
			continue
		}
		r, err := b.request(ctx, url)
		if err != nil {
			return err
		}
		r.URL.Path, r.URL.RawQuery = smallPath, "a=b"
		tt.change(r)
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			return fmt.Errorf("%s: %w", tt.what, err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		if answer.StatusCode != tt.status {
			return fmt.Errorf("%s: status %d, want %d", tt.what, answer.StatusCode, tt.status)
		}
		for name, want := range tt.header {
			// A redirect may name https's own port, as load balancers' do.
			if got := strings.Replace(answer.Header.Get(name), b.host+":443/", b.host+"/", 1); got != want {
				return fmt.Errorf("%s: %s: %q, want %q", tt.what, name, got, want)
			}
		}
	}
	return nil
}
