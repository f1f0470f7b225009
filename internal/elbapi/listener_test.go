package elbapi_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

func replaced(text, old, with string) string { return strings.Replace(text, old, with, 1) }

const (
	toBlue = `<member><Type>forward</Type><ForwardConfig><TargetGroupStickinessConfig><Enabled>false</Enabled></TargetGroupStickinessConfig>
		<TargetGroups><member><TargetGroupArn>BLUE</TargetGroupArn><Weight>1</Weight></member></TargetGroups></ForwardConfig><TargetGroupArn>BLUE</TargetGroupArn></member>`
	plainAsXML = `<member><DefaultActions>` + toBlue + `</DefaultActions><ListenerArn>LISTENER</ListenerArn><LoadBalancerArn>LB</LoadBalancerArn><Port>80</Port><Protocol>HTTP</Protocol></member>`
	// Of several certificates the default one alone is told.
	secureAsXML = `<member><Certificates><member><CertificateArn>arn:cert-1</CertificateArn></member></Certificates><DefaultActions>` + toBlue + `</DefaultActions>
		<ListenerArn>SECURE</ListenerArn><LoadBalancerArn>LB</LoadBalancerArn><MutualAuthentication><Mode>off</Mode></MutualAuthentication><Port>443</Port><Protocol>HTTPS</Protocol><SslPolicy>ELBSecurityPolicy-2016-08</SslPolicy></member>`
	listenerNotThere = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/none/0123456789abcdef/0123456789abcdef"
)

