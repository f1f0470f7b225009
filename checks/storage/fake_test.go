package storage_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"hale/test/servers"
)

const (
	keyID  = "AKIDEXAMPLE"
	secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

// fake is an S3 service with one bucket, as the API reference of Amazon S3 has
// it. It verifies signatures (Signature Version 4) by its own means, and keeps
// versions if it is told to.
type fake struct {
	*httptest.Server
	bucket    string
	domain    string        // the bucket stands before it in the host's name; empty: in the path
	region    string        // that signatures must be for
	elsewhere string        // the region of the bucket; empty: this one
	token     string        // that requests must carry
	ahead     time.Duration // its clock
	versions  bool

	mu       sync.Mutex
	denied   string                                        // an action that is not allowed
	broken   func(action string) (status int, code string) // nil: nothing is
	stuck    map[string]chan struct{}                      // actions that are not answered until closed
	objects  map[string][]version
	conns    map[net.Conn]bool
	requests []string
}

type version struct {
	id, content string
	written     time.Time
	marker      bool // in place of content: the object was deleted
}

func newFake() *fake {
	return &fake{bucket: "media", region: "us-east-1", objects: make(map[string][]version), stuck: make(map[string]chan struct{}), conns: make(map[net.Conn]bool)}
}

func (f *fake) start(t *testing.T, cert ...servers.Certificate) *fake {
	t.Helper()
	f.Server = httptest.NewUnstartedServer(f)
	f.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that hang up are the point
	f.Config.ConnState = func(conn net.Conn, state http.ConnState) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if state == http.StateClosed || state == http.StateHijacked {
			delete(f.conns, conn)
		} else {
			f.conns[conn] = true
		}
	}
	if len(cert) > 0 {
		f.TLS = &tls.Config{Certificates: []tls.Certificate{cert[0].TLS(t)}}
		f.StartTLS()
	} else {
		f.Start()
	}
	t.Cleanup(func() {
		f.mu.Lock()
		for action, stuck := range f.stuck {
			close(stuck)
			delete(f.stuck, action)
		}
		f.mu.Unlock()
		f.Close()
	})
	return f
}

func (f *fake) address() string { return f.Listener.Addr().String() }

func (f *fake) open() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.conns)
}

// left counts all versions of all objects.
func (f *fake) left() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, versions := range f.objects {
		n += len(versions)
	}
	return n
}

func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return // the client is gone
	}
	bucket, key := f.names(r)
	action := r.Method
	if key == "" {
		action = "LIST"
	}
	f.mu.Lock()
	stuck := f.stuck[action]
	f.requests = append(f.requests, action)
	f.mu.Unlock()
	if stuck != nil {
		<-stuck
	}
	w.Header().Set("Date", time.Now().Add(f.ahead).UTC().Format(http.TimeFormat))
	if f.broken != nil {
		if status, code := f.broken(action); status != 0 {
			refuse(w, status, code, "We encountered an internal error. Please try again.", "")
			return
		}
	}
	if !f.authentic(w, r, body) {
		return
	}
	switch {
	case bucket != f.bucket:
		refuse(w, http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist", "")
	case f.elsewhere != "":
		w.Header().Set("X-Amz-Bucket-Region", f.elsewhere)
		refuse(w, http.StatusMovedPermanently, "PermanentRedirect", "The bucket you are attempting to access must be addressed using the specified endpoint.", "")
	default:
		f.act(w, r, action, key, string(body))
	}
}

// names returns the bucket and the key of a request.
func (f *fake) names(r *http.Request) (bucket, key string) {
	if f.domain != "" {
		bucket, ok := strings.CutSuffix(r.Host, "."+f.domain)
		if !ok {
			return "", ""
		}
		return bucket, strings.TrimPrefix(r.URL.Path, "/")
	}
	bucket, key, _ = strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	return bucket, key
}

func (f *fake) act(w http.ResponseWriter, r *http.Request, action, key, body string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	permission := action
	id := r.URL.Query().Get("versionId")
	if id != "" {
		permission += " version"
	}
	if f.denied == permission {
		refuse(w, http.StatusForbidden, "AccessDenied", "Access Denied", "")
		return
	}
	all := f.objects[key]
	switch action {
	case "LIST":
		f.list(w, r)
	case http.MethodPut:
		v := version{id: "v" + strconv.Itoa(len(all)+1), content: body, written: time.Now()}
		if f.versions {
			w.Header().Set("X-Amz-Version-Id", v.id)
			f.objects[key] = append(all, v)
		} else {
			f.objects[key] = []version{v}
		}
	case http.MethodGet:
		if len(all) == 0 || all[len(all)-1].marker {
			refuse(w, http.StatusNotFound, "NoSuchKey", "The specified key does not exist.", "")
			return
		}
		fmt.Fprint(w, all[len(all)-1].content)
	case http.MethodDelete:
		switch {
		case id != "":
			f.objects[key] = slices.DeleteFunc(all, func(v version) bool { return v.id == id })
		case f.versions:
			f.objects[key] = append(all, version{id: "m" + strconv.Itoa(len(all)+1), marker: true})
		default:
			delete(f.objects, key)
		}
		w.WriteHeader(http.StatusNoContent)
	default:
		refuse(w, http.StatusMethodNotAllowed, "MethodNotAllowed", "The specified method is not allowed against this resource.", "")
	}
}

