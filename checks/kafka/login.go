package kafka

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/xdg-go/scram"

	"hale/checks"
	"hale/checks/internal/link"
	"hale/internal/explain"
)

// Mechanism is how to log in (SASL); empty means not at all.
type Mechanism string

// The mechanisms that need no more than a user and a password.
const (
	Plain       Mechanism = "plain"
	ScramSHA256 Mechanism = "scram-sha-256"
	ScramSHA512 Mechanism = "scram-sha-512"
)

var mechanisms = []Mechanism{Plain, ScramSHA256, ScramSHA512}

func (c *Check) validateLogin() error {
	switch {
	case c.SASL == "" && (c.User != "" || c.Password != ""):
		return checks.Optionf("sasl", "is missing: write plain, scram-sha-256 or scram-sha-512, as the brokers want user and password")
	case c.SASL == "":
		return nil
	case !slices.Contains(mechanisms, c.SASL):
		return checks.Optionf("sasl", "%q is not known here: write plain, scram-sha-256 or scram-sha-512", string(c.SASL))
	case c.User == "":
		return checks.Optionf("user", "is missing: who logs in")
	case c.Password == "":
		return checks.Optionf("password", "is missing")
	default:
		return nil
	}
}

// login authenticates the connection (KIP-152). Its errors are explained.
func (s *session) login(c *Check) error {
	mechanism := strings.ToUpper(string(c.SASL))
	handshake, err := ask[*kmsg.SASLHandshakeResponse](s, &kmsg.SASLHandshakeRequest{Mechanism: mechanism}, 1, 1)
	if err != nil {
		return err
	}
	if handshake.ErrorCode == kerr.UnsupportedSaslMechanism.Code {
		return fmt.Errorf("the broker does not offer %s but %s: %s", mechanism, explain.Line(strings.Join(handshake.SupportedMechanisms, ", ")), s.address)
	}
	if handshake.ErrorCode != 0 {
		return fmt.Errorf("SASL: %s: %s", text(handshake.ErrorCode), s.address)
	}
	switch c.SASL {
	case ScramSHA256:
		return s.scram(c, scram.SHA256)
	case ScramSHA512:
		return s.scram(c, scram.SHA512)
	default:
		_, err := s.authenticate(c, "\x00"+c.User+"\x00"+c.Password) // RFC 4616
		return err
	}
}

// scram proves to know the password without sending it, and has the broker
// prove the same (RFC 5802).
func (s *session) scram(c *Check, hash scram.HashGeneratorFcn) error {
	client, err := hash.NewClient(c.User, c.Password, "")
	if err != nil {
		return errors.New("user or password holds characters that SCRAM does not allow (RFC 4013)")
	}
	conversation := client.NewConversation()
	for said := ""; !conversation.Done(); {
		say, err := conversation.Step(said)
		if err != nil {
			// Without its text, in which the other side's words may be.
			return &explain.Error{Text: "the broker does not prove that it knows the password: " + s.address, Err: err}
		}
		if conversation.Done() {
			break
		}
		if said, err = s.authenticate(c, say); err != nil {
			return err
		}
	}
	return nil
}

// authenticate sends one message of the mechanism and returns the answer.
func (s *session) authenticate(c *Check, message string) (string, error) {
	answer, err := ask[*kmsg.SASLAuthenticateResponse](s, &kmsg.SASLAuthenticateRequest{SASLAuthBytes: []byte(message)}, 0, 2)
	switch {
	case err != nil:
		return "", err
	case answer.ErrorCode == kerr.SaslAuthenticationFailed.Code:
		return "", fmt.Errorf("user %q or its password refused%s: %s", explain.Line(c.User), quote(answer.ErrorMessage, c.Password), s.address)
	case answer.ErrorCode != 0:
		return "", fmt.Errorf("SASL: %s: %s", text(answer.ErrorCode), s.address)
	default:
		return string(answer.SASLAuthBytes), nil
	}
}

func quote(said *string, secrets ...string) string {
	if said == nil {
		return ""
	}
	return link.Quote(*said, secrets...)
}
