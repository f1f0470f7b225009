package instance

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
)

// Settings of the environment that AWS's own tools heed. The SDK's metadata
// client reads the first two itself only when it is made without a whole AWS
// configuration, and the others not at all.
const (
	disabledVariable     = "AWS_EC2_METADATA_DISABLED"
	endpointVariable     = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
	endpointModeVariable = "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"
	v1DisabledVariable   = "AWS_EC2_METADATA_V1_DISABLED"
)

const (
	defaultEndpoint     = "http://169.254.169.254"
	defaultIPv6Endpoint = "http://[fd00:ec2::254]"
)

// ec2 asks the EC2 metadata service (EC2 guide, "Retrieve instance metadata",
// "How IMDSv2 works").
type ec2 struct {
	endpoint string
	wire     *wire
	client   *imds.Client
}

func newEC2(endpoint string, dial dialFunc) *ec2 {
	endpoint = firstNonEmpty(endpoint, os.Getenv(endpointVariable))
	if endpoint == "" {
		endpoint = defaultEndpoint
		if strings.EqualFold(os.Getenv(endpointModeVariable), "ipv6") {
			endpoint = defaultIPv6Endpoint
		}
	}
	w := newWire(dial)
	fallback := aws.TrueTernary
	if strings.EqualFold(os.Getenv(v1DisabledVariable), "true") {
		fallback = aws.FalseTernary
	}
	client := imds.New(imds.Options{
		Endpoint:       endpoint,
		HTTPClient:     w,
		EnableFallback: fallback,

		// Else the SDK puts a back-off of its own, of up to a second, in the place
		// of the one below.
		DisableDefaultMaxBackoff: true,
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts = 3
			o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return retryPause, nil })
			// A refused or silent address is not asked again: where there is no
			// metadata service, the answer is "none" at once.
			o.Retryables = []retry.IsErrorRetryable{
				retry.NoRetryCanceledError{},
				retry.RetryableError{}, // the token was refused: get another
				retry.RetryableHTTPStatusCode{Codes: map[int]struct{}{429: {}, 500: {}, 502: {}, 503: {}, 504: {}}},
			}
			o.RateLimiter = unlimited{} // the retry quota is for a fleet of calls, not for three
		}),
	})
	return &ec2{endpoint, w, client}
}

// retryPause is the time between two tries of one request.
const retryPause = 100 * time.Millisecond

// unlimited is a retry.RateLimiter that leaves the limit to MaxAttempts.
type unlimited struct{}

func (unlimited) GetToken(context.Context, uint) (func() error, error) {
	return func() error { return nil }, nil
}
func (unlimited) AddTokens(uint) error { return nil }

func (e *ec2) ask(ctx context.Context) (answer, error) {
	a := answer{source: EC2v2}
	if strings.EqualFold(os.Getenv(disabledVariable), "true") {
		return a, fmt.Errorf("not asked: the environment has %s=true", disabledVariable)
	}
	defer e.wire.close()
	e.wire.begin()
	// The first request alone gets the token, or finds that there is none to
	// get; all others go at once.
	id, err := e.get(ctx, "instance-id")
	if err != nil {
		return a, e.diagnose(err)
	}
	if !validID.MatchString(id) {
		return a, fmt.Errorf("%s answers instance-id with %s, which is none: something else than the EC2 metadata service answers there", e.endpoint, quote(id))
	}
	a.id, a.found = id, true
	if !e.wire.seen().v2 {
		a.source = EC2v1
	}

	var notes notes
	var primary, public []netip.Addr
	var macs string
	var wg sync.WaitGroup
	for path, set := range map[string]func(string){
		"placement/availability-zone": func(v string) { a.zone = v },
		"placement/region":            func(v string) { a.region = v },
		"instance-type":               func(v string) { a.kind = v },
		"local-hostname":              func(v string) { a.hostname, _, _ = strings.Cut(v, " ") }, // a second search domain follows a space
		"local-ipv4":                  func(v string) { primary = notes.addresses("local-ipv4", v) },
		"public-ipv4":                 func(v string) { public = notes.addresses("public-ipv4", v) },
		"network/interfaces/macs/":    func(v string) { macs = v },
	} {
		wg.Go(func() {
			v, err := e.get(ctx, path)
			if notes.check(path, err) {
				set(v)
			}
		})
	}
	wg.Wait()

	a.private, a.public = primary, public
	for _, link := range e.links(ctx, macs, &notes) {
		a.private = append(a.private, link.private...)
		a.public = append(a.public, link.public...)
	}
	if a.region == "" && len(a.zone) > 1 { // old services know the zone alone
		a.region = strings.TrimRight(a.zone, "abcdefghijklmnopqrstuvwxyz")
	}
	a.partial = len(notes.errs) > 0
	if a.source == EC2v1 {
		notes.add(e.wire.seen().whyNoToken())
	}
	return a, notes.err()
}

// validID is an instance's id, also one that an emulator or another cloud's
// compatible service makes up; no page of HTML fits.
var validID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$`)

// link is one network interface as the metadata knows it.
type link struct {
	mac             string
	device          string // device-number; "0" is the primary one
	private, public []netip.Addr
}

// links walks all network interfaces: the target of a load balancer may be any
// address of any of them.
func (e *ec2) links(ctx context.Context, macs string, notes *notes) []link {
	var links []link
	for mac := range strings.FieldsSeq(macs) {
		links = append(links, link{mac: strings.TrimSuffix(mac, "/")})
	}
	var wg sync.WaitGroup
	for i := range links {
		l := &links[i]
		base := "network/interfaces/macs/" + l.mac + "/"
		var v4, v6, public []netip.Addr
		var each sync.WaitGroup
		for name, set := range map[string]func(string){
			"device-number": func(v string) { l.device = v },
			"local-ipv4s":   func(v string) { v4 = notes.addresses(base+"local-ipv4s", v) },
			"ipv6s":         func(v string) { v6 = notes.addresses(base+"ipv6s", v) },
			"public-ipv4s":  func(v string) { public = notes.addresses(base+"public-ipv4s", v) },
		} {
			each.Go(func() {
				v, err := e.get(ctx, base+name)
				if notes.check(base+name, err) {
					set(v)
				}
			})
		}
		wg.Go(func() {
			each.Wait()
			l.private, l.public = append(v4, v6...), public
		})
	}
	wg.Wait()
	slices.SortStableFunc(links, func(a, b link) int { return strings.Compare(a.device, b.device) })
	return links
}

// get reads one item below /latest/meta-data/.
func (e *ec2) get(ctx context.Context, path string) (string, error) {
	out, err := e.client.GetMetadata(ctx, &imds.GetMetadataInput{Path: path})
	if err != nil {
		return "", err
	}
	defer out.Content.Close()
	text, err := io.ReadAll(out.Content)
	return strings.TrimSpace(string(text)), err
}
