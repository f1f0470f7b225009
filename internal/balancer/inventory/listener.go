package inventory

import (
	"reflect"
	"slices"

	"hale/internal/elb"
	"hale/internal/elb/rule"
)

// ListenerSettings is what CreateListener and ModifyListener ask for. To
// ModifyListener, a zero field means: as it is.
type ListenerSettings struct {
	Protocol     elb.Protocol
	Port         int
	SSLPolicy    string
	Certificates []string // ARNs; one, the default
	ALPN         []string
	Default      []rule.Action
	Attributes   elb.Attributes
	Tags         []Tag
}

// CreateListener adds a listener to a load balancer, or returns the one on that
// port if it is the same.
func (e *Edit) CreateListener(loadBalancer string, s ListenerSettings) (*Listener, error) {
	b := e.next.LoadBalancers[loadBalancer]
	if b == nil {
		return nil, elb.Errorf("LoadBalancerNotFound", "One or more load balancers not found")
	}
	l := &Listener{
		LoadBalancer: loadBalancer, Protocol: s.Protocol, Port: s.Port, SSLPolicy: s.SSLPolicy,
		Certificates: certificates(s.Certificates), ALPN: s.ALPN, Created: e.now, Tags: s.Tags,
	}
	if err := checkTags(s.Tags); err != nil {
		return nil, err
	}
	var err error
	if l.Attributes, err = elb.SetAttributes(elb.ListenerAttributes(b.Type), nil, s.Attributes); err != nil {
		return nil, err
	}
	if err := e.settle(b, l, s.Default); err != nil {
		return nil, err
	}
	for _, other := range e.next.ListenersOf(loadBalancer) {
		if other.Port != l.Port {
			continue
		}
		if other.Protocol == l.Protocol && other.SSLPolicy == l.SSLPolicy && slices.Equal(other.Certificates, l.Certificates) &&
			slices.Equal(other.ALPN, l.ALPN) && reflect.DeepEqual(other.Default, l.Default) && sameTags(other.Tags, l.Tags) {
			return other, nil
		}
		return nil, elb.Errorf("DuplicateListener", "A listener already exists on this port for this load balancer '%s'", loadBalancer)
	}
	if len(e.next.ListenersOf(loadBalancer)) >= mostListeners {
		return nil, elb.Errorf("TooManyListeners", "The load balancer has %d listeners, as many as it can have", mostListeners)
	}
	l.ARN = elb.ListenerARN(loadBalancer, hex16())
	e.next.Listeners[l.ARN] = l
	return l, nil
}

// ModifyListener changes what is given of a listener.
func (e *Edit) ModifyListener(arn string, s ListenerSettings) (*Listener, error) {
	old := e.next.Listeners[arn]
	if old == nil {
		return nil, listenerNotFound()
	}
	l := *old
	if s.Protocol != "" {
		l.Protocol = s.Protocol
		if !secure(l.Protocol) && len(s.Certificates) == 0 {
			l.Certificates, l.SSLPolicy, l.ALPN = nil, "", nil
		}
	}
	if s.Port != 0 {
		l.Port = s.Port
	}
	if s.SSLPolicy != "" {
		l.SSLPolicy = s.SSLPolicy
	}
	if len(s.Certificates) > 0 {
		// The others than the default one stay.
		l.Certificates = append(certificates(s.Certificates), l.Certificates[min(1, len(l.Certificates)):]...)
	}
	if s.ALPN != nil {
		l.ALPN = s.ALPN
	}
	actions := l.Default
	if s.Default != nil {
		actions = s.Default
	}
	for _, other := range e.next.ListenersOf(l.LoadBalancer) {
		if other.Port == l.Port && other.ARN != arn {
			return nil, elb.Errorf("DuplicateListener", "A listener already exists on this port for this load balancer '%s'", l.LoadBalancer)
		}
	}
	if err := e.settle(e.next.LoadBalancers[l.LoadBalancer], &l, actions); err != nil {
		return nil, err
	}
	e.next.Listeners[arn] = &l
	return &l, nil
}

// offered are the protocols of listeners, by the type of their load balancer.
var offered = map[elb.Balancer][]elb.Protocol{
	elb.Application: {elb.HTTP, elb.HTTPS},
	elb.Network:     {elb.TCP, elb.TLS},
	elb.Classic:     {elb.HTTP, elb.HTTPS, elb.TCP, elb.TLS},
}

// settle gives a listener of a load balancer its default actions and what else is
// not given, and checks it.
func (e *Edit) settle(b *LoadBalancer, l *Listener, actions []rule.Action) error {
	if l.Port < 1 || l.Port > 65535 {
		return elb.Errorf(elb.CodeValidation, "Listener port '%d' is not between 1 and 65535", l.Port)
	}
	if !slices.Contains(offered[b.Type], l.Protocol) {
		return elb.Errorf("UnsupportedProtocol", "Listener protocol '%s' is not offered for a load balancer of type %s: one of %v", l.Protocol, b.Type, offered[b.Type])
	}
	if err := e.settleTLS(l); err != nil {
		return err
	}
	if len(l.ALPN) > 0 && l.Protocol != elb.TLS {
		return elb.Errorf("InvalidConfigurationRequest", "An ALPN policy is possible for listeners of protocol TLS alone")
	}
	l.Default = actions
	if b.Type != elb.Application {
		if len(actions) != 1 || actions[0].Type != rule.Forward || len(groupsOf(actions)) != 1 {
			return elb.Errorf("InvalidLoadBalancerAction", "A listener of a load balancer of type %s forwards to one target group, and does nothing else", b.Type)
		}
	} else if err := rule.ValidateActions(actions, facts(l)); err != nil {
		return err
	}
	for _, r := range e.next.RulesOf(l.ARN) { // of another protocol than before
		for _, arn := range groupsOf(r.Actions) {
			if g := e.next.Groups[arn]; g != nil {
				if err := compatible(l, g); err != nil {
					return err
				}
			}
		}
	}
	return e.checkForwards(b, l, actions)
}

