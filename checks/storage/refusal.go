package storage

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"time"

	"hale/checks/internal/web"
	"hale/internal/explain"
)

// complaint is the body of an error
// (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html).
type complaint struct {
	XMLName xml.Name `xml:"Error"`
	Code    string
	Message string
	Region  string
}

// refusal says what an answer means that is none to the request: doing is what
// was tried, and permission what that takes.
func (b *bucket) refusal(doing, permission string, answer *web.Answer) error {
	var said complaint
	if xml.Unmarshal(answer.Body, &said) != nil {
		said = complaint{}
	}
	text := fmt.Sprintf("%s: %s", b.meaning(doing, permission, &said, answer), web.Address(b.base))
	if answer.Status >= 500 {
		return errors.New(text) // the object may be there all the same
	}
	return refusal{errors.New(text)}
}

func (b *bucket) meaning(doing, permission string, said *complaint, answer *web.Answer) string {
	message := explain.Line(said.Message)
	if region := explain.Line(otherRegion(said, answer)); region != "" && region != b.region {
		return fmt.Sprintf("bucket %q is in another region, not in %s: set region: %s", b.place.bucket, b.region, region)
	}
	switch said.Code {
	case "NoSuchBucket":
		return fmt.Sprintf("no such bucket %q", b.place.bucket)
	case "NoSuchKey":
		return "an object was taken, and is not there when it is asked for"
	case "AccessDenied", "AllAccessDisabled":
		return fmt.Sprintf("access key %q may not %s in bucket %q (%s)", b.keys.AccessKeyID, doing, b.place.bucket, permission)
	case "InvalidAccessKeyId":
		b.forget()
		return fmt.Sprintf("unknown access key %q", b.keys.AccessKeyID)
	case "SignatureDoesNotMatch":
		return fmt.Sprintf("wrong secret for access key %q", b.keys.AccessKeyID)
	case "ExpiredToken", "TokenRefreshRequired", "InvalidToken":
		b.forget()
		return fmt.Sprintf("the session token of access key %q is no longer valid", b.keys.AccessKeyID)
	case "RequestTimeTooSkewed":
		return "this machine's clock is wrong" + skew(answer.Header, time.Now())
	case "SlowDown", "ServiceUnavailable", "Throttling", "TooManyRequests":
		return "the service is busy, and asks to come back later"
	case "QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "XMinioAdminBucketQuotaExceeded":
		return "the storage is full: " + message
	case "AuthorizationHeaderMalformed":
		return fmt.Sprintf("region %s is not taken: %s", b.region, message)
	case "":
		return fmt.Sprintf("answers %d, and not as S3 does", answer.Status)
	default:
		return fmt.Sprintf("cannot %s: %d %s: %s", doing, answer.Status, explain.Line(said.Code), message)
	}
}

// otherRegion is where the bucket is, if the answer says so: a redirect (301), or
// a signature for another region (400).
func otherRegion(said *complaint, answer *web.Answer) string {
	if header := answer.Header.Get("X-Amz-Bucket-Region"); header != "" && answer.Status/100 == 3 {
		return header
	}
	switch said.Code {
	case "AuthorizationHeaderMalformed", "PermanentRedirect", "TemporaryRedirect":
		return said.Region
	}
	return ""
}

// skew compares the machine's clock with that of an answer.
func skew(header http.Header, now time.Time) string {
	server, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return ""
	}
	off := server.Sub(now).Round(time.Second)
	if off < 0 {
		return fmt.Sprintf(": %v ahead of the server's", -off)
	}
	return fmt.Sprintf(": %v behind the server's", off)
}

var errNoKeys = errors.New("no credentials: there are none in the options, the environment or the shared credentials file, and no role of a task or an instance")
