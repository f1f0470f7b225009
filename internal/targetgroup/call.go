package targetgroup

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/smithy-go"
)

// service is an API of AWS's.
type service struct {
	title string // for people
	// name is that of its endpoints, signatures and permissions, variable that of
	// the environment which says where it is.
	name, variable string
	// version is that of its Query protocol; a service without one speaks JSON,
	// with actions that begin with prefix.
	version, prefix string
}

var (
	elbAPI         = service{title: "ELBv2", name: "elasticloadbalancing", variable: "AWS_ENDPOINT_URL_ELASTIC_LOAD_BALANCING_V2"}
	ec2API         = service{title: "EC2", name: "ec2", variable: "AWS_ENDPOINT_URL_EC2", version: "2016-11-15"}
	autoScalingAPI = service{title: "Auto Scaling", name: "autoscaling", variable: "AWS_ENDPOINT_URL_AUTO_SCALING", version: "2011-01-01"}
	ecsAPI         = service{title: "ECS", name: "ecs", variable: "AWS_ENDPOINT_URL_ECS", prefix: "AmazonEC2ContainerServiceV20141113."}
)

// caller asks one of AWS's APIs without a client of the SDK's, of which that of
// EC2 alone adds several MB to the binary. The signature is the SDK's; of the
// answers that is read which is of use.
type caller struct {
	service
	url    string
	host   string // for messages
	region string
	keys   aws.Credentials
	client bounded
}

// caller returns one for a service, at the endpoint that the flag, the
// environment or the profile gives it, else at AWS's own.
func (r *reader) caller(ctx context.Context, s service) (*caller, error) {
	c := &caller{service: s, region: r.region, keys: r.keys, client: r.http}
	endpoint, local, err := r.options.endpoint(r.profile, s.variable)
	switch {
	case err != nil:
		return nil, err
	case !local && r.keys == dummies:
		return nil, errors.New("the " + s.title + " API was not asked: there are no credentials for it; --endpoint-url and AWS_ENDPOINT_URL are for all services, " + s.variable + " is for this one")
	case endpoint != nil:
		c.url, c.host = endpoint.JoinPath("/").String(), endpoint.Host
		return c, nil
	}
	// Endpoints of a region are called alike, but for the service in front.
	own, err := elbv2.NewDefaultEndpointResolverV2().ResolveEndpoint(ctx, elbv2.EndpointParameters{
		Region: &r.region, UseFIPS: aws.Bool(r.fips == aws.FIPSEndpointStateEnabled), UseDualStack: aws.Bool(r.dualStack == aws.DualStackEndpointStateEnabled),
	})
	if err != nil {
		return nil, err
	}
	own.URI.Host = s.name + strings.TrimPrefix(own.URI.Host, elbAPI.name)
	own.URI.Path = "/"
	c.url, c.host = own.URI.String(), own.URI.Host
	return c, nil
}

// query asks over the Query protocol. Into takes the answer's elements.
func (c *caller) query(ctx context.Context, action string, form url.Values, into any) error {
	form.Set("Action", action)
	form.Set("Version", c.version)
	body, err := c.send(ctx, []byte(form.Encode()), http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=utf-8"}})
	if err != nil {
		return err
	}
	in := xml.NewDecoder(bytes.NewReader(body))
	for {
		token, err := in.Token()
		if err != nil {
			return &notOfAPI{http.StatusOK}
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if start.Name.Local != action+"Response" || in.DecodeElement(into, &start) != nil {
			return &notOfAPI{http.StatusOK}
		}
		return nil
	}
}

// json asks over JSON 1.1. An answer without the key is none.
func (c *caller) json(ctx context.Context, action string, in map[string]any, key string, into any) error {
	asked, err := json.Marshal(in)
	if err != nil {
		return err
	}
	body, err := c.send(ctx, asked, http.Header{"Content-Type": {"application/x-amz-json-1.1"}, "X-Amz-Target": {c.prefix + action}})
	if err != nil {
		return err
	}
	var keys map[string]json.RawMessage
	if json.Unmarshal(body, &keys) != nil || keys[key] == nil || json.Unmarshal(body, into) != nil {
		return &notOfAPI{http.StatusOK}
	}
	return nil
}

// send sends a request, again when the API is busy, and returns the body of a
// good answer.
func (c *caller) send(ctx context.Context, body []byte, header http.Header) ([]byte, error) {
	for try, wait := 1, pause/8; ; try, wait = try+1, min(2*wait, pause) {
		answer, err := c.once(ctx, body, header)
		if err == nil || try == attempts || !busy(err) {
			return answer, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(wait):
		}
	}
}

// busy tells whether a request may be answered the next time.
func busy(err error) bool {
	if refused, ok := errors.AsType[smithy.APIError](err); ok {
		_, throttled := retry.DefaultThrottleErrorCodes[refused.ErrorCode()]
		return throttled
	}
	none, ok := errors.AsType[*notOfAPI](err)
	return ok && none.status >= 500
}

func (c *caller) once(ctx context.Context, body []byte, header http.Header) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header = header.Clone()
	req.Header.Set("User-Agent", "hale app/hale")
	hash := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(ctx, c.keys, req, hex.EncodeToString(hash[:]), c.name, c.region, time.Now()); err != nil {
		return nil, err
	}
	res, err := c.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var answer bytes.Buffer
	if _, err := answer.ReadFrom(res.Body); err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, refusal(res.StatusCode, answer.Bytes())
	}
	return answer.Bytes(), nil
}

// notOfAPI is an answer that no API of AWS's gives.
type notOfAPI struct{ status int }

func (*notOfAPI) Error() string { return "the answer is none of the API" }

// refusal reads an error in any of the forms: EC2's, that of the Query protocol,
// and that of JSON, where the code may follow the name of its space.
func refusal(status int, body []byte) error {
	type said struct{ Code, Message string }
	var query struct {
		Error said
		EC2   said `xml:"Errors>Error"`
	}
	if xml.Unmarshal(body, &query) == nil {
		if said := cmp.Or(query.Error, query.EC2); said.Code != "" {
			return &smithy.GenericAPIError{Code: said.Code, Message: said.Message}
		}
	}
	var rpc struct {
		Type    string `json:"__type"`
		Message string `json:"message"` // or "Message": keys are compared whatever their case
	}
	if json.Unmarshal(body, &rpc) == nil && rpc.Type != "" {
		parts := strings.Split(rpc.Type, "#")
		return &smithy.GenericAPIError{Code: parts[len(parts)-1], Message: rpc.Message}
	}
	return &notOfAPI{status}
}
