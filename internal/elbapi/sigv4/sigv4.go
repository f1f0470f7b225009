// Package sigv4 checks the signatures that AWS's clients put on their requests:
// Signature Version 4, in a header or in the query string (IAM User Guide, "AWS
// Signature Version 4 for API requests"). Refusals are *elb.Error with AWS's
// codes.
package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"hale/internal/elb"
	"hale/internal/elbapi/wire"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	terminator = "aws4_request"
	timeForm   = "20060102T150405Z"
	dayForm    = "20060102"
	// skew is how far a client's clock may be off. The messages of AWS's Query
	// services have it: "(... - 5 min.)".
	skew = 5 * time.Minute
	// mostExpires is how long a signature in a query string may be good for.
	mostExpires = 7 * 24 * time.Hour
)

// Codes of refusals (AWS General Reference, common errors). A clock that is off
// is a SignatureDoesNotMatch to the Query services, and its message says so.
const (
	codeMissing    = "MissingAuthenticationToken"
	codeIncomplete = "IncompleteSignature"
	codeUnknownKey = "InvalidClientTokenId"
	codeMismatch   = "SignatureDoesNotMatch"
	codeExpired    = "RequestExpired"
)

// Verifier checks requests.
type Verifier struct {
	// Secrets are the secret access keys, by their access key ids.
	Secrets map[string]string
	// Region is the one that requests have to be signed for; empty: any.
	Region string
}

// Verify tells whether a request with this body was signed, for this service,
// by someone who has one of the secrets. Nothing but the scheme of the URL can be
// changed under a signature: method, path, query, the headers that are named in
// it, and the body are all in it.
func (v Verifier) Verify(r *http.Request, body []byte, service string) error {
	s, err := read(r)
	if err != nil {
		return err
	}
	if err := s.fresh(time.Now()); err != nil {
		return err
	}
	switch {
	case s.service != service:
		return elb.Errorf(codeMismatch, "Credential should be scoped to correct service: '%s'.", service)
	case v.Region != "" && s.region != v.Region:
		return elb.Errorf(codeMismatch, "Credential should be scoped to a valid region, not %s: this is %s", wire.Quoted(s.region), v.Region)
	case !slices.Contains(s.headers, "host"):
		return elb.Errorf(codeMismatch, "'Host' must be a 'SignedHeader' in the AWS Authorization.")
	}
	secret, ok := v.Secrets[s.key]
	if !ok {
		return elb.Errorf(codeUnknownKey, "The security token included in the request is invalid.")
	}
	if !hmac.Equal(s.sign(secret, r, body), s.value) {
		return elb.Errorf(codeMismatch, "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.")
	}
	return nil
}

// signature is what a request has of one.
type signature struct {
	key                  string
	day, region, service string
	at                   time.Time
	expires              time.Duration // 0 of one in a header
	headers              []string      // that are signed, in lower case
	value                []byte
	query                string // canonical
}

// read takes the signature from the header or the query string.
func read(r *http.Request) (signature, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return signature{}, elb.Errorf("MalformedQueryString", "The query string is none: %v", err)
	}
	switch authorization := r.Header.Values("Authorization"); {
	case len(authorization) == 1:
		return inHeader(authorization[0], r.Header.Get("X-Amz-Date"), values)
	case len(authorization) > 1:
		return signature{}, elb.Errorf(codeIncomplete, "The request has more than one Authorization header")
	case values.Has("X-Amz-Signature") || values.Has("X-Amz-Algorithm"):
		return inQuery(values)
	default:
		return signature{}, elb.Errorf(codeMissing, "Request is missing Authentication Token")
	}
}

func inHeader(authorization, at string, values url.Values) (signature, error) {
	scheme, rest, _ := strings.Cut(authorization, " ")
	if scheme != algorithm {
		return signature{}, elb.Errorf(codeIncomplete, "Unsupported AWS 'algorithm': %s, it has to be %s", wire.Quoted(scheme), algorithm)
	}
	parts := make(map[string]string)
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		parts[name] = value
	}
	for _, name := range []string{"Credential", "SignedHeaders", "Signature"} {
		if parts[name] == "" {
			return signature{}, elb.Errorf(codeIncomplete, "Authorization header requires '%s' parameter.", name)
		}
	}
	if at == "" {
		return signature{}, elb.Errorf(codeIncomplete, "Authorization header requires existence of a 'X-Amz-Date' header.")
	}
	return parse(parts["Credential"], parts["SignedHeaders"], parts["Signature"], at, values)
}

