package sigv4_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"hale/internal/elb"
	"hale/internal/elbapi/sigv4"
)

const (
	service = "elasticloadbalancing"
	region  = "eu-west-1"
	body    = "Action=DescribeTargetHealth&Version=2015-12-01"
)

var verifier = sigv4.Verifier{
	Secrets: map[string]string{"AKIDEXAMPLE": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "AKIDOTHER": "other"},
	Region:  region,
}

// signed says how a request is signed; what is zero is as it should be.
type signed struct {
	key, secret, region, service string
	method, url, body            string
	at                           time.Duration // from now
	query                        time.Duration // X-Amz-Expires: the signature is in the query string
	change                       func(*http.Request)
	sent                         string // in place of the body that was signed
}

// TestVerify signs with the SDK's signer.
func TestVerify(t *testing.T) {
	t.Parallel()
	const mismatch = "SignatureDoesNotMatch: The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method."
	replaced := func(old, with string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, with, 1))
		}
	}
	query := func(name, value string) func(*http.Request) {
		return func(r *http.Request) {
			q := r.URL.Query()
			q.Set(name, value)
			r.URL.RawQuery = q.Encode()
		}
	}
	for _, test := range []struct {
		name string
		signed
		want string // empty: it is let in
	}{
		{"a form", signed{}, ""},
		{"by the other key", signed{key: "AKIDOTHER", secret: "other"}, ""},
		{"a question in the query string", signed{method: "GET", url: "http://127.0.0.1:8087/?Names.member.1=a+b&Names.member.1x=%2Fé*&Names=~&Action=DescribeTargetGroups", body: "-"}, ""},
		{"the signature in the query string", signed{method: "GET", url: "http://127.0.0.1:8087/?Action=X&Version=2015-12-01&Name=a%20b", body: "-", query: time.Minute}, ""},
		{"a form with it", signed{query: time.Minute}, ""},
		{"without a signature", signed{change: func(r *http.Request) { r.Header.Del("Authorization") }}, "MissingAuthenticationToken: Request is missing Authentication Token"},
		{"an unknown key", signed{key: "AKIDNOBODY"}, "InvalidClientTokenId: The security token included in the request is invalid."},
		{"a wrong secret", signed{secret: "guess"}, mismatch},
		{"another key's secret", signed{secret: "other"}, mismatch},
		{"another region", signed{region: "us-east-1"}, `SignatureDoesNotMatch: Credential should be scoped to a valid region, not "us-east-1": this is eu-west-1`},
		{"another service", signed{service: "autoscaling"}, "SignatureDoesNotMatch: Credential should be scoped to correct service: 'elasticloadbalancing'."},
		{"another body", signed{sent: strings.Replace(body, "Describe", "Destroy", 1)}, mismatch},
		{"another query", signed{change: query("Action", "DeleteTargetGroup")}, mismatch},
		{"another query, with the signature in it", signed{method: "GET", body: "-", query: time.Minute, change: query("Action", "DeleteTargetGroup")}, mismatch},
		{"a longer life", signed{query: time.Minute, change: query("X-Amz-Expires", "61")}, mismatch},
		{"another method", signed{change: func(r *http.Request) { r.Method = "PUT" }}, mismatch},
		{"another path", signed{change: func(r *http.Request) { r.URL.Path = "/admin" }}, mismatch},
		{"another host", signed{change: func(r *http.Request) { r.Host = "127.0.0.1:8088" }}, mismatch},
		{"another signed header", signed{change: func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }}, mismatch},
		{"another time", signed{change: func(r *http.Request) {
			r.Header.Set("X-Amz-Date", time.Now().UTC().Add(time.Second).Format("20060102T150405Z"))
		}}, mismatch},
		{"another signature", signed{change: replaced("Signature=", "Signature=00")}, mismatch},
		{"none of the host", signed{change: replaced("host;", "")}, "SignatureDoesNotMatch: 'Host' must be a 'SignedHeader' in the AWS Authorization."},
		{"a clock that is a little late", signed{at: -5 * time.Minute}, ""},
		{"a clock that is a little early", signed{at: 5 * time.Minute}, ""},
		{"an old signature", signed{at: -5*time.Minute - time.Second}, "SignatureDoesNotMatch: Signature expired: 19991231T235459Z is now earlier than 19991231T235500Z (20000101T000000Z - 5 min.)"},
		{"one of the future", signed{at: 5*time.Minute + time.Second}, "SignatureDoesNotMatch: Signature not yet current: 20000101T000501Z is still later than 20000101T000500Z (20000101T000000Z + 5 min.)"},
		{"in the query string it has its own life", signed{query: time.Hour, at: -time.Hour}, ""},
		{"and ends with it", signed{query: time.Hour, at: -time.Hour - time.Second}, "RequestExpired: Request has expired: it was good until 19991231T235959Z, and now is 20000101T000000Z"},
		{"too long a life", signed{query: 8 * 24 * time.Hour}, `IncompleteSignature: X-Amz-Expires "691200" is not between 1 and 604800 seconds`},
		{"no life at all", signed{query: time.Hour, change: query("X-Amz-Expires", "")}, "IncompleteSignature: AWS query-string parameters must include 'X-Amz-Expires'."},
		{"another algorithm", signed{change: replaced("AWS4-HMAC-SHA256", "AWS4-NONE")}, `IncompleteSignature: Unsupported AWS 'algorithm': "AWS4-NONE", it has to be AWS4-HMAC-SHA256`},
		{"another algorithm in the query string", signed{query: time.Hour, change: query("X-Amz-Algorithm", "none")}, `IncompleteSignature: Unsupported AWS 'algorithm': "none", it has to be AWS4-HMAC-SHA256`},
		{"half a header", signed{change: func(r *http.Request) {
			r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request")
		}}, "IncompleteSignature: Authorization header requires 'SignedHeaders' parameter."},
		{"half a scope", signed{change: replaced("/aws4_request", "")}, `IncompleteSignature: Credential must have exactly 5 slash-delimited elements, as in keyid/date/region/service/aws4_request, got "AKIDEXAMPLE/20000101/eu-west-1/elasticloadbalancing"`},
		{"a scope of another day", signed{change: replaced("/20000101/", "/20000102/")}, `SignatureDoesNotMatch: Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "20000102" != '20000101', from '20000101T000000Z'.`},
		{"no time", signed{change: func(r *http.Request) { r.Header.Del("X-Amz-Date") }}, "IncompleteSignature: Authorization header requires existence of a 'X-Amz-Date' header."},
		{"no such time", signed{change: func(r *http.Request) { r.Header.Set("X-Amz-Date", "noon\x1b") }}, `IncompleteSignature: X-Amz-Date "noon\x1b" is no time as in 20260102T030405Z`},
		{"a signature that is none", signed{change: replaced("Signature=", "Signature=xyz")}, "IncompleteSignature: The signature "},
		{"two of them", signed{change: func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }}, "IncompleteSignature: The request has more than one Authorization header"},
		{"a password", signed{change: func(r *http.Request) { r.SetBasicAuth("AKIDEXAMPLE", "secret") }}, `IncompleteSignature: Unsupported AWS 'algorithm': "Basic", it has to be AWS4-HMAC-SHA256`},
		{"a query that is none", signed{change: func(r *http.Request) { r.URL.RawQuery = "a=%zz" }}, "MalformedQueryString: The query string is none"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { // it begins at midnight of 2000-01-01
				r, sent := test.request(t)
				err := verifier.Verify(r, []byte(sent), service)
				switch refused, ok := errors.AsType[*elb.Error](err); {
				case test.want == "" && err != nil:
					t.Errorf("refused: %v", err)
				case test.want != "" && (!ok || !strings.HasPrefix(refused.Code+": "+refused.Message, test.want)):
					t.Errorf("error %v\nwant  %s", err, test.want)
				}
			})
		})
	}
}

