package probe

import (
	"crypto/tls"
	"fmt"
	"strconv"
	"strings"

	"hale/internal/elb"
	"hale/internal/explain"
)

// judge tells what the prober makes of an answer.
func (p *Probe) judge(a *Answer) {
	if (a.Outcome == BodyCut || a.Outcome == BodyTimeout) && p.forgivesBody() {
		p.judgeAnswer(a)
		return
	}
	switch a.Outcome {
	case Connected:
		a.Healthy = true
	case Answered:
		p.judgeAnswer(a)
	case ConnectTimeout, TLSTimeout, Silent, BodyTimeout:
		p.reject(a, elb.Timeout, "", a.Err.Error())
	case Unresolved, Unreachable, Refused, TLSFailed, Empty, NotHTTP, HeadCut, BodyCut:
		reason := elb.FailedHealthChecks
		if a.Outcome == HeadCut && explain.IsTimeout(a.Err) {
			reason = elb.Timeout
		}
		p.reject(a, reason, "", p.because(a))
	}
}

// forgivesBody tells whether the body need not come to its end.
func (p *Probe) forgivesBody() bool {
	own := p.prober()
	return own.BodyForgiven || own.BodySearched && p.Search == ""
}

// because says in plain words what went wrong on the way.
func (p *Probe) because(a *Answer) string {
	if _, plain := a.Err.(*explain.Error); plain || a.Outcome == NotHTTP || a.Err == nil { //nolint:errorlint // the outermost text is what counts
		return fmt.Sprint(a.Err)
	}
	text := explain.Network(a.Err, p.target()).Error()
	if a.Outcome == TLSFailed && !strings.HasPrefix(text, "TLS: ") {
		text = "TLS handshake: " + text
	}
	if a.Outcome == TLSFailed && p.MaxTLS != 0 && strings.Contains(text, "protocol version not supported") {
		text += fmt.Sprintf("; the prober speaks %s at most", tls.VersionName(p.MaxTLS))
	}
	return text
}

func (p *Probe) judgeAnswer(a *Answer) {
	own := p.prober()
	codes, err := p.codes()
	if err != nil {
		p.reject(a, elb.FailedHealthChecks, "", "the success codes are none: "+err.Error())
		return
	}
	code, what := a.Status, "status "+strconv.Itoa(a.Status)
	if own.Redirects != RedirectsJudged && moves(a.Status) && len(a.Followed)+1 >= mostRequests {
		p.reject(a, elb.FailedHealthChecks, "", fmt.Sprintf("the redirects do not end: %d requests were made", mostRequests))
		return
	}
	if p.Protocol.CallsGRPC() {
		if a.GRPC < 0 {
			p.reject(a, elb.ResponseCodeMismatch, elb.Mismatch(a.Status), "the answer has no grpc-status, its "+what)
			return
		}
		code, what = a.GRPC, grpcText(a)
	}
	redirect := own.Redirects == RedirectsSameHost && a.Status/100 == 3 && !p.Protocol.CallsGRPC()
	switch {
	case !codes.Matches(code):
		if warns, err := elb.ParseMatcher(own.Warns); err == nil && p.Matcher == "" && warns.Matches(code) {
			a.Healthy, a.Because = true, what+" is no failure, but no plain pass"
			return
		}
		p.reject(a, elb.ResponseCodeMismatch, elb.Mismatch(code), fmt.Sprintf("%s, and success is %s", what, codes))
	case own.NeedsLength && a.Unsized:
		p.reject(a, elb.FailedHealthChecks, "", "the body has neither Content-Length nor chunks")
	case own.GRPCHealth && p.Protocol.CallsGRPC() && servingStatus(a.Body) != serving:
		p.reject(a, elb.FailedHealthChecks, "", "the service does not answer SERVING, but "+servingStatus(a.Body))
	case p.Search != "" && !p.found(a):
		p.reject(a, elb.FailedHealthChecks, "", fmt.Sprintf("%q is not in the first %d bytes of the body", p.Search, own.SearchLimit))
	case redirect:
		a.Healthy, a.Because = true, what+" is not followed, and counts as success"
	case a.Unread && a.BodySize >= mostBody:
		a.Healthy, a.Because = true, fmt.Sprintf("%s, but the body has more than %d MiB, and the rest was not read", what, mostBody>>20)
	default:
		a.Healthy = true
	}
}

// codes returns the codes that pass.
func (p *Probe) codes() (elb.Matcher, error) {
	if p.Matcher != "" {
		return elb.ParseMatcher(p.Matcher)
	}
	if p.Protocol.CallsGRPC() && p.prober().GRPCHealth {
		return elb.ParseMatcher("0")
	}
	if p.prober().Matcher == "" {
		return elb.ParseMatcher("200")
	}
	return elb.ParseMatcher(p.prober().Matcher)
}

// reject gives the answer its reason. A prober that knows one reason alone
// gives that.
func (p *Probe) reject(a *Answer, reason elb.Reason, description, because string) {
	if p.prober().OneReason {
		reason, description = elb.FailedHealthChecks, ""
	}
	if description == "" {
		description = reason.Description()
	}
	a.Reason, a.Description, a.Because = reason, description, because
}
