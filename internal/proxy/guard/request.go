package guard

import (
	"net/http"
	"strings"
)

// Request is what CheckRequest judges.
type Request struct {
	Method, Target string
	Host           string   // what the request is routed by
	Hosts          []string // Host fields beside it; they must say the same
	Header         map[string][]string
}

// CheckRequest judges a request that came otherwise than as text, over HTTP/2
// for one, by the rules that it would be judged by as text: it may become text
// on its way to an upstream. Names and values of its fields are taken to be
// valid, their sum to be within its limit.
func CheckRequest(r *Request, limits Limits) *Refusal {
	s := scanner{lineSize: limits.LineSize, headSize: limits.HeadSize}
	line := r.Method + " " + r.Target + " HTTP/1.1"
	if refusal := s.checkSize(len(line) + len("\r\n")); refusal != nil {
		return refusal
	}
	// A space in either would end it early: the scanner finds no version then.
	if refusal := s.requestLine([]byte(line)); refusal != nil {
		return refusal
	}
	switch {
	case r.Host == "":
		return refuse("no host")
	case !validHost([]byte(r.Host)):
		return refuse("the host is not valid")
	}
	for _, host := range r.Hosts {
		if !strings.EqualFold(host, r.Host) {
			return refuse("the Host field differs from the request's authority")
		}
	}
	if s.head.absolute {
		return refuse("the target is not a path")
	}
	fields := 0
	for name, values := range r.Header {
		if fields += len(values); fields > MaxFields {
			return &Refusal{http.StatusRequestHeaderFieldsTooLarge, "too many header fields"}
		}
		for _, value := range values {
			if limits.FieldSize > 0 && len(name)+len(": \r\n")+len(value) > limits.FieldSize {
				return &Refusal{http.StatusRequestHeaderFieldsTooLarge, "a header field is too large"}
			}
		}
	}
	return nil
}
