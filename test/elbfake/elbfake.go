// Package elbfake stands in for the ELBv2 API in tests: a server that answers
// its questions from an Account, over the real protocol, for AWS's SDKs and
// command alike. At the same address it answers what EC2, Auto Scaling and ECS
// are asked about a target group's surroundings. It only answers questions;
// nothing can be changed over it.
package elbfake

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// Account is what the fake knows. The API's own types are its values.
type Account struct {
	TargetGroups  []types.TargetGroup
	LoadBalancers []types.LoadBalancer
	Listeners     []types.Listener
	// Rules are by the ARN of their listener, Health by that of the target
	// group.
	Rules  map[string][]types.Rule
	Health map[string][]types.TargetHealthDescription
	// Attributes differ from the defaults; by the ARN of the target group or
	// load balancer, then by key.
	Attributes map[string]map[string]string
	Tags       map[string]map[string]string
	// Beside is what the aws command prints of other services, one document after
	// the other: describe-instances, describe-network-interfaces and
	// describe-security-groups of EC2, describe-auto-scaling-groups, and
	// describe-services and describe-task-definition of ECS.
	Beside string
	// PageSize is how many items an answer has at most; 0: 400.
	PageSize int
}

// Failure is an answer that is none. Hang keeps the request until the client
// goes away; Body, if it is there, is sent as it is.
type Failure struct {
	Status  int // 0: 400
	Code    string
	Message string
	Body    string
	Hang    bool
}

// Server is a running fake.
type Server struct {
	// URL is the endpoint.
	URL string

	mu       sync.Mutex
	account  Account
	failures map[string][]Failure // by action; an empty name is any
	calls    []Call
}

// Call is a request that came in.
type Call struct {
	Action string
	Form   url.Values
	// Key is the access key that it was signed with, Region the region it was
	// signed for, Token the session token.
	Key, Region, Token string
	UserAgent          string
}

// Start starts a fake on a free loopback port. It ends with the test.
func Start(t testing.TB, account Account) *Server {
	t.Helper()
	s := &Server{account: account, failures: map[string][]Failure{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// Set replaces what the fake knows.
func (s *Server) Set(account Account) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.account = account
}

// Fail lets the next requests of an action fail, one for each failure. An empty
// action is any.
func (s *Server) Fail(action string, failures ...Failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures[action] = append(s.failures[action], failures...)
}

// Calls returns the requests that came in so far.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// Actions returns what was asked for so far.
func (s *Server) Actions() []string {
	var actions []string
	for _, call := range s.Calls() {
		actions = append(actions, call.Action)
	}
	return actions
}

const (
	version   = "2015-12-01"
	namespace = "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/"
	requestID = "12345678-1234-1234-1234-123456789012"
)

// ServeHTTP answers a request of the Query protocol, or one of ECS.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		fail(w, Failure{Code: "MalformedQueryString", Message: err.Error()})
		return
	}
	call := Call{Action: r.Form.Get("Action"), Form: r.Form, Token: r.Header.Get("X-Amz-Security-Token"), UserAgent: r.UserAgent()}
	other := otherOf(r)
	if other != nil && other.target != "" {
		call.Action = strings.TrimPrefix(r.Header.Get("X-Amz-Target"), other.target)
	}
	fail, service := fail, "elasticloadbalancing"
	if other != nil {
		fail, service = other.fail, other.name
	}
	var signed bool
	call.Key, call.Region, signed = credential(r.Header.Get("Authorization"), service)
	failure, failing := s.record(call)
	switch operation, ok := operations[call.Action]; {
	case failing && failure.Hang:
		<-r.Context().Done()
	case failing:
		fail(w, failure)
	case !signed:
		fail(w, Failure{Status: http.StatusForbidden, Code: "MissingAuthenticationToken", Message: "Request is missing Authentication Token"})
	case other != nil:
		s.mu.Lock()
		defer s.mu.Unlock()
		other.answer(w, r, call.Action, &s.account)
	case r.Form.Get("Version") != version || !ok:
		fail(w, Failure{Code: "InvalidAction", Message: fmt.Sprintf("Could not find operation %s for version %s", call.Action, r.Form.Get("Version"))})
	default:
		s.mu.Lock()
		defer s.mu.Unlock()
		result, err := operation(&s.account, r.Form)
		if err != nil {
			fail(w, *err)
			return
		}
		w.Header().Set("Content-Type", "text/xml")
		w.Header().Set("X-Amzn-Requestid", requestID)
		w.Write(answer(call.Action, result))
	}
}

func (s *Server) record(call Call) (Failure, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, call)
	for _, action := range []string{call.Action, ""} {
		if waiting := s.failures[action]; len(waiting) > 0 {
			s.failures[action] = waiting[1:]
			return waiting[0], true
		}
	}
	return Failure{}, false
}

// credential takes the access key and the region out of a signature for a service.
func credential(authorization, service string) (key, region string, ok bool) {
	scope, ok := strings.CutPrefix(authorization, "AWS4-HMAC-SHA256 Credential=")
	parts := strings.Split(strings.SplitN(scope, ",", 2)[0], "/")
	if !ok || len(parts) != 5 || parts[3] != service || parts[4] != "aws4_request" {
		return "", "", false
	}
	return parts[0], parts[2], true
}

func fail(w http.ResponseWriter, f Failure) {
	if f.Status == 0 {
		f.Status = http.StatusBadRequest
	}
	body := f.Body
	if body == "" {
		body = errorAnswer(f)
		w.Header().Set("Content-Type", "text/xml")
	}
	w.Header().Set("X-Amzn-Requestid", requestID)
	w.WriteHeader(f.Status)
	w.Write([]byte(body))
}

// page cuts a list where the answer ends, and returns what marks the next.
func page[T any](account *Account, form url.Values, all []T) ([]T, *string, *Failure) {
	size := 400
	if account.PageSize > 0 {
		size = account.PageSize
	}
	if text := form.Get("PageSize"); text != "" {
		asked, err := strconv.Atoi(text)
		if err != nil || asked < 1 || asked > 400 {
			return nil, nil, &Failure{Code: "ValidationError", Message: "PageSize must be between 1 and 400"}
		}
		size = min(size, asked)
	}
	from := 0
	if marker := form.Get("Marker"); marker != "" {
		at, err := strconv.Atoi(strings.TrimPrefix(marker, "page-"))
		if err != nil || at < 0 || at > len(all) {
			return nil, nil, &Failure{Code: "ValidationError", Message: "Invalid marker"}
		}
		from = at
	}
	to := min(from+size, len(all))
	if to == len(all) {
		return all[from:], nil, nil
	}
	next := "page-" + strconv.Itoa(to)
	return all[from:to], &next, nil
}

// members returns a list of the form: Name.member.1, Name.member.2, ...
func members(form url.Values, name string) []string {
	var all []string
	for i := 1; ; i++ {
		value, ok := form[name+".member."+strconv.Itoa(i)]
		if !ok {
			return all
		}
		all = append(all, value[0])
	}
}
