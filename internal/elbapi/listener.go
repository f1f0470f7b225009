package elbapi

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"hale/internal/balancer/inventory"
	"hale/internal/elb"
)

func (a api) createListener(ctx context.Context, in *elbv2.CreateListenerInput) (*elbv2.CreateListenerOutput, error) {
	arn, err := arnAt("LoadBalancerArn", in.LoadBalancerArn, elb.ARNBalancer)
	if err := first(err, required("DefaultActions", len(in.DefaultActions) > 0)); err != nil {
		return nil, err
	}
	settings, err := listenerFrom(in.Protocol, in.Port, in.SslPolicy, in.Certificates, in.AlpnPolicy, in.DefaultActions, in.MutualAuthentication)
	switch {
	case err != nil:
		return nil, err
	case in.Protocol == "":
		return nil, elb.Errorf(elb.CodeValidation, "A listener protocol must be specified")
	case in.Port == nil:
		return nil, elb.Errorf(elb.CodeValidation, "A listener port must be specified")
	}
	if settings.Tags, err = tagsFrom(in.Tags); err != nil {
		return nil, err
	}
	l, err := change(ctx, a, func(e *inventory.Edit) (*inventory.Listener, error) { return e.CreateListener(arn, settings) })
	if err != nil {
		return nil, err
	}
	return &elbv2.CreateListenerOutput{Listeners: []types.Listener{listener(l)}}, nil
}

func (a api) modifyListener(ctx context.Context, in *elbv2.ModifyListenerInput) (*elbv2.ModifyListenerOutput, error) {
	arn, err := arnAt("ListenerArn", in.ListenerArn, elb.ARNListener)
	if err != nil {
		return nil, err
	}
	settings, err := listenerFrom(in.Protocol, in.Port, in.SslPolicy, in.Certificates, in.AlpnPolicy, in.DefaultActions, in.MutualAuthentication)
	if err != nil {
		return nil, err
	}
	l, err := change(ctx, a, func(e *inventory.Edit) (*inventory.Listener, error) { return e.ModifyListener(arn, settings) })
	if err != nil {
		return nil, err
	}
	return &elbv2.ModifyListenerOutput{Listeners: []types.Listener{listener(l)}}, nil
}

// listenerFrom reads the members that creating and modifying a listener share.
func listenerFrom(
	protocol types.ProtocolEnum, port *int32, policy *string, certificates []types.Certificate, alpn []string,
	actions []types.Action, mutual *types.MutualAuthenticationAttributes,
) (inventory.ListenerSettings, error) {
	s := inventory.ListenerSettings{
		Protocol: elb.Protocol(protocol), Port: int(aws.ToInt32(port)), SSLPolicy: aws.ToString(policy), ALPN: alpn,
	}
	if err := first(
		among("Protocol", protocol), atLeast("Port", port, 1),
		notOffered("Mutual authentication", mutual != nil && aws.ToString(mutual.Mode) != "off"),
	); err != nil {
		return s, err
	}
	if len(certificates) > 1 {
		return s, elb.Errorf("TooManyCertificates", "You can specify exactly one certificate, the default one: add others with AddListenerCertificates")
	}
	var err error
	if s.Certificates, err = certificatesFrom(certificates); err != nil {
		return s, err
	}
	s.Default, err = actionsFrom(actions)
	return s, err
}

func (a api) describeListeners(_ context.Context, in *elbv2.DescribeListenersInput) (*elbv2.DescribeListenersOutput, error) {
	v := a.balancer.Inventory()
	var found []*inventory.Listener
	switch {
	case len(in.ListenerArns) > 0 && in.LoadBalancerArn != nil:
		return nil, elb.Errorf(elb.CodeValidation, "Listener ARNs and a load balancer ARN cannot be specified at the same time")
	case len(in.ListenerArns) > 0:
		for _, arn := range in.ListenerArns {
			l, err := find(v.Listeners, "ListenerArns", &arn, elb.ARNListener)
			if err != nil {
				return nil, err
			}
			found = append(found, l)
		}
	case in.LoadBalancerArn != nil:
		b, err := find(v.LoadBalancers, "LoadBalancerArn", in.LoadBalancerArn, elb.ARNBalancer)
		if err != nil {
			return nil, err
		}
		found = v.ListenersOf(b.ARN)
	default:
		return nil, elb.Errorf(elb.CodeValidation, "You must specify either listener ARNs or a load balancer ARN")
	}
	key := func(l *inventory.Listener) string { return fmt.Sprintf("%s %05d", l.LoadBalancer, l.Port) }
	part, next, err := page(ordered(found, key), key, in.Marker, in.PageSize)
	return &elbv2.DescribeListenersOutput{Listeners: each(part, listener), NextMarker: next}, err
}

func (a api) deleteListener(ctx context.Context, in *elbv2.DeleteListenerInput) (*elbv2.DeleteListenerOutput, error) {
	arn, err := arnAt("ListenerArn", in.ListenerArn, elb.ARNListener)
	if err != nil {
		return nil, err
	}
	return &elbv2.DeleteListenerOutput{}, a.balancer.Change(ctx, func(e *inventory.Edit) error { return e.DeleteListener(arn) })
}

func (a api) describeListenerAttributes(_ context.Context, in *elbv2.DescribeListenerAttributesInput) (*elbv2.DescribeListenerAttributesOutput, error) {
	v := a.balancer.Inventory()
	l, err := find(v.Listeners, "ListenerArn", in.ListenerArn, elb.ARNListener)
	if err != nil {
		return nil, err
	}
	return &elbv2.DescribeListenerAttributesOutput{Attributes: listenerAttributes(v, l)}, nil
}

func (a api) modifyListenerAttributes(ctx context.Context, in *elbv2.ModifyListenerAttributesInput) (*elbv2.ModifyListenerAttributesOutput, error) {
	arn, err := arnAt("ListenerArn", in.ListenerArn, elb.ARNListener)
	if err != nil {
		return nil, err
	}
	set, err := attributesFrom(in.Attributes, func(t types.ListenerAttribute) (key, value *string) { return t.Key, t.Value })
	if err != nil {
		return nil, err
	}
	made, err := change(ctx, a, func(e *inventory.Edit) ([]types.ListenerAttribute, error) {
		l, err := e.SetListenerAttributes(arn, set)
		if err != nil {
			return nil, err
		}
		return listenerAttributes(e.Inventory(), l), nil
	})
	if err != nil {
		return nil, err
	}
	return &elbv2.ModifyListenerAttributesOutput{Attributes: made}, nil
}

func listenerAttributes(v *inventory.Inventory, l *inventory.Listener) []types.ListenerAttribute {
	return attributesOf(l.All(v.LoadBalancers[l.LoadBalancer]), func(key, value *string) types.ListenerAttribute {
		return types.ListenerAttribute{Key: key, Value: value}
	})
}

// listener tells a listener, with its default certificate alone, as AWS does.
func listener(l *inventory.Listener) types.Listener {
	told := types.Listener{
		ListenerArn: &l.ARN, LoadBalancerArn: &l.LoadBalancer,
		Protocol: types.ProtocolEnum(l.Protocol), Port: number(l.Port),
		DefaultActions: each(l.Default, action),
		SslPolicy:      text(l.SSLPolicy), AlpnPolicy: l.ALPN,
	}
	if len(l.Certificates) > 0 {
		told.Certificates = []types.Certificate{{CertificateArn: &l.Certificates[0].ARN}}
	}
	if l.Protocol == elb.HTTPS {
		told.MutualAuthentication = &types.MutualAuthenticationAttributes{Mode: new("off")}
	}
	return told
}
