package page

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"
)

// hint says what an unexpected answer usually means.
func (c *Check) hint(resp *http.Response, host string) string {
	switch {
	case resp.StatusCode == http.StatusBadRequest:
		return fmt.Sprintf("is %s among the hosts that the app allows? ALLOWED_HOSTS in Django", host)
	case resp.StatusCode >= 300 && resp.StatusCode <= 399:
		return c.redirectHint(resp, host)
	case resp.StatusCode == http.StatusUnauthorized:
		return "the page wants a login: choose a public one, or expect 401"
	case resp.StatusCode == http.StatusForbidden:
		return fmt.Sprintf("does the app refuse %s, or requests without a login?", host)
	default:
		return ""
	}
}

// redirectHint compares where a redirect leads with what was asked for.
func (c *Check) redirectHint(resp *http.Response, host string) string {
	to, err := resp.Location()
	if err != nil {
		return "a redirect without a usable Location"
	}
	asked := resp.Request.URL
	switch {
	case !strings.EqualFold(to.Host, host):
		return fmt.Sprintf("the app knows the site as %s: set host to it", to.Host)
	case to.Path == asked.Path && to.Scheme == "https" && cmp.Or(c.ForwardedProto, "https") == "https":
		return "the app does not believe X-Forwarded-Proto: SECURE_PROXY_SSL_HEADER in Django, forwarded-allow-ips of gunicorn and uvicorn"
	case to.Path == asked.Path && to.Scheme == "https":
		return "the app wants https: set forwarded_proto to https"
	case strings.TrimSuffix(to.Path, "/") == strings.TrimSuffix(asked.Path, "/"):
		return fmt.Sprintf("set path to %s", to.Path)
	default:
		return "choose a page that does not redirect, set follow, or expect this status"
	}
}
