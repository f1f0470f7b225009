package elbapi_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"hale/internal/elbapi"
	"hale/internal/elbapi/query"
)

// Each action that the SDK knows is answered, or said to be left out.
func TestEachActionIsKnown(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(elbapi.New(elbapi.Options{Balancer: newMemory()}))
	t.Cleanup(server.Close)
	var leftOut []string
	for method := range reflect.TypeFor[*elbv2.Client]().Methods() {
		if method.Name == "Options" {
			continue
		}
		status, text := post(t, server.URL, nil, url.Values{"Action": {method.Name}, "Version": {"2015-12-01"}})
		switch {
		case strings.Contains(text, "Could not find operation") || status >= 500:
			t.Errorf("%s: %d %s", method.Name, status, text)
		case strings.Contains(text, "that this server does not have"):
			leftOut = append(leftOut, method.Name)
		}
	}
	for _, name := range leftOut {
		if !strings.Contains(name, "TrustStore") && !slices.Contains([]string{"GetResourcePolicy", "ModifyCapacityReservation", "ModifyIpPools"}, name) {
			t.Errorf("%s is left out", name)
		}
	}
	if len(leftOut) != 14 {
		t.Errorf("%d are left out: %v", len(leftOut), leftOut)
	}
}

// What the SDK itself would refuse, and other clients send.
func TestWhatIsMissing(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(elbapi.New(elbapi.Options{Balancer: newMemory()}))
	t.Cleanup(server.Close)
	null := func(at string) string {
		return "<Message>1 validation error detected: Value null at &#39;" + at + "&#39; failed to satisfy constraint: Member must not be null</Message>"
	}
	lb, group, listener, rule := "&LoadBalancerArn="+notThere, "&TargetGroupArn="+groupNotThere, "&ListenerArn="+listenerNotThere, "&RuleArn="+ruleNotThere
	for _, test := range []struct{ form, want string }{
		{"CreateLoadBalancer", null("name")},
		{"DeleteLoadBalancer", null("loadBalancerArn")},
		{"DescribeLoadBalancerAttributes", null("loadBalancerArn")},
		{"ModifyLoadBalancerAttributes" + lb, null("attributes")},
		{"ModifyLoadBalancerAttributes" + lb + "&Attributes.member.1.Value=x", "An attribute has no key"},
		{"SetIpAddressType" + lb, null("ipAddressType")},
		{"SetSecurityGroups" + lb, null("securityGroups")},
		{"CreateTargetGroup", null("name")},
		{"CreateTargetGroup&Name=x", "A protocol must be specified"},
		{"CreateTargetGroup&Name=x&Protocol=HTTP", "A port between 1 and 65535 must be specified"},
		{"CreateTargetGroup&Name=x&Protocol=HTTP&Port=1&Matcher.HttpCode=", "A matcher must have an HTTP code or a gRPC code"},
		{"ModifyTargetGroup", null("targetGroupArn")},
		{"RegisterTargets" + group, null("targets")},
		{"RegisterTargets" + group + "&Targets.member.1.Port=80", null("targets.Id")},
		{"DeregisterTargets" + group, null("targets")},
		{"DescribeTargetHealth", null("targetGroupArn")},
		{"CreateListener" + lb, null("defaultActions")},
		{"CreateListener" + lb + "&DefaultActions.member.1.Order=1", null("actions.Type")},
		{"CreateListener" + lb + "&DefaultActions.member.1.Type=redirect&DefaultActions.member.1.RedirectConfig.Host=a", null("actions.RedirectConfig.StatusCode")},
		{"CreateListener" + lb + "&DefaultActions.member.1.Type=fixed-response&DefaultActions.member.1.FixedResponseConfig.MessageBody=a", null("actions.FixedResponseConfig.StatusCode")},
		{"ModifyListener", null("listenerArn")},
		{"AddListenerCertificates" + listener, null("certificates")},
		{"RemoveListenerCertificates" + listener + "&Certificates.member.1=", "A certificate has no ARN"},
		{"CreateRule", null("listenerArn")},
		{"CreateRule" + listener, null("conditions")},
		{"CreateRule" + listener + "&Conditions=", null("priority")},
		{"CreateRule" + listener + "&Conditions=&Priority=1", null("actions")},
		{"CreateRule" + listener + "&Conditions.member.1.Values.member.1=x&Priority=1&Actions=", "<Code>ListenerNotFound</Code>"},
		{"ModifyRule" + rule + "&Transforms.member.1.UrlRewriteConfig.Rewrites=", null("transforms.Type")},
		{"DeleteRule", null("ruleArn")},
		{"SetRulePriorities", null("rulePriorities")},
		{"SetRulePriorities&RulePriorities.member.1.RuleArn=" + ruleNotThere, null("rulePriorities.Priority")},
		{"AddTags&ResourceArns.member.1=" + notThere, null("tags")},
		{"AddTags&ResourceArns.member.1=" + notThere + "&Tags.member.1.Value=x", null("tags.Key")},
		{"RemoveTags&ResourceArns.member.1=" + notThere, null("tagKeys")},
		{"DescribeTags", null("resourceArns")},
		{"DescribeLoadBalancers&PageSize=two", "Value &#34;two&#34; at PageSize is no whole number of 32 bits"},
	} {
		form, err := url.ParseQuery("Version=2015-12-01&Action=" + test.form)
		if err != nil {
			t.Fatal(err)
		}
		if status, text := post(t, server.URL, nil, form); status != http.StatusBadRequest || !strings.Contains(text, test.want) {
			t.Errorf("%s: %d %s\nwant %s", test.form, status, text, test.want)
		}
	}
}

