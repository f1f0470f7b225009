package targetgroup

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"

	"hale/internal/explain"
)

// Limits of one request.
const (
	connecting = 5 * time.Second
	answering  = 10 * time.Second
	// attempts is how often a request is sent at most when the API is busy, and
	// pause what lies between two at most.
	attempts = 4
	pause    = time.Second
	// mostAnswer bounds an answer, in bytes. A page of 400 rules has less than a
	// quarter.
	mostAnswer = 4 << 20
)

// loopbackRegion is taken where nothing names a region and the endpoint is on
// this machine: a stand-in for AWS has none.
const loopbackRegion = "us-east-1"

// newReader finds endpoint, region and credentials as AWS's SDKs do, and makes a
// client of them. It is made without the SDK's config module, which would link
// the clients of five more services.
func newReader(ctx context.Context, o Options, region string) (*reader, error) {
	profile, err := openProfile(o.Lookup, o.Profile)
	if err != nil {
		return nil, err
	}
	endpoint, local, err := o.endpoint(profile, elbAPI.variable)
	if err != nil {
		return nil, err
	}
	region = cmp.Or(region, o.Region, o.Lookup("AWS_REGION"), o.Lookup("AWS_DEFAULT_REGION"), profile.value("region"))
	switch {
	case region == "" && !local:
		return nil, fmt.Errorf("no region: give the target group's ARN, which names it, or set AWS_REGION (%s)", profile.title())
	case region == "":
		region = loopbackRegion
	case !arnRegion(region):
		return nil, fmt.Errorf("%q is no region: write it as eu-west-1", explain.Line(region))
	}
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: connecting}).DialContext,
		TLSHandshakeTimeout: connecting, ResponseHeaderTimeout: answering,
		ForceAttemptHTTP2: true,
	}
	keys, err := findKeys(ctx, o.Lookup, profile, local)
	if err != nil {
		return nil, err
	}
	options := elbv2.Options{
		Region:      region,
		AppID:       "hale",
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return keys, nil }),
		HTTPClient:  bounded{transport},
		Retryer: retry.NewStandard(func(s *retry.StandardOptions) {
			s.MaxAttempts, s.MaxBackoff = attempts, pause
			// Who refuses a connection, or is silent, is not asked again.
			s.Retryables = []retry.IsErrorRetryable{
				retry.NoRetryCanceledError{},
				retry.RetryableError{}, // after a correction of the clock
				retry.RetryableHTTPStatusCode{Codes: retry.DefaultRetryableHTTPStatusCodes},
				retry.RetryableErrorCode{Codes: retry.DefaultRetryableErrorCodes},
				retry.RetryableErrorCode{Codes: retry.DefaultThrottleErrorCodes},
			}
		}),
	}
	r := &reader{
		options: o, profile: profile, region: region, keys: keys, http: bounded{transport}, group: o.Group,
		fips:      fips(cmp.Or(o.Lookup("AWS_USE_FIPS_ENDPOINT"), profile.value("use_fips_endpoint"))),
		dualStack: dualStack(cmp.Or(o.Lookup("AWS_USE_DUALSTACK_ENDPOINT"), profile.value("use_dualstack_endpoint"))),
	}
	r.endpoint = "elasticloadbalancing." + region + ".amazonaws.com"
	if strings.HasPrefix(region, "cn-") {
		r.endpoint += ".cn"
	}
	if endpoint != nil {
		options.BaseEndpoint = aws.String(endpoint.String())
		r.endpoint = endpoint.Host
	} else {
		options.EndpointOptions = elbv2.EndpointResolverOptions{UseFIPSEndpoint: r.fips, UseDualStackEndpoint: r.dualStack}
	}
	r.client = elbv2.New(options)
	return r, nil
}

func arnRegion(region string) bool {
	return len(region) <= 63 && !strings.ContainsFunc(region, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z')
	})
}

func fips(text string) aws.FIPSEndpointState {
	if strings.EqualFold(text, "true") {
		return aws.FIPSEndpointStateEnabled
	}
	return aws.FIPSEndpointStateUnset
}

func dualStack(text string) aws.DualStackEndpointState {
	if strings.EqualFold(text, "true") {
		return aws.DualStackEndpointStateEnabled
	}
	return aws.DualStackEndpointStateUnset
}

// endpoint returns the URL that is asked, nil for AWS's own, and whether it is
// on this machine. The variables are those of AWS's SDKs ("Service-specific
// endpoints" in their reference guide); own is that of the service.
func (o Options) endpoint(p profile, own string) (endpoint *url.URL, local bool, err error) {
	from, text := "--endpoint-url", o.Endpoint
	if text == "" && !strings.EqualFold(cmp.Or(o.Lookup("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"), p.value("ignore_configured_endpoint_urls")), "true") {
		for _, source := range []struct{ name, value string }{
			{own, o.Lookup(own)},
			{"AWS_ENDPOINT_URL", o.Lookup("AWS_ENDPOINT_URL")},
			{"endpoint_url of " + p.title(), p.value("endpoint_url")},
		} {
			if source.value != "" {
				from, text = source.name, source.value
				break
			}
		}
	}
	if text == "" {
		return nil, false, nil
	}
	endpoint, err = url.Parse(text)
	switch {
	case err != nil || endpoint.Scheme != "http" && endpoint.Scheme != "https" || endpoint.Hostname() == "":
		return nil, false, fmt.Errorf("%s is no URL: write it as http://127.0.0.1:8087", from) // not quoted: it might hold a password
	case endpoint.User != nil:
		return nil, false, fmt.Errorf("%s has a user or a password: leave it out, requests are signed", from)
	case endpoint.RawQuery != "" || endpoint.Fragment != "":
		return nil, false, fmt.Errorf("%s has a query or a fragment: leave it out", from)
	}
	return endpoint, isLoopback(endpoint.Hostname()), nil
}

func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}

// bounded sends requests, follows no redirect, and takes no more of an answer
// than it should have.
type bounded struct{ transport *http.Transport }

// errTooLong is the error of an answer that is longer than any of an API's.
var errTooLong = errors.New("the answer is longer than any of the API")

// Do reads the whole answer, so that no parser sees one that is too long.
func (b bounded) Do(req *http.Request) (*http.Response, error) {
	res, err := b.transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, mostAnswer+1))
	switch {
	case err != nil:
		return nil, err
	case len(body) > mostAnswer:
		return nil, errTooLong
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	return res, nil
}