// request returns the signed request as a server sees it, and its body.
func (s signed) request(t *testing.T) (*http.Request, string) {
	t.Helper()
	or := func(value, otherwise string) string {
		if value == "" {
			return otherwise
		}
		return value
	}
	content := strings.TrimSuffix(or(s.body, body), "-")
	r, err := http.NewRequestWithContext(t.Context(), or(s.method, http.MethodPost), or(s.url, "http://127.0.0.1:8087/"), strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header["X-Amz-Several"] = []string{"  a   b ", "c"}
	credentials := aws.Credentials{AccessKeyID: or(s.key, "AKIDEXAMPLE"), SecretAccessKey: or(s.secret, "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"), SessionToken: "token"}
	hash := sha256.Sum256([]byte(content))
	signer, at := v4.NewSigner(), time.Now().Add(s.at)
	if s.query > 0 {
		q := r.URL.Query()
		q.Set("X-Amz-Expires", strconv.Itoa(int(s.query/time.Second)))
		r.URL.RawQuery = q.Encode()
		signedURL, header, err := signer.PresignHTTP(t.Context(), credentials, r, hex.EncodeToString(hash[:]), or(s.service, service), or(s.region, region), at)
		if err != nil {
			t.Fatal(err)
		}
		if r.URL, err = url.Parse(signedURL); err != nil {
			t.Fatal(err)
		}
		r.Header = header
	} else if err := signer.SignHTTP(t.Context(), credentials, r, hex.EncodeToString(hash[:]), or(s.service, service), or(s.region, region), at); err != nil {
		t.Fatal(err)
	}
	sent := or(s.sent, content)
	seen := httptest.NewRequestWithContext(t.Context(), r.Method, r.URL.String(), strings.NewReader(sent))
	seen.Header = r.Header
	if s.change != nil {
		s.change(seen)
	}
	return seen, sent
}

// TestKnownSignature is "get-vanilla" of AWS's own test suite for Signature
// Version 4.
func TestKnownSignature(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)))
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://example.amazonaws.com/", nil)
		r.Header.Set("X-Amz-Date", "20150830T123600Z")
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31")
		v := sigv4.Verifier{Secrets: verifier.Secrets}
		if err := v.Verify(r, nil, "service"); err != nil {
			t.Error(err)
		}
	})
}
