package elbapi

import (
	"context"
	"fmt"

	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"hale/internal/balancer/inventory"
	"hale/internal/elb"
)

func (a api) addListenerCertificates(ctx context.Context, in *elbv2.AddListenerCertificatesInput) (*elbv2.AddListenerCertificatesOutput, error) {
	arn, err := arnAt("ListenerArn", in.ListenerArn, elb.ARNListener)
	if err := first(err, required("Certificates", len(in.Certificates) > 0)); err != nil {
		return nil, err
	}
	added, err := certificatesFrom(in.Certificates)
	if err != nil {
		return nil, err
	}
	if _, err := change(ctx, a, func(e *inventory.Edit) (*inventory.Listener, error) { return e.AddCertificates(arn, added) }); err != nil {
		return nil, err
	}
	return &elbv2.AddListenerCertificatesOutput{Certificates: each(added, func(arn string) types.Certificate {
		return types.Certificate{CertificateArn: &arn, IsDefault: new(false)}
	})}, nil
}

func (a api) removeListenerCertificates(ctx context.Context, in *elbv2.RemoveListenerCertificatesInput) (*elbv2.RemoveListenerCertificatesOutput, error) {
	arn, err := arnAt("ListenerArn", in.ListenerArn, elb.ARNListener)
	if err := first(err, required("Certificates", len(in.Certificates) > 0)); err != nil {
		return nil, err
	}
	removed, err := certificatesFrom(in.Certificates)
	if err != nil {
		return nil, err
	}
	return &elbv2.RemoveListenerCertificatesOutput{}, a.balancer.Change(ctx, func(e *inventory.Edit) error { return e.RemoveCertificates(arn, removed) })
}

func (a api) describeListenerCertificates(_ context.Context, in *elbv2.DescribeListenerCertificatesInput) (*elbv2.DescribeListenerCertificatesOutput, error) {
	l, err := find(a.balancer.Inventory().Listeners, "ListenerArn", in.ListenerArn, elb.ARNListener)
	if err != nil {
		return nil, err
	}
	// In their order, the default one first.
	type numbered struct {
		place int
		arn   string
	}
	all := make([]numbered, len(l.Certificates))
	for i, c := range l.Certificates {
		all[i] = numbered{i, c.ARN}
	}
	part, next, err := page(all, func(n numbered) string { return fmt.Sprintf("%05d", n.place) }, in.Marker, in.PageSize)
	return &elbv2.DescribeListenerCertificatesOutput{NextMarker: next, Certificates: each(part, func(n numbered) types.Certificate {
		return types.Certificate{CertificateArn: &n.arn, IsDefault: new(n.place == 0)}
	})}, err
}

func certificatesFrom(given []types.Certificate) ([]string, error) {
	var arns []string
	for _, c := range given {
		switch {
		case c.CertificateArn == nil:
			return nil, elb.Errorf(elb.CodeValidation, "A certificate has no ARN")
		case c.IsDefault != nil:
			return nil, elb.Errorf(elb.CodeValidation, "You cannot specify IsDefault for certificate '%s'", *c.CertificateArn)
		}
		arns = append(arns, *c.CertificateArn)
	}
	return arns, nil
}
