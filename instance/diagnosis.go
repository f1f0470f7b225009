package instance

import (
	"errors"
	"fmt"
	"net/http"
)

// The way out where the token's answer is lost: it is sent with an IP hop limit
// of 1 by default, and a container's bridge is one hop more.
const raiseHopLimit = "in a container, raise the hop limit of the token's answer: aws ec2 modify-instance-metadata-options --instance-id ID --http-put-response-hop-limit 2"

// diagnose turns the failure of the first request into the cause and the way
// out.
func (e *ec2) diagnose(err error) error {
	seen := e.wire.seen()
	switch {
	case seen.connect != nil:
		return fmt.Errorf("no EC2 metadata service at %s: %w", e.endpoint, shorten(seen.connect))
	case seen.getStatus == http.StatusUnauthorized:
		return fmt.Errorf("%s answers 401: it wants a session token (IMDSv2), and %w", e.endpoint, seen.whyNoToken())
	case seen.getStatus == http.StatusForbidden || seen.getStatus == 0 && seen.putStatus == http.StatusForbidden:
		return fmt.Errorf("%s answers 403: the metadata service is off for this instance (HttpEndpoint=disabled), or something on the way adds X-Forwarded-For", e.endpoint)
	case seen.getStatus == http.StatusTooManyRequests || seen.getStatus == http.StatusServiceUnavailable:
		return fmt.Errorf("%s answers %d: throttled; something on this machine asks it too often", e.endpoint, seen.getStatus)
	case seen.getStatus == http.StatusNotFound:
		return fmt.Errorf("%s answers 404 to instance-id: something else than the EC2 metadata service answers there", e.endpoint)
	case seen.getStatus == 0 && seen.putStatus == 0:
		return fmt.Errorf("%s does not answer: %w", e.endpoint, shorten(err))
	case seen.getStatus == 0 && seen.putStatus != http.StatusOK:
		return fmt.Errorf("%s answers the token request with %d, and version 1 is not asked", e.endpoint, seen.putStatus)
	default:
		return fmt.Errorf("%s: instance-id: %w", e.endpoint, shorten(err))
	}
}

// whyNoToken explains why the items were asked for without a token.
func (p pass) whyNoToken() error {
	switch {
	case p.put != nil:
		return fmt.Errorf("the token request was not answered: %s", raiseHopLimit)
	case p.putStatus == http.StatusOK:
		return errors.New("refused the one that it gave")
	case p.putStatus != 0:
		return fmt.Errorf("the token request was answered %d", p.putStatus)
	default:
		return errors.New("no token was asked for")
	}
}
