package gateway

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// responses are the header fields of responses, made once.
type responses struct {
	plain, secure     []Field // for the app's, over http and https
	answer, answerTLS []Field // for refusals
	redirect          []Field // always over http
}

// forwarded returns the fields for a response of the app.
func (r *responses) forwarded(scheme string) []Field {
	if scheme == "https" {
		return r.secure
	}
	return r.plain
}

// answered returns the fields for a refusal.
func (r *responses) answered(scheme string) []Field {
	if scheme == "https" {
		return r.answerTLS
	}
	return r.answer
}

func newResponses(s *Settings, m *mistakes) responses {
	var r responses
	noSniff := Field{"X-Content-Type-Options", "nosniff"}
	if s.NoSniff {
		r.plain = append(r.plain, noSniff)
	}
	switch s.FrameOptions {
	case "":
	case "DENY", "SAMEORIGIN":
		r.plain = append(r.plain, Field{"X-Frame-Options", s.FrameOptions})
	default:
		m.add("FrameOptions", -1, s.FrameOptions, "is not known to browsers; write DENY or SAMEORIGIN, or leave it empty")
	}
	if s.ReferrerPolicy != "" {
		r.plain = append(r.plain, Field{"Referrer-Policy", checkReferrerPolicy(s.ReferrerPolicy, m)})
	}
	r.secure = slices.Clone(r.plain)
	if value := s.HSTS.value(m); value != "" {
		// RFC 6797, 7.2: never over plain http.
		r.secure = append(r.secure, Field{"Strict-Transport-Security", value})
	}
	own := []Field{{"Content-Type", "text/plain; charset=utf-8"}}
	if !s.NoSniff {
		own = append(own, noSniff) // refusals may hold a part of the request
	}
	fresh := Field{"Cache-Control", "no-store"}
	r.redirect = slices.Concat(own, r.plain)
	r.answer = append(slices.Clone(r.redirect), fresh)
	r.answerTLS = append(slices.Concat(own, r.secure), fresh)
	return r
}

func (h HSTS) value(m *mistakes) string {
	if h.MaxAge == 0 {
		if h.IncludeSubDomains || h.Preload {
			m.add("HSTS", -1, "MaxAge 0", "turns HSTS off while its other settings want it; set MaxAge, to 60 seconds at first")
		}
		return ""
	}
	if h.Preload && !h.IncludeSubDomains {
		m.add("HSTS", -1, "Preload", "needs IncludeSubDomains; set both, or neither")
	}
	value := "max-age=" + strconv.FormatInt(max(0, int64(h.MaxAge/time.Second)), 10)
	if h.IncludeSubDomains {
		value += "; includeSubDomains"
	}
	if h.Preload {
		value += "; preload"
	}
	return value
}

func checkReferrerPolicy(policy string, m *mistakes) string {
	known := []string{
		"no-referrer", "no-referrer-when-downgrade", "origin", "origin-when-cross-origin",
		"same-origin", "strict-origin", "strict-origin-when-cross-origin", "unsafe-url",
	}
	for p := range strings.SplitSeq(policy, ",") {
		if !slices.Contains(known, strings.TrimSpace(p)) {
			m.add("ReferrerPolicy", -1, policy, "is not known to browsers; write one of "+strings.Join(known, ", "))
			break
		}
	}
	return policy
}