func TestListeners(t *testing.T) {
	create := func(change func(*site, *elbv2.CreateListenerInput)) ask {
		return asking((*elbv2.Client).CreateListener, func(s *site) *elbv2.CreateListenerInput {
			in := &elbv2.CreateListenerInput{
				LoadBalancerArn: &s.lb, Protocol: types.ProtocolEnumHttp, Port: aws.Int32(81),
				DefaultActions: []types.Action{{Type: types.ActionTypeEnumForward, TargetGroupArn: &s.blue}},
			}
			change(s, in)
			return in
		})
	}
	describe := func(in func(*site) *elbv2.DescribeListenersInput) ask {
		return asking((*elbv2.Client).DescribeListeners, in)
	}
	modify := func(change func(*site, *elbv2.ModifyListenerInput)) ask {
		return asking((*elbv2.Client).ModifyListener, func(s *site) *elbv2.ModifyListenerInput {
			in := &elbv2.ModifyListenerInput{ListenerArn: &s.listener}
			change(s, in)
			return in
		})
	}
	hold(t, []answer{
		{
			"weighted groups, with stickiness",
			create(func(s *site, in *elbv2.CreateListenerInput) {
				in.DefaultActions = []types.Action{{Type: types.ActionTypeEnumForward, ForwardConfig: &types.ForwardActionConfig{
					TargetGroups:                []types.TargetGroupTuple{{TargetGroupArn: &s.blue, Weight: aws.Int32(90)}, {TargetGroupArn: &s.green, Weight: aws.Int32(0)}, {TargetGroupArn: &s.spare}},
					TargetGroupStickinessConfig: &types.TargetGroupStickinessConfig{Enabled: aws.Bool(true), DurationSeconds: aws.Int32(60)},
				}}}
			}),
			`<Listeners><member><DefaultActions><member><Type>forward</Type><ForwardConfig><TargetGroupStickinessConfig><DurationSeconds>60</DurationSeconds><Enabled>true</Enabled></TargetGroupStickinessConfig>
			<TargetGroups><member><TargetGroupArn>BLUE</TargetGroupArn><Weight>90</Weight></member><member><TargetGroupArn>GREEN</TargetGroupArn><Weight>0</Weight></member><member><TargetGroupArn>SPARE</TargetGroupArn><Weight>1</Weight></member></TargetGroups></ForwardConfig></member></DefaultActions>
			<ListenerArn>arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/site/#/#</ListenerArn><LoadBalancerArn>LB</LoadBalancerArn><Port>81</Port><Protocol>HTTP</Protocol></member></Listeners>`,
		},
		{
			"without a protocol",
			create(func(_ *site, in *elbv2.CreateListenerInput) { in.Protocol = "" }),
			"ValidationError: A listener protocol must be specified",
		},
		{
			"without a port",
			create(func(_ *site, in *elbv2.CreateListenerInput) { in.Port = nil }),
			"ValidationError: A listener port must be specified",
		},
		{
			"a redirect",
			create(func(_ *site, in *elbv2.CreateListenerInput) {
				in.DefaultActions = []types.Action{{Type: types.ActionTypeEnumRedirect, RedirectConfig: &types.RedirectActionConfig{Protocol: new("HTTPS"), Port: new("443"), StatusCode: types.RedirectActionStatusCodeEnumHttp301}}}
			}),
			`<Listeners><member><DefaultActions><member><Type>redirect</Type><RedirectConfig><StatusCode>HTTP_301</StatusCode><Host>#{host}</Host><Path>/#{path}</Path><Port>443</Port><Protocol>HTTPS</Protocol><Query>#{query}</Query></RedirectConfig></member></DefaultActions>
			<ListenerArn>arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/site/#/#</ListenerArn><LoadBalancerArn>LB</LoadBalancerArn><Port>81</Port><Protocol>HTTP</Protocol></member></Listeners>`,
		},
		{
			"a fixed response",
			create(func(_ *site, in *elbv2.CreateListenerInput) {
				in.DefaultActions = []types.Action{{Type: types.ActionTypeEnumFixedResponse, Order: aws.Int32(1), FixedResponseConfig: &types.FixedResponseActionConfig{StatusCode: new("503"), ContentType: new("text/plain"), MessageBody: new("closed")}}}
			}),
			`<Listeners><member><DefaultActions><member><Type>fixed-response</Type><FixedResponseConfig><StatusCode>503</StatusCode><ContentType>text/plain</ContentType><MessageBody>closed</MessageBody></FixedResponseConfig><Order>1</Order></member></DefaultActions>
			<ListenerArn>arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/site/#/#</ListenerArn><LoadBalancerArn>LB</LoadBalancerArn><Port>81</Port><Protocol>HTTP</Protocol></member></Listeners>`,
		},
		{
			"the same again is the one that is there",
			create(func(_ *site, in *elbv2.CreateListenerInput) { in.Port = aws.Int32(80) }),
			"<Listeners>" + plainAsXML + "</Listeners>",
		},
		{
			"a port that is taken",
			create(func(s *site, in *elbv2.CreateListenerInput) {
				in.Port, in.DefaultActions = aws.Int32(80), []types.Action{{Type: types.ActionTypeEnumForward, TargetGroupArn: &s.green}}
			}),
			"DuplicateListener: A listener already exists on this port for this load balancer 'LB'",
		},
		{
			"a group in two forms that differ",
			create(func(s *site, in *elbv2.CreateListenerInput) {
				in.DefaultActions[0].ForwardConfig = &types.ForwardActionConfig{TargetGroups: []types.TargetGroupTuple{{TargetGroupArn: &s.green}}}
			}),
			"ValidationError: With a target group ARN beside it, a ForwardConfig can have that one target group alone",
		},
		{
			"a group that is not there",
			create(func(_ *site, in *elbv2.CreateListenerInput) { in.DefaultActions[0].TargetGroupArn = new(groupNotThere) }),
			"TargetGroupNotFound: One or more target groups not found",
		},
		{
			"a certificate that is not there",
			create(func(_ *site, in *elbv2.CreateListenerInput) {
				in.Protocol, in.Certificates = types.ProtocolEnumHttps, []types.Certificate{{CertificateArn: new("arn:other")}}
			}),
			"CertificateNotFound: Certificate 'arn:other' not found: name its files under Certificates in the configuration",
		},
		{
			"two certificates",
			create(func(_ *site, in *elbv2.CreateListenerInput) {
				in.Protocol, in.Certificates = types.ProtocolEnumHttps, []types.Certificate{{CertificateArn: new("arn:cert-1")}, {CertificateArn: new("arn:cert-2")}}
			}),
			"TooManyCertificates: You can specify exactly one certificate, the default one: add others with AddListenerCertificates",
		},
		{
			"a client's certificate",
			create(func(_ *site, in *elbv2.CreateListenerInput) {
				in.MutualAuthentication = &types.MutualAuthenticationAttributes{Mode: new("verify")}
			}),
			"InvalidConfigurationRequest: Mutual authentication is not offered here",
		},
		{
			"all of a load balancer, by port",
			describe(func(s *site) *elbv2.DescribeListenersInput {
				return &elbv2.DescribeListenersInput{LoadBalancerArn: &s.lb}
			}),
			"<Listeners>" + plainAsXML + secureAsXML + "</Listeners>",
		},
		{
			"some, each once",
			describe(func(s *site) *elbv2.DescribeListenersInput {
				return &elbv2.DescribeListenersInput{ListenerArns: []string{s.secure, s.listener, s.secure}}
			}),
			"<Listeners>" + plainAsXML + secureAsXML + "</Listeners>",
		},
		{
			"none in particular",
			describe(func(*site) *elbv2.DescribeListenersInput { return &elbv2.DescribeListenersInput{} }),
			"ValidationError: You must specify either listener ARNs or a load balancer ARN",
		},
		{
			"of a load balancer that is not there",
			describe(func(*site) *elbv2.DescribeListenersInput {
				return &elbv2.DescribeListenersInput{LoadBalancerArn: new(notThere)}
			}),
			"LoadBalancerNotFound: One or more load balancers not found",
		},
		{
			"one that is not there",
			describe(func(*site) *elbv2.DescribeListenersInput {
				return &elbv2.DescribeListenersInput{ListenerArns: []string{listenerNotThere}}
			}),
			"ListenerNotFound: One or more listeners not found",
		},
		{
			"the port is changed",
			modify(func(_ *site, in *elbv2.ModifyListenerInput) { in.Port = aws.Int32(8080) }),
			"<Listeners>" + replaced(plainAsXML, "<Port>80<", "<Port>8080<") + "</Listeners>",
		},
		{
			"to the port of another",
			modify(func(_ *site, in *elbv2.ModifyListenerInput) { in.Port = aws.Int32(443) }),
			"DuplicateListener: A listener already exists on this port for this load balancer 'LB'",
		},
		{
			"deleted",
			asking((*elbv2.Client).DeleteListener, func(s *site) *elbv2.DeleteListenerInput {
				return &elbv2.DeleteListenerInput{ListenerArn: &s.listener}
			}),
			"",
		},
		{
			"deleted, although it is not there",
			asking((*elbv2.Client).DeleteListener, func(*site) *elbv2.DeleteListenerInput {
				return &elbv2.DeleteListenerInput{ListenerArn: new(listenerNotThere)}
			}),
			"ListenerNotFound: One or more listeners not found",
		},
		{
			"certificates beside the default one",
			asking((*elbv2.Client).AddListenerCertificates, func(s *site) *elbv2.AddListenerCertificatesInput {
				return &elbv2.AddListenerCertificatesInput{ListenerArn: &s.secure, Certificates: []types.Certificate{{CertificateArn: new("arn:cert-3")}, {CertificateArn: new("arn:cert-2")}}}
			}),
			`<Certificates><member><CertificateArn>arn:cert-3</CertificateArn><IsDefault>false</IsDefault></member><member><CertificateArn>arn:cert-2</CertificateArn><IsDefault>false</IsDefault></member></Certificates>`,
		},
		{
			"a second default one",
			asking((*elbv2.Client).AddListenerCertificates, func(s *site) *elbv2.AddListenerCertificatesInput {
				return &elbv2.AddListenerCertificatesInput{ListenerArn: &s.secure, Certificates: []types.Certificate{{CertificateArn: new("arn:cert-3"), IsDefault: aws.Bool(true)}}}
			}),
			"ValidationError: You cannot specify IsDefault for certificate 'arn:cert-3'",
		},
		{
			"certificates without TLS",
			asking((*elbv2.Client).AddListenerCertificates, func(s *site) *elbv2.AddListenerCertificatesInput {
				return &elbv2.AddListenerCertificatesInput{ListenerArn: &s.listener, Certificates: []types.Certificate{{CertificateArn: new("arn:cert-3")}}}
			}),
			"InvalidConfigurationRequest: Certificates are possible for listeners of protocol HTTPS or TLS alone",
		},
		{
			"the default certificate cannot be removed",
			asking((*elbv2.Client).RemoveListenerCertificates, func(s *site) *elbv2.RemoveListenerCertificatesInput {
				return &elbv2.RemoveListenerCertificatesInput{ListenerArn: &s.secure, Certificates: []types.Certificate{{CertificateArn: new("arn:cert-1")}}}
			}),
			"OperationNotPermitted: Default certificate 'arn:cert-1' cannot be removed; modify the listener to replace it",
		},
		{
			"a certificate of a listener without any",
			asking((*elbv2.Client).RemoveListenerCertificates, func(s *site) *elbv2.RemoveListenerCertificatesInput {
				return &elbv2.RemoveListenerCertificatesInput{ListenerArn: &s.listener, Certificates: []types.Certificate{{CertificateArn: new("arn:cert-1")}}}
			}),
			"",
		},
		{
			"all certificates",
			asking((*elbv2.Client).DescribeListenerCertificates, func(s *site) *elbv2.DescribeListenerCertificatesInput {
				return &elbv2.DescribeListenerCertificatesInput{ListenerArn: &s.secure}
			}),
			"<Certificates><member><CertificateArn>arn:cert-1</CertificateArn><IsDefault>true</IsDefault></member></Certificates>",
		},
		{
			"attributes",
			asking((*elbv2.Client).ModifyListenerAttributes, func(s *site) *elbv2.ModifyListenerAttributesInput {
				return &elbv2.ModifyListenerAttributesInput{ListenerArn: &s.listener, Attributes: []types.ListenerAttribute{{Key: new("tcp.idle_timeout.seconds"), Value: new("60")}}}
			}),
			"InvalidConfigurationRequest: Listener attribute key 'tcp.idle_timeout.seconds' is not supported on listeners of load balancers with type 'application'",
		},
	})
}