func (f *fake) list(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	most, err := strconv.Atoi(query.Get("max-keys"))
	if err != nil || query.Get("list-type") != "2" {
		refuse(w, http.StatusBadRequest, "InvalidArgument", "max-keys", "")
		return
	}
	type contents struct {
		Key          string
		LastModified string
		Size         int
	}
	result := struct {
		XMLName  xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
		Name     string
		Prefix   string
		MaxKeys  int
		Contents []contents
	}{Name: f.bucket, Prefix: query.Get("prefix"), MaxKeys: most}
	for key, all := range f.objects {
		if len(all) == 0 || all[len(all)-1].marker || !strings.HasPrefix(key, result.Prefix) || len(result.Contents) == most {
			continue
		}
		last := all[len(all)-1]
		result.Contents = append(result.Contents, contents{key, last.written.UTC().Format("2006-01-02T15:04:05.000Z"), len(last.content)})
	}
	w.Header().Set("Content-Type", "application/xml")
	_ = xml.NewEncoder(w).Encode(result)
}

func refuse(w http.ResponseWriter, status int, code, message, region string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "%s<Error><Code>%s</Code><Message>%s</Message>", xml.Header, code, message)
	if region != "" {
		fmt.Fprintf(w, "<Region>%s</Region>", region)
	}
	fmt.Fprint(w, "<RequestId>4442587FB7D0A2F9</RequestId></Error>")
}

// authentic verifies a request's signature
// (https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html).
func (f *fake) authentic(w http.ResponseWriter, r *http.Request, body []byte) bool {
	fields, ok := strings.CutPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ")
	if !ok {
		refuse(w, http.StatusForbidden, "AccessDenied", "Access Denied", "")
		return false
	}
	said := make(map[string]string)
	for field := range strings.SplitSeq(fields, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		said[name] = value
	}
	scope := strings.Split(said["Credential"], "/")
	date := r.Header.Get("X-Amz-Date")
	at, err := time.Parse("20060102T150405Z", date)
	sum := sha256.Sum256(body)
	off := time.Now().Add(f.ahead).Sub(at).Abs()
	switch {
	case len(scope) != 5 || err != nil || scope[1] != date[:8] || scope[3] != "s3" || scope[4] != "aws4_request":
		refuse(w, http.StatusBadRequest, "AuthorizationHeaderMalformed", "The authorization header is malformed.", "")
	case scope[0] != keyID:
		refuse(w, http.StatusForbidden, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.", "")
	case off > 15*time.Minute:
		refuse(w, http.StatusForbidden, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.", "")
	case r.Header.Get("X-Amz-Security-Token") != f.token:
		refuse(w, http.StatusBadRequest, "ExpiredToken", "The provided token has expired.", "")
	case scope[2] != f.region:
		refuse(w, http.StatusBadRequest, "AuthorizationHeaderMalformed", "The authorization header is malformed; the region '"+scope[2]+"' is wrong; expecting '"+f.region+"'", f.region)
	case r.Header.Get("X-Amz-Content-Sha256") != hex.EncodeToString(sum[:]):
		refuse(w, http.StatusBadRequest, "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed.", "")
	case said["Signature"] != signature(r, said["SignedHeaders"], scope[1:], date):
		refuse(w, http.StatusForbidden, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.", "")
	default:
		return true
	}
	return false
}

func signature(r *http.Request, signed string, scope []string, date string) string {
	var headers strings.Builder
	for name := range strings.SplitSeq(signed, ";") {
		value := strings.Join(r.Header.Values(name), ",")
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = strconv.FormatInt(r.ContentLength, 10)
		}
		fmt.Fprintf(&headers, "%s:%s\n", name, strings.TrimSpace(value))
	}
	var query []string
	for name, values := range r.URL.Query() {
		for _, value := range values {
			query = append(query, escape(name, "")+"="+escape(value, ""))
		}
	}
	slices.Sort(query)
	canonical := strings.Join([]string{
		r.Method, escape(r.URL.Path, "/"), strings.Join(query, "&"), headers.String(), signed, r.Header.Get("X-Amz-Content-Sha256"),
	}, "\n")
	sum := sha256.Sum256([]byte(canonical))
	text := strings.Join([]string{"AWS4-HMAC-SHA256", date, strings.Join(scope, "/"), hex.EncodeToString(sum[:])}, "\n")
	key := []byte("AWS4" + secret)
	for _, part := range append(slices.Clone(scope), text) {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	return hex.EncodeToString(key)
}

// escape is UriEncode of the signature's definition.
func escape(text, also string) string {
	escaped := strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
	if also == "/" {
		escaped = strings.ReplaceAll(escaped, "%2F", "/")
	}
	return escaped
}
