// Package web asks for a web page once and judges the answer. It is the engine
// of the checks that speak HTTP.
package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"hale/checks"
	"hale/internal/explain"
)

// maxBody bounds how much of an answer's body is read, in bytes.
const maxBody = 1 << 20

// Request is one question and what the answer has to be.
type Request struct {
	Transport http.RoundTripper // must open a connection of its own for each request
	Method    string            // "" means GET
	URL       *url.URL
	Host      string // "" means the URL's
	Headers   map[string]string
	UserAgent string // used if Headers has none

	Status   checks.StatusSet
	Contains string
	Matches  checks.Pattern
	Follow   int // how many redirects to follow
	// MayFollow tells whether a redirect to a URL may be followed; nil means
	// any http or https URL may.
	MayFollow func(*url.URL) bool

	Name  string // of the question in messages, "GET / as mysite.com"
	Where string // what is connected to, in messages: host:port or a path
	Hint  func(*http.Response) string
}

// Ask asks once, and returns a line about the answer if it is as it has to be.
// Nothing stays open afterwards.
func (r *Request) Ask(ctx context.Context) (string, error) {
	status, _, err := r.Fetch(ctx)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s: %d", r.Name, status), nil
}

// Fetch asks once, and returns the answer's status and the beginning of its
// body if it is as it has to be. Nothing stays open afterwards.
func (r *Request) Fetch(ctx context.Context) (status int, body []byte, err error) {
	start := time.Now()
	resp, err := r.send(ctx)
	if err != nil {
		return 0, nil, r.failed(ctx, start, "no answer", err)
	}
	defer resp.Body.Close()
	body, truncated, err := read(resp.Body)
	// The status comes first: the body of an error page that breaks off is not
	// the news.
	if !r.Status.Contains(resp.StatusCode) {
		return 0, nil, errors.New(r.wrongStatus(resp))
	}
	if err != nil {
		return 0, nil, r.failed(ctx, start, fmt.Sprintf("%d, but the page did not end", resp.StatusCode), err)
	}
	if text := r.wrongBody(resp, body, truncated); text != "" {
		return 0, nil, errors.New(text)
	}
	return resp.StatusCode, body, nil
}

// send sends the request and follows redirects as far as allowed; the last
// answer is the answer.
func (r *Request) send(ctx context.Context) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", r.UserAgent)
	req.Header.Set("Accept", "*/*")
	for key, value := range r.Headers {
		req.Header.Set(key, value)
	}
	// A Host among the headers would not be sent from there.
	req.Host = r.Host
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
		req.Header.Del("Host")
	}
	client := &http.Client{
		Transport: r.Transport,
		CheckRedirect: func(next *http.Request, via []*http.Request) error {
			if len(via) > r.Follow || r.MayFollow != nil && !r.MayFollow(next.URL) {
				return http.ErrUseLastResponse
			}
			return nil
		},
	}
	return client.Do(req)
}

// read reads at most maxBody of a body.
func read(body io.Reader) (content []byte, truncated bool, err error) {
	content, err = io.ReadAll(io.LimitReader(body, maxBody+1))
	if len(content) > maxBody {
		return content[:maxBody], true, nil
	}
	return content, false, err
}

func (r *Request) wrongStatus(resp *http.Response) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d", r.Name, resp.StatusCode)
	if location := location(resp); location != "" {
		b.WriteString(" to " + location)
	}
	fmt.Fprintf(&b, ", expected %v", r.Status)
	if r.Hint != nil {
		if hint := r.Hint(resp); hint != "" {
			b.WriteString(" (" + hint + ")")
		}
	}
	return b.String()
}

// location is where a redirect leads, without what may be secret in it.
func location(resp *http.Response) string {
	if resp.StatusCode < 300 || resp.StatusCode > 399 {
		return ""
	}
	to, err := resp.Location()
	if err != nil {
		return ""
	}
	return explain.Line(Public(to))
}

// Public returns a URL without user, password, query and fragment, for
// messages.
func Public(u *url.URL) string {
	public := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	if u.RawQuery != "" {
		return public.String() + "?..."
	}
	return public.String()
}

func (r *Request) wrongBody(resp *http.Response, body []byte, truncated bool) string {
	where := "the page"
	if truncated {
		where = "the first 1MiB of the page"
	}
	if encoding := resp.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		where += fmt.Sprintf(", which came compressed (%s) without being asked for,", explain.Line(encoding))
	}
	switch {
	case !bytes.Contains(body, []byte(r.Contains)):
		return fmt.Sprintf("%s: %d, but %s does not contain %q", r.Name, resp.StatusCode, where, r.Contains)
	case !r.Matches.Match(body):
		return fmt.Sprintf("%s: %d, but %s does not match %q", r.Name, resp.StatusCode, where, r.Matches)
	default:
		return ""
	}
}

// failed explains an error of the exchange.
func (r *Request) failed(ctx context.Context, start time.Time, waiting string, err error) error {
	// A *url.Error prints the URL with its query; the cause is inside.
	cause, where := err, r.Where
	if outer, ok := errors.AsType[*url.Error](err); ok {
		cause = outer.Err
		// A redirect may have led elsewhere.
		if u, err := url.Parse(outer.URL); err == nil && u.Host != r.URL.Host {
			where = u.Host
		}
	}
	// net/http has no name for this error: the server hung up before the
	// request was on its way.
	if cause.Error() == "http: server closed idle connection" {
		cause = io.EOF
	}
	return &explain.Error{Text: fmt.Sprintf("%s: %v", r.Name, explain.Waiting(ctx, start, waiting, where, cause)), Err: err}
}

// Version is the version of Hale that this program was built with, "dev" if it
// was not built from a release.
var Version = sync.OnceValue(func() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "dev"
	}
	for _, module := range append(info.Deps, &info.Main) {
		if module.Path == "hale" && module.Version != "" && module.Version != "(devel)" {
			return strings.TrimPrefix(module.Version, "v")
		}
	}
	return "dev"
})
