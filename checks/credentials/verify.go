package credentials

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"hale/checks/internal/link"
	"hale/checks/internal/web"
	"hale/internal/explain"
)

func (c *Check) endpoint() string { return cmp.Or(c.Endpoint, c.lookup("AWS_ENDPOINT_URL_STS")) }

func isRegion(s string) bool {
	return strings.Count(s, "-") >= 2 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// identity is the answer to GetCallerIdentity (AWS STS API reference), or to
// anything that fails.
type identity struct {
	ARN     string `xml:"GetCallerIdentityResult>Arn"`
	Code    string `xml:"Error>Code"`
	Message string `xml:"Error>Message"`
}

// maxAnswer bounds an answer of STS, in bytes.
const maxAnswer = 64 << 10

// verify asks AWS whom the keys belong to. Within is the whole time of the run;
// 0: no limit. The errors are explained.
func (c *Check) verify(ctx context.Context, keys aws.Credentials, region string, within time.Duration) (arn string, err error) {
	endpoint := c.endpoint()
	switch {
	case endpoint != "":
		region = cmp.Or(region, "us-east-1") // a signature names one; STS alone checks which
	case region == "":
		return "", errors.New("no region is known whose STS could be asked: set region")
	case !isRegion(region):
		return "", errors.New("the name of the region is none: set region")
	default:
		endpoint = "https://sts." + region + ".amazonaws.com"
		if strings.HasPrefix(region, "cn-") {
			endpoint += ".cn"
		}
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" {
		return "", errors.New("AWS_ENDPOINT_URL_STS is not a URL")
	}
	const body = "Action=GetCallerIdentity&Version=2011-06-15"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.JoinPath("/").String(), strings.NewReader(body))
	if err != nil {
		return "", errors.New("the URL of the STS cannot be asked")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	hash := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(ctx, keys, req, hex.EncodeToString(hash[:]), "sts", region, time.Now()); err != nil {
		return "", errors.New("the request to STS cannot be signed")
	}
	req.Header.Set("User-Agent", "hale/"+web.Version()+" credentials check")
	transport := web.Transport(nil)
	defer transport.CloseIdleConnections()
	answer, err := web.Exchange(transport, req, u.Host, within, maxAnswer)
	if err != nil {
		return "", fmt.Errorf("STS: %w", err)
	}
	var said identity
	if err := xml.Unmarshal(answer.Body, &said); err != nil || answer.Status == http.StatusOK && said.ARN == "" || answer.Status != http.StatusOK && said.Code == "" {
		return "", fmt.Errorf("%d without STS's own answer: does something else answer there? %s", answer.Status, u.Host)
	}
	if answer.Status == http.StatusOK {
		return said.ARN, nil
	}
	words := link.Quote(said.Message, keys.AccessKeyID, keys.SecretAccessKey, keys.SessionToken)
	switch said.Code {
	case "InvalidClientTokenId", "UnrecognizedClientException":
		return "", fmt.Errorf("AWS does not know them (%s): deleted, or switched off: %s", said.Code, u.Host)
	case "ExpiredToken", "ExpiredTokenException":
		return "", fmt.Errorf("AWS says that they have ended (%s): %s", said.Code, u.Host)
	case "SignatureDoesNotMatch", "RequestExpired":
		return "", fmt.Errorf("AWS does not accept what was signed with them (%s): the secret is wrong, or this machine's clock%s: %s", said.Code, words, u.Host)
	default:
		return "", fmt.Errorf("AWS refuses them (%d, %s)%s: %s", answer.Status, explain.Line(said.Code), words, u.Host)
	}
}