// Certificates come and go beside the default one.
func TestCertificates(t *testing.T) {
	t.Parallel()
	s, client := newSite(t)
	list := func() string {
		t.Helper()
		var names []string
		pages := elbv2.NewDescribeListenerCertificatesPaginator(client, &elbv2.DescribeListenerCertificatesInput{ListenerArn: &s.secure, PageSize: aws.Int32(1)})
		for pages.HasMorePages() {
			out, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range out.Certificates {
				name := *c.CertificateArn
				if *c.IsDefault {
					name += "!"
				}
				names = append(names, name)
			}
		}
		return strings.Join(names, " ")
	}
	two := []types.Certificate{{CertificateArn: new("arn:cert-3")}, {CertificateArn: new("arn:cert-2")}}
	if _, err := client.AddListenerCertificates(t.Context(), &elbv2.AddListenerCertificatesInput{ListenerArn: &s.secure, Certificates: two}); err != nil {
		t.Fatal(err)
	}
	if got := list(); got != "arn:cert-1! arn:cert-3 arn:cert-2" {
		t.Errorf("added: %s", got)
	}
	if _, err := client.RemoveListenerCertificates(t.Context(), &elbv2.RemoveListenerCertificatesInput{ListenerArn: &s.secure, Certificates: two[:1]}); err != nil {
		t.Fatal(err)
	}
	if got := list(); got != "arn:cert-1! arn:cert-2" {
		t.Errorf("removed: %s", got)
	}
	// The default one may be in the list, too: so it stays when it is no longer the
	// default.
	first := []types.Certificate{{CertificateArn: new("arn:cert-1")}}
	if _, err := client.AddListenerCertificates(t.Context(), &elbv2.AddListenerCertificatesInput{ListenerArn: &s.secure, Certificates: first}); err != nil {
		t.Fatal(err)
	}
	if got := list(); got != "arn:cert-1! arn:cert-2 arn:cert-1" {
		t.Errorf("the default one added: %s", got)
	}
	if _, err := client.ModifyListener(t.Context(), &elbv2.ModifyListenerInput{ListenerArn: &s.secure, Certificates: two[1:]}); err != nil {
		t.Fatal(err)
	}
	if got := list(); got != "arn:cert-2! arn:cert-2 arn:cert-1" {
		t.Errorf("another default one: %s", got)
	}
	if _, err := client.RemoveListenerCertificates(t.Context(), &elbv2.RemoveListenerCertificatesInput{ListenerArn: &s.secure, Certificates: two[1:]}); err != nil {
		t.Fatal(err)
	}
	if got := list(); got != "arn:cert-2! arn:cert-1" {
		t.Errorf("the default one removed from the list: %s", got)
	}
}

// A listener's own attributes, told after a change and when asked for.
func TestListenerAttributes(t *testing.T) {
	t.Parallel()
	s, client := newSite(t)
	const key = "routing.http.response.server.enabled"
	changed, err := client.ModifyListenerAttributes(t.Context(), &elbv2.ModifyListenerAttributesInput{ListenerArn: &s.listener, Attributes: []types.ListenerAttribute{{Key: new(key), Value: new("false")}}})
	if err != nil {
		t.Fatal(err)
	}
	told, err := client.DescribeListenerAttributes(t.Context(), &elbv2.DescribeListenerAttributesInput{ListenerArn: &s.listener})
	if err != nil {
		t.Fatal(err)
	}
	for what, attributes := range map[string][]types.ListenerAttribute{"changed": changed.Attributes, "told": told.Attributes} {
		found := ""
		for _, a := range attributes {
			if *a.Key == key {
				found = *a.Value
			}
		}
		if found != "false" {
			t.Errorf("%s: %s is %q of %d", what, key, found, len(attributes))
		}
	}
}