func (e *Edit) settleTLS(l *Listener) error {
	if !secure(l.Protocol) {
		if len(l.Certificates) > 0 || l.SSLPolicy != "" {
			return elb.Errorf("InvalidConfigurationRequest", "Certificates and SSL policies are possible for listeners of protocol HTTPS or TLS alone")
		}
		return nil
	}
	if len(l.Certificates) == 0 {
		return elb.Errorf("CertificateNotFound", "A certificate must be specified for %s listeners", l.Protocol)
	}
	for _, c := range l.Certificates {
		if err := e.checkCertificate(c.ARN); err != nil {
			return err
		}
	}
	if l.SSLPolicy == "" {
		l.SSLPolicy = elb.DefaultSSLPolicy
	}
	if _, ok := elb.SSLPolicyOf(l.SSLPolicy); !ok {
		return elb.Errorf("SSLPolicyNotFound", "SSL policy '%s' not found", l.SSLPolicy)
	}
	return nil
}

func (e *Edit) checkCertificate(arn string) error {
	if e.place.HasCertificate == nil || !e.place.HasCertificate(arn) {
		return elb.Errorf("CertificateNotFound", "Certificate '%s' not found: name its files under Certificates in the configuration", arn)
	}
	return nil
}

func secure(p elb.Protocol) bool { return p == elb.HTTPS || p == elb.TLS }

func certificates(arns []string) []Certificate {
	var list []Certificate
	for _, arn := range arns {
		list = append(list, Certificate{arn})
	}
	return list
}

func listenerNotFound() error {
	return elb.Errorf("ListenerNotFound", "One or more listeners not found")
}

// listener returns a copy that may be changed, already in its place.
func (e *Edit) listener(arn string) (*Listener, error) {
	old := e.next.Listeners[arn]
	if old == nil {
		return nil, listenerNotFound()
	}
	l := *old
	e.next.Listeners[arn] = &l
	return &l, nil
}

// DeleteListener removes a listener and its rules.
func (e *Edit) DeleteListener(arn string) error {
	if e.next.Listeners[arn] == nil {
		return listenerNotFound()
	}
	e.deleteListener(arn)
	return nil
}

func (e *Edit) deleteListener(arn string) {
	for _, r := range e.next.RulesOf(arn) {
		delete(e.next.Rules, r.ARN)
	}
	delete(e.next.Listeners, arn)
}

// SetListenerAttributes changes the attributes that are given.
func (e *Edit) SetListenerAttributes(arn string, set elb.Attributes) (*Listener, error) {
	l, err := e.listener(arn)
	if err != nil {
		return nil, err
	}
	attributes, err := elb.SetAttributes(elb.ListenerAttributes(e.next.LoadBalancers[l.LoadBalancer].Type), l.Attributes, set)
	if err != nil {
		return nil, err
	}
	l.Attributes = attributes
	return l, nil
}

// AddCertificates adds certificates to the list beside the default one, for names
// of their own. What is in the list already stays. The default one may be in it,
// too (ELBv2 API, DescribeListenerCertificates): then it stays when another one
// becomes the default.
func (e *Edit) AddCertificates(arn string, certificates []string) (*Listener, error) {
	l, err := e.listener(arn)
	if err != nil {
		return nil, err
	}
	if !secure(l.Protocol) {
		return nil, elb.Errorf("InvalidConfigurationRequest", "Certificates are possible for listeners of protocol HTTPS or TLS alone")
	}
	all := slices.Clone(l.Certificates)
	for _, c := range certificates {
		if err := e.checkCertificate(c); err != nil {
			return nil, err
		}
		if !slices.Contains(all[1:], Certificate{c}) {
			all = append(all, Certificate{c})
		}
	}
	if len(all) > 1+mostCertificates {
		return nil, elb.Errorf("TooManyCertificates", "A listener can have %d certificates beside the default one", mostCertificates)
	}
	l.Certificates = all
	return l, nil
}

// RemoveCertificates removes certificates from the list beside the default one.
func (e *Edit) RemoveCertificates(arn string, certificates []string) error {
	l, err := e.listener(arn)
	if err != nil {
		return err
	}
	if len(l.Certificates) == 0 { // without TLS
		return nil
	}
	kept := slices.Clone(l.Certificates)
	for _, c := range certificates {
		i := 1 + slices.Index(kept[1:], Certificate{c})
		if i == 0 && kept[0].ARN == c {
			return elb.Errorf("OperationNotPermitted", "Default certificate '%s' cannot be removed; modify the listener to replace it", c)
		}
		if i > 0 {
			kept = slices.Delete(kept, i, i+1)
		}
	}
	l.Certificates = kept
	return nil
}
