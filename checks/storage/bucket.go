package storage

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"hale/checks/internal/web"
)

// maxObject bounds what is read of an object, in bytes: more than was written.
const maxObject = 4 << 10

// maxList bounds an answer that is a list, in bytes.
const maxList = 256 << 10

// bucket is a store behind the S3 API
// (https://docs.aws.amazon.com/AmazonS3/latest/API/Welcome.html).
type bucket struct {
	place     place
	base      *url.URL // of the bucket
	region    string
	keys      aws.Credentials
	within    time.Duration // that the whole run may take
	transport *http.Transport
	forget    func() // the keys are no good any more
}

func (c *Check) openBucket(ctx context.Context, place place, within time.Duration) (*bucket, error) {
	endpoint, err := c.endpoint()
	if err != nil {
		return nil, err
	}
	finder := c.finder()
	region := cmp.Or(c.Region, finder.Region())
	if region == "" && endpoint != nil {
		region = "us-east-1" // what MinIO and Ceph take unless they are told otherwise
	}
	if region == "" {
		return nil, errors.New("no region: set region, or AWS_REGION in the environment")
	}
	keys, err := c.credentials(ctx, finder)
	if err != nil {
		return nil, err
	}
	base := baseURL(endpoint, region, place.bucket, c.Style)
	config, err := c.trust().Config(base.Hostname())
	if err != nil {
		return nil, err
	}
	dial := c.dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	transport := web.TransportVia(dial, config)
	transport.ExpectContinueTimeout = time.Hour // longer than any run: see put
	return &bucket{
		place:     place,
		base:      base,
		region:    region,
		keys:      keys,
		within:    within,
		transport: transport,
		forget:    func() { c.roles.keys = aws.Credentials{} },
	}, nil
}

// endpoint returns nil for AWS.
func (c *Check) endpoint() (*url.URL, error) {
	for _, source := range []struct{ name, value string }{
		{"endpoint", c.Endpoint},
		{"AWS_ENDPOINT_URL_S3", c.lookup("AWS_ENDPOINT_URL_S3")},
		{"AWS_ENDPOINT_URL", c.lookup("AWS_ENDPOINT_URL")},
	} {
		if source.value != "" {
			u, err := parseEndpoint(source.value)
			if err != nil {
				return nil, fmt.Errorf("%s %w", source.name, err)
			}
			return u, nil
		}
	}
	return nil, nil
}

func (b *bucket) where() string {
	return fmt.Sprintf("s3://%s/%s at %s", b.place.bucket, b.place.prefix, web.Address(b.base))
}

func (b *bucket) close() { b.transport.CloseIdleConnections() }

// put lets the service say that it wants the content before it is sent. So a
// request that a hanging network delivers after its run has no content, and
// writes nothing.
func (b *bucket) put(ctx context.Context, name, content string) (string, error) {
	answer, err := b.do(ctx, http.MethodPut, name, nil, content)
	if err != nil {
		return "", err
	}
	if answer.Status/100 != 2 {
		return "", b.refusal("write an object", "s3:PutObject", answer)
	}
	return answer.Header.Get("X-Amz-Version-Id"), nil
}

func (b *bucket) get(ctx context.Context, name string) (string, error) {
	answer, err := b.do(ctx, http.MethodGet, name, nil, "")
	if err != nil {
		return "", err
	}
	if answer.Status != http.StatusOK {
		return "", b.refusal("read an object", "s3:GetObject", answer)
	}
	return string(answer.Body), nil
}

// remove deletes an object. In a bucket with versions, that leaves a version and
// a marker unless the version is named.
func (b *bucket) remove(ctx context.Context, name, version string) error {
	query := url.Values{}
	permission := "s3:DeleteObject"
	if version != "" && version != "null" {
		query.Set("versionId", version)
		permission = "s3:DeleteObjectVersion"
	}
	answer, err := b.do(ctx, http.MethodDelete, name, query, "")
	if err != nil {
		return unanswered{err}
	}
	if answer.Status/100 != 2 && answer.Status != http.StatusNotFound {
		return b.refusal("delete an object", permission, answer)
	}
	return nil
}

func (b *bucket) list(ctx context.Context, prefix string) ([]object, error) {
	query := url.Values{"list-type": {"2"}, "prefix": {b.place.prefix + prefix}, "max-keys": {"1"}}
	if prefix != "" {
		query.Set("max-keys", "50")
	}
	answer, err := b.do(ctx, http.MethodGet, "", query, "")
	if err != nil {
		return nil, err
	}
	if answer.Status != http.StatusOK {
		return nil, b.refusal("list", "s3:ListBucket", answer)
	}
	var result struct {
		XMLName  xml.Name `xml:"ListBucketResult"`
		Contents []struct {
			Key          string
			LastModified time.Time
		}
	}
	if err := xml.Unmarshal(answer.Body, &result); err != nil {
		return nil, fmt.Errorf("answers, but not as S3: no list of a bucket in the answer: %s", web.Address(b.base))
	}
	var objects []object
	for _, found := range result.Contents {
		objects = append(objects, object{strings.TrimPrefix(found.Key, b.place.prefix), found.LastModified})
	}
	return objects, nil
}

// do signs and sends one request about an object, or about the bucket if name is
// empty.
func (b *bucket) do(ctx context.Context, method, name string, query url.Values, content string) (*web.Answer, error) {
	u := *b.base
	u.Path += "/"
	if name != "" {
		u.Path += b.place.prefix + name
	}
	u.RawPath = escapePath(u.Path)
	// S3 wants %20 for a space, and so does the signature.
	u.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20")
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader([]byte(content)))
	if err != nil {
		return nil, err
	}
	req.URL.RawPath = u.RawPath
	req.Header.Set("User-Agent", "hale/"+web.Version()+" storage check")
	if content != "" {
		req.Header.Set("Expect", "100-continue")
	}
	sum := sha256.Sum256([]byte(content))
	hash := hex.EncodeToString(sum[:])
	req.Header.Set("X-Amz-Content-Sha256", hash)
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	if err := signer.SignHTTP(ctx, b.keys, req, hash, "s3", b.region, time.Now()); err != nil {
		return nil, err
	}
	limit := int64(maxObject)
	if name == "" {
		limit = maxList
	}
	return web.Exchange(b.transport, req, web.Address(b.base), b.within, limit)
}

// escapePath escapes all but the unreserved characters and the slash, as the
// signature's canonical form has it.
func escapePath(path string) string {
	var escaped strings.Builder
	for i := range len(path) {
		c := path[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~/", c) >= 0 {
			escaped.WriteByte(c)
		} else {
			fmt.Fprintf(&escaped, "%%%02X", c)
		}
	}
	return escaped.String()
}
