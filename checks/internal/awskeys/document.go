package awskeys

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"hale/internal/explain"
)

// document is the JSON of credentials, of the metadata service and of the agents
// alike; those complain in small letters.
type document struct {
	Code                                string
	Message                             string
	RoleArn                             string
	AccessKeyId, SecretAccessKey, Token string //nolint:revive // AWS's names
	Expiration                          time.Time
}

// parse reads a document. It returns what it could read also with an error, which
// repeats none of it.
func parse(body []byte) (document, error) {
	var d document
	if err := json.Unmarshal(body, &d); err != nil {
		return document{}, errors.New("the answer is not the document that it should be")
	}
	if d.AccessKeyId == "" || d.SecretAccessKey == "" {
		return d, errors.New("the answer has no keys")
	}
	return d, nil
}

func (d document) keys() aws.Credentials {
	return aws.Credentials{
		AccessKeyID: d.AccessKeyId, SecretAccessKey: d.SecretAccessKey, SessionToken: d.Token,
		CanExpire: !d.Expiration.IsZero(), Expires: d.Expiration,
	}
}

// complaint is what a document says instead of success; empty if it does not. A
// message that repeats a secret is left out.
func (d document) complaint(secret string) string {
	code, message := explain.Line(d.Code), explain.Line(d.Message)
	switch {
	case code == "" || strings.EqualFold(code, "Success"):
		return ""
	case message == "" || secret != "" && strings.Contains(d.Message, secret):
		return code
	default:
		return code + ": " + message
	}
}