func inQuery(values url.Values) (signature, error) {
	for _, name := range []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature"} {
		if len(values[name]) != 1 || values.Get(name) == "" {
			return signature{}, elb.Errorf(codeIncomplete, "AWS query-string parameters must include '%s'.", name)
		}
	}
	if given := values.Get("X-Amz-Algorithm"); given != algorithm {
		return signature{}, elb.Errorf(codeIncomplete, "Unsupported AWS 'algorithm': %s, it has to be %s", wire.Quoted(given), algorithm)
	}
	seconds, err := strconv.Atoi(values.Get("X-Amz-Expires"))
	if most := int(mostExpires / time.Second); err != nil || seconds < 1 || seconds > most {
		return signature{}, elb.Errorf(codeIncomplete, "X-Amz-Expires %s is not between 1 and %d seconds", wire.Quoted(values.Get("X-Amz-Expires")), most)
	}
	value := values.Get("X-Amz-Signature")
	values.Del("X-Amz-Signature")
	s, err := parse(values.Get("X-Amz-Credential"), values.Get("X-Amz-SignedHeaders"), value, values.Get("X-Amz-Date"), values)
	s.expires = time.Duration(seconds) * time.Second
	return s, err
}

func parse(credential, headers, value, at string, values url.Values) (signature, error) {
	s := signature{headers: strings.Split(headers, ";"), query: canonicalQuery(values)}
	scope := strings.Split(credential, "/")
	if len(scope) != 5 || scope[4] != terminator {
		return s, elb.Errorf(codeIncomplete, "Credential must have exactly 5 slash-delimited elements, as in keyid/date/region/service/%s, got %s", terminator, wire.Quoted(credential))
	}
	s.key, s.day, s.region, s.service = scope[0], scope[1], scope[2], scope[3]
	var err error
	if s.at, err = time.Parse(timeForm, at); err != nil {
		return s, elb.Errorf(codeIncomplete, "X-Amz-Date %s is no time as in 20260102T030405Z", wire.Quoted(at))
	}
	if day := s.at.Format(dayForm); s.day != day {
		return s, elb.Errorf(codeMismatch, "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: %s != '%s', from '%s'.", wire.Quoted(s.day), day, at)
	}
	if s.value, err = hex.DecodeString(value); err != nil {
		return s, elb.Errorf(codeIncomplete, "The signature %s is no hexadecimal number", wire.Quoted(value))
	}
	return s, nil
}

// fresh refuses what was signed too long ago, or will be signed.
func (s signature) fresh(now time.Time) error {
	now = now.UTC()
	switch {
	case s.at.After(now.Add(skew)):
		return elb.Errorf(codeMismatch, "Signature not yet current: %s is still later than %s (%s + 5 min.)",
			s.at.Format(timeForm), now.Add(skew).Format(timeForm), now.Format(timeForm))
	case s.expires > 0 && now.After(s.at.Add(s.expires)):
		return elb.Errorf(codeExpired, "Request has expired: it was good until %s, and now is %s", s.at.Add(s.expires).Format(timeForm), now.Format(timeForm))
	case s.expires == 0 && s.at.Before(now.Add(-skew)):
		return elb.Errorf(codeMismatch, "Signature expired: %s is now earlier than %s (%s - 5 min.)",
			s.at.Format(timeForm), now.Add(-skew).Format(timeForm), now.Format(timeForm))
	}
	return nil
}

// sign computes the signature that the request should have.
func (s signature) sign(secret string, r *http.Request, body []byte) []byte {
	hash := sha256.Sum256(body)
	var canonical strings.Builder
	canonical.WriteString(r.Method + "\n" + canonicalPath(r.URL) + "\n" + s.query + "\n")
	for _, name := range s.headers {
		canonical.WriteString(name + ":" + header(r, name) + "\n")
	}
	canonical.WriteString("\n" + strings.Join(s.headers, ";") + "\n" + hex.EncodeToString(hash[:]))

	request := sha256.Sum256([]byte(canonical.String()))
	scope := strings.Join([]string{s.day, s.region, s.service, terminator}, "/")
	text := strings.Join([]string{algorithm, s.at.Format(timeForm), scope, hex.EncodeToString(request[:])}, "\n")

	key := []byte("AWS4" + secret)
	for _, part := range []string{s.day, s.region, s.service, terminator, text} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	return key
}

// header returns the canonical value of a header: several as one list, spaces in
// a row as one.
func header(r *http.Request, name string) string {
	values := r.Header.Values(name)
	switch {
	case name == "host":
		values = []string{r.Host}
	case name == "content-length" && len(values) == 0:
		values = []string{strconv.FormatInt(r.ContentLength, 10)}
	}
	canonical := make([]string, len(values))
	for i, value := range values {
		canonical[i] = strings.Join(strings.Fields(value), " ")
	}
	return strings.Join(canonical, ",")
}

// canonicalPath is encoded twice, as all services but S3 have it.
func canonicalPath(u *url.URL) string {
	path := u.EscapedPath()
	if path == "" {
		return "/"
	}
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		segments[i] = escape(segment)
	}
	return strings.Join(segments, "/")
}

func canonicalQuery(values url.Values) string {
	encoded := make(map[string][]string, len(values))
	for name, all := range values {
		for _, value := range all {
			encoded[escape(name)] = append(encoded[escape(name)], escape(value))
		}
	}
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(encoded)) {
		for _, value := range slices.Sorted(slices.Values(encoded[name])) {
			pairs = append(pairs, name+"="+value)
		}
	}
	return strings.Join(pairs, "&")
}

// escape encodes all but unreserved characters (RFC 3986).
func escape(text string) string {
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}
