package targetgroup

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"hale/internal/explain"
)

// Error is a question that the API did not answer: what was asked, where, why
// not, and what to do, in one line.
type Error struct {
	// Action is what was asked for, Endpoint the host that was asked.
	Action, Endpoint string
	// Code is the API's; empty where there was no answer of the API's at all.
	Code string
	text string
	err  error
}

func (e *Error) Error() string { return e.Action + " at " + e.Endpoint + ": " + e.text }
func (e *Error) Unwrap() error { return e.err }

// ways tells what to do about the API's codes. SERVICE is who was asked, TITLE
// what people call it, ACTION what was asked for, GROUP the group as it was named.
var ways = []struct {
	codes []string
	way   string
}{
	{
		[]string{"TargetGroupNotFound"},
		"no target group GROUP in this account and region: aws elbv2 describe-target-groups lists those that there are",
	},
	{
		[]string{"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized"},
		"the credentials need the permission SERVICE:ACTION",
	},
	{
		[]string{"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"},
		"the credentials have expired: sign in again (aws sso login, aws login), or get new keys",
	},
	{
		[]string{"InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "AuthFailure", "InvalidToken"},
		"AWS does not know the access key: it was deleted, or belongs to another partition, or its session token is missing",
	},
	{
		[]string{"SignatureDoesNotMatch", "IncompleteSignature"},
		"the secret key does not belong to the access key, or something on the way changes the request",
	},
	{
		[]string{"RequestExpired", "RequestTimeTooSkewed", "InvalidSignatureException"},
		"is this machine's clock right? timedatectl tells",
	},
	{
		[]string{"MissingAuthenticationToken", "MissingAuthenticationTokenException"},
		"the request came unsigned: does something on the way remove Authorization?",
	},
	{
		[]string{"OptInRequired", "SubscriptionRequiredException"},
		"the account, or the region, is not enabled",
	},
	{
		[]string{"Throttling", "ThrottlingException", "RequestLimitExceeded", "SlowDown", "PriorRequestNotComplete"},
		"the API is asked too often in this account, after several tries: wait a minute and try again",
	},
	{
		[]string{"InvalidAction", "MissingAction", "UnknownOperationException", "UnsupportedOperation"},
		"what answers there does not know this question: is it the TITLE API?",
	},
	{
		[]string{"ServiceUnavailable", "InternalFailure", "InternalError", "HealthUnavailable"},
		"AWS has a fault of its own: try again, and see https://health.aws.amazon.com",
	},
}

// explain puts an error of the SDK into one line. Who was interrupted, or had no
// more time, is told that and no more.
func (r *reader) explain(ctx context.Context, action string, err error) error {
	return explained(ctx, question{elbAPI, action, r.endpoint, r.group, longest}, err)
}

// question is what was asked of whom: where, about which group, and within what
// time in all.
type question struct {
	service
	action, endpoint, group string
	within                  time.Duration
}

func explained(ctx context.Context, q question, err error) *Error {
	e := &Error{Action: q.action, Endpoint: q.endpoint, err: err}
	switch refused, ok := errors.AsType[smithy.APIError](err); {
	case errors.Is(ctx.Err(), context.Canceled):
		e.text = "interrupted"
		e.err = errors.Join(context.Canceled, err)
	case ctx.Err() != nil:
		e.text = fmt.Sprintf("no answer within %v in all", q.within)
	case errors.Is(err, errTooLong):
		e.text = "the answer is longer than any of the " + q.title + " API"
	case ok && refused.ErrorCode() != "" && refused.ErrorCode() != "UnknownError":
		e.Code = explain.Line(refused.ErrorCode())
		e.text = e.Code
		if message := explain.Line(refused.ErrorMessage()); message != "" {
			e.text += ": " + strings.TrimSuffix(message, ".")
		}
		if way := wayOut(e.Code, q); way != "" {
			e.text += "; " + way
		}
	case ok || unreadable(err):
		e.text = "the answer is none of the " + q.title + " API" + status(err) + ": is the endpoint right?"
	default:
		e.text = strings.TrimSuffix(explain.Network(err, q.endpoint).Error(), ": "+q.endpoint) + ": is the endpoint right, and may this machine reach it?"
	}
	return e
}

func wayOut(code string, q question) string {
	for _, row := range ways {
		if slices.Contains(row.codes, code) {
			return strings.NewReplacer("SERVICE", q.name, "ACTION", q.action, "GROUP", q.group, "TITLE", q.title).Replace(row.way)
		}
	}
	return ""
}

func unreadable(err error) bool {
	_, form := errors.AsType[*smithy.DeserializationError](err)
	_, syntax := errors.AsType[*xml.SyntaxError](err)
	_, none := errors.AsType[*notOfAPI](err)
	return form || syntax || none
}

func status(err error) string {
	if res, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		return fmt.Sprintf(" (%d)", res.HTTPStatusCode())
	}
	if none, ok := errors.AsType[*notOfAPI](err); ok {
		return fmt.Sprintf(" (%d)", none.status)
	}
	return ""
}