func TestPoliciesAndLimits(t *testing.T) {
	t.Parallel()
	_, client := newSite(t)
	policies, err := client.DescribeSSLPolicies(t.Context(), &elbv2.DescribeSSLPoliciesInput{Names: []string{"ELBSecurityPolicy-TLS13-1-2-Res-2021-06"}})
	if err != nil || len(policies.SslPolicies) != 1 {
		t.Fatal(policies, err)
	}
	p := policies.SslPolicies[0]
	if !slices.Equal(p.SslProtocols, []string{"TLSv1.3", "TLSv1.2"}) || len(p.Ciphers) != 7 || *p.Ciphers[0].Name != "TLS_AES_128_GCM_SHA256" || *p.Ciphers[6].Priority != 7 || !slices.Equal(p.SupportedLoadBalancerTypes, []string{"application", "network"}) {
		t.Errorf("policy %+v", p)
	}
	quantum, err := client.DescribeSSLPolicies(t.Context(), &elbv2.DescribeSSLPoliciesInput{Names: []string{"ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"}})
	if err != nil || len(quantum.SslPolicies) != 1 || !reflect.DeepEqual(quantum.SslPolicies[0].Ciphers, p.Ciphers) {
		t.Errorf("the same with another key exchange: %+v, %v", quantum, err)
	}
	if _, err := client.DescribeSSLPolicies(t.Context(), &elbv2.DescribeSSLPoliciesInput{Names: []string{"none"}}); !refused[*types.SSLPolicyNotFoundException](err) {
		t.Errorf("error %v", err)
	}
	all, err := client.DescribeSSLPolicies(t.Context(), &elbv2.DescribeSSLPoliciesInput{LoadBalancerType: types.LoadBalancerTypeEnumApplication})
	if err != nil || len(all.SslPolicies) < 10 {
		t.Errorf("%d policies, %v", len(all.SslPolicies), err)
	}
	var names []string
	for marker := new(""); marker != nil; {
		out, err := client.DescribeSSLPolicies(t.Context(), &elbv2.DescribeSSLPoliciesInput{PageSize: aws.Int32(3), Marker: marker})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range out.SslPolicies {
			names = append(names, *p.Name)
		}
		marker = out.NextMarker
	}
	if len(names) != len(all.SslPolicies) || !slices.IsSorted(names) {
		t.Errorf("page by page: %q", names)
	}
	var limits []string
	for marker := new(""); marker != nil; {
		out, err := client.DescribeAccountLimits(t.Context(), &elbv2.DescribeAccountLimitsInput{PageSize: aws.Int32(5), Marker: marker})
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range out.Limits {
			limits = append(limits, *l.Name)
			if *l.Name == "rules-per-application-load-balancer" && *l.Max != "100" {
				t.Errorf("%s: %s", *l.Name, *l.Max)
			}
		}
		marker = out.NextMarker
	}
	if !slices.Contains(limits, "rules-per-application-load-balancer") || !slices.IsSorted(limits) || len(slices.Compact(limits)) != 18 {
		t.Errorf("limits %v", limits)
	}
}

// With credentials, requests have to be signed with them. Both forms of
// signatures are the SDK's own.
func TestCredentials(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(elbapi.New(elbapi.Options{Balancer: newMemory(), Secrets: map[string]string{"key": "secret"}, Region: region}))
	t.Cleanup(server.Close)
	ask := func(change func(*elbv2.Options)) error {
		_, err := newClient(server.URL, http.DefaultClient).DescribeLoadBalancers(t.Context(), &elbv2.DescribeLoadBalancersInput{}, change)
		return err
	}
	credentials := func(key, secret string) func(*elbv2.Options) {
		return func(o *elbv2.Options) {
			o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: key, SecretAccessKey: secret}, nil
			})
		}
	}
	for _, test := range []struct {
		name   string
		change func(*elbv2.Options)
		want   string
	}{
		{"the right ones", func(*elbv2.Options) {}, ""},
		{"a wrong secret", credentials("key", "guess"), "403, RequestID: "},
		{"a wrong secret's code", credentials("key", "guess"), "SignatureDoesNotMatch: "},
		{"an unknown key", credentials("other", "secret"), "InvalidClientTokenId: The security token included in the request is invalid."},
		{"another region", func(o *elbv2.Options) { o.Region = "us-east-1" }, "SignatureDoesNotMatch: Credential should be scoped to a valid region"},
		{"a body that is tampered with", func(o *elbv2.Options) { o.HTTPClient = tamper{} }, "SignatureDoesNotMatch: The request signature we calculated does not match"},
	} {
		err := ask(test.change)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: error %v, want %q", test.name, err, test.want)
		}
	}
	if status, text := post(t, server.URL, nil, url.Values{"Action": {"DescribeLoadBalancers"}, "Version": {"2015-12-01"}}); status != http.StatusForbidden || !strings.Contains(text, "<Code>MissingAuthenticationToken</Code>") {
		t.Errorf("without a signature: %d %s", status, text)
	}
}

