package balancer

import (
	"testing"

	"hale/internal/balancer/inventory"
	"hale/internal/elb/rule"
)

func TestConditionWords(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]rule.Condition{
		"host is a.example or *.b.example": {Field: rule.HostHeader, Values: []string{"a.example", "*.b.example"}},
		"path is /api/*":                   {Field: rule.PathPattern, Values: []string{"/api/*"}},
		"path matches ^/v[12]/":            {Field: rule.PathPattern, RegexValues: []string{"^/v[12]/"}},
		"header X-Canary is 1":             {Field: rule.HTTPHeader, HTTPHeaderName: "X-Canary", Values: []string{"1"}},
		"method is GET or HEAD":            {Field: rule.HTTPRequestMethod, Values: []string{"GET", "HEAD"}},
		"query has a=b or *=c":             {Field: rule.QueryString, QueryStringValues: []rule.KeyValue{{Key: "a", Value: "b"}, {Value: "c"}}},
		"client's address is 10.0.0.0/8":   {Field: rule.SourceIP, Values: []string{"10.0.0.0/8"}},
	} {
		if got := conditionWords(c); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestActionWords(t *testing.T) {
	t.Parallel()
	v := &inventory.Inventory{Groups: map[string]*inventory.Group{"arn:b": {Name: "blue"}, "arn:g": {Name: "green"}}}
	one := rule.ForwardTo("arn:b")
	weights := func(sticky rule.TargetGroupStickinessConfig, weights ...int) *rule.Action {
		return &rule.Action{Type: rule.Forward, ForwardConfig: &rule.ForwardConfig{
			TargetGroups:                []rule.TargetGroup{{TargetGroupArn: "arn:b", Weight: weights[0]}, {TargetGroupArn: "arn:g", Weight: weights[1]}},
			TargetGroupStickinessConfig: sticky,
		}}
	}
	for want, a := range map[string]*rule.Action{
		"nothing":                          nil,
		"forward to blue":                  &one,
		"forward to blue 90 %, green 10 %": weights(rule.TargetGroupStickinessConfig{}, 9, 1),
		"forward to blue 0 %, green 0 %":   weights(rule.TargetGroupStickinessConfig{}, 0, 0),
		"forward to blue 50 %, green 50 %, a client stays for 1h0m0s": weights(rule.TargetGroupStickinessConfig{Enabled: true, DurationSeconds: 3600}, 1, 1),
		"redirect with 301 to https://#{host}:443/#{path}?#{query}":   {Type: rule.Redirect, RedirectConfig: &rule.RedirectConfig{Protocol: "HTTPS", Port: "443", StatusCode: "HTTP_301"}},
		"answer 503: closed for the night":                            {Type: rule.FixedResponse, FixedResponseConfig: &rule.FixedResponseConfig{StatusCode: "503", MessageBody: "closed for the night"}},
	} {
		if got := actionWords(a, v); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