// tamper is someone on the way.
type tamper struct{}

func (tamper) Do(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	// The same length, so that nothing but the body's hash tells.
	req.Body = io.NopCloser(strings.NewReader(strings.Replace(string(body), "DescribeLoadBalancers", "DescribeTargetGroups_", 1)))
	return http.DefaultClient.Do(req)
}

// Another service at the same address is told by its version, and signed for by
// its own name.
func TestAnotherService(t *testing.T) {
	t.Parallel()
	type greeting struct{ Greeting *string }
	scaling := query.Service{
		Name: "autoscaling", Version: "2011-01-01", Namespace: "http://autoscaling.amazonaws.com/doc/2011-01-01/",
		Actions: []query.Action{query.Do("Greet", func(context.Context, *struct{}) (*greeting, error) { return &greeting{new("hello")}, nil })},
	}
	form := url.Values{"Action": {"Greet"}, "Version": {"2011-01-01"}}
	open := httptest.NewServer(elbapi.New(elbapi.Options{Balancer: newMemory(), Services: []query.Service{scaling}}))
	t.Cleanup(open.Close)
	if status, text := post(t, open.URL, nil, form); status != http.StatusOK || !strings.Contains(text, `<GreetResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/"><GreetResult><Greeting>hello<`) {
		t.Errorf("%d %s", status, text)
	}
	signed := httptest.NewServer(elbapi.New(elbapi.Options{Balancer: newMemory(), Services: []query.Service{scaling}, Secrets: map[string]string{"key": "secret"}}))
	t.Cleanup(signed.Close)
	for _, test := range []struct {
		service string
		status  int
	}{{"autoscaling", http.StatusOK}, {"elasticloadbalancing", http.StatusForbidden}} {
		body := form.Encode()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, signed.URL, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		hash := sha256.Sum256([]byte(body))
		credentials := aws.Credentials{AccessKeyID: "key", SecretAccessKey: "secret"}
		if err := v4.NewSigner().SignHTTP(t.Context(), credentials, req, hex.EncodeToString(hash[:]), test.service, region, time.Now()); err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != test.status {
			t.Errorf("signed for %s: %s", test.service, res.Status)
		}
	}
}

// Without credentials anyone on the machine may ask, but no web page that is open
// in someone's browser.
func TestWebPagesAreRefused(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(elbapi.New(elbapi.Options{Balancer: newMemory()}))
	t.Cleanup(server.Close)
	for _, test := range []struct {
		name   string
		header http.Header
		status int
	}{
		{"a command", http.Header{}, 200},
		{"a form of a page", http.Header{"Origin": {"https://example.com"}, "Sec-Fetch-Site": {"cross-site"}}, 403},
		{"a page whose name was given this address", http.Header{"Sec-Fetch-Site": {"same-origin"}}, 403},
		{"an image of a page", http.Header{"Referer": {"https://example.com/"}}, 403},
		{"an address that someone typed", http.Header{"Sec-Fetch-Site": {"none"}}, 200},
	} {
		status, text := post(t, server.URL, test.header, url.Values{"Action": {"DescribeLoadBalancers"}, "Version": {"2015-12-01"}})
		if status != test.status || (status == 403) != strings.Contains(text, "<Code>AccessDenied</Code>") {
			t.Errorf("%s: %d %s", test.name, status, text)
		}
	}
}

// The SDK's waiters end.
func TestWaiters(t *testing.T) {
	t.Parallel()
	s, client := newSite(t)
	const long = time.Minute // none has to wait: all is so at its first question
	if err := elbv2.NewLoadBalancerAvailableWaiter(client).Wait(t.Context(), &elbv2.DescribeLoadBalancersInput{LoadBalancerArns: []string{s.lb}}, long); err != nil {
		t.Error(err)
	}
	if err := elbv2.NewTargetInServiceWaiter(client).Wait(t.Context(), &elbv2.DescribeTargetHealthInput{TargetGroupArn: &s.blue}, long); err != nil {
		t.Error(err)
	}
	gone := &elbv2.DescribeTargetHealthInput{TargetGroupArn: &s.blue, Targets: []types.TargetDescription{{Id: new("10.0.0.7")}}}
	if err := elbv2.NewTargetDeregisteredWaiter(client).Wait(t.Context(), gone, long); err != nil {
		t.Error(err)
	}
	if err := elbv2.NewLoadBalancersDeletedWaiter(client).Wait(t.Context(), &elbv2.DescribeLoadBalancersInput{LoadBalancerArns: []string{notThere}}, long); err != nil {
		t.Error(err)
	}
}

// post asks without an SDK.
func post(t *testing.T, to string, header http.Header, form url.Values) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, to, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		req.Header = header
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}
