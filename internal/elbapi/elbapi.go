// Package elbapi is AWS's API for load balancers over the balancer of this
// machine: the actions of ELBv2 (API version 2015-12-01), so that the aws
// command, boto3 and the AWS SDKs work with it as they do with AWS.
//
// The codec is package query's, signatures are package sigv4's, and what ELB
// would refuse is refused by package inventory. Here is a file for each noun of
// the API, with its actions and how its values are told. Where the API's
// documentation names no wording for a refusal, it is ours.
package elbapi

import (
	"context"
	"log/slog"
	"net/http"

	"hale/internal/balancer/inventory"
	"hale/internal/elb"
	"hale/internal/elbapi/cloudwatch"
	"hale/internal/elbapi/query"
	"hale/internal/elbapi/rpc"
	"hale/internal/elbapi/sigv4"
	"hale/internal/ownname"
)

// Balancer is what the API is over.
type Balancer interface {
	// Inventory returns what there is. It never changes.
	Inventory() *inventory.Inventory
	// Change changes it, wholly or, with an error, not at all. What was changed is
	// durable when it returns.
	Change(ctx context.Context, change func(*inventory.Edit) error) error
	// TargetHealth returns what is known of the targets of a group, of those that
	// are draining, too.
	TargetHealth(group string) []inventory.TargetStatus
}

// Options is what an API needs.
type Options struct {
	Balancer Balancer
	// Metrics answers CloudWatch's actions, at the same address; nil: they are not
	// there.
	Metrics cloudwatch.Balancer
	// Services are others of AWS's that are answered at the same address.
	Services []query.Service
	// Secrets are secret access keys by their access key ids. With one or more of
	// them, requests have to be signed; without, anyone who can reach the API may
	// use it, save for web pages.
	Secrets map[string]string
	// Region is the one that requests have to be signed for; empty: any.
	Region string
	// Log takes what goes wrong on this side; nil: nobody does.
	Log *slog.Logger
}

// New returns a handler of the API's requests.
func New(o Options) http.Handler {
	authorize := refuseWebPages
	if len(o.Secrets) > 0 {
		authorize = sigv4.Verifier{Secrets: o.Secrets, Region: o.Region}.Verify
	}
	services := append([]query.Service{balancing(api{o.Balancer})}, o.Services...)
	if o.Metrics != nil {
		services = append(services, cloudwatch.Query(o.Metrics))
	}
	forms := query.NewHandler(query.Options{Services: services, Authorize: authorize, Log: o.Log})
	if o.Metrics == nil {
		return forms
	}
	calls := rpc.NewHandler(rpc.Options{Service: cloudwatch.RPC(o.Metrics), Authorize: authorize, Log: o.Log})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls.Takes(r) {
			calls.ServeHTTP(w, r)
		} else {
			forms.ServeHTTP(w, r)
		}
	})
}

// refuseWebPages refuses what a browser sends for a page: any site could have its
// visitors' browsers talk to a port of their machine. Clients of the API send
// none of these headers, and an address typed into a browser is "none".
func refuseWebPages(r *http.Request, _ []byte, _ string) error {
	if !ownname.Is(r.Host) {
		return elb.Errorf("AccessDenied", "Requests without a signature have to name this address by its IP address or as localhost")
	}
	site := r.Header.Get("Sec-Fetch-Site")
	if site != "" && site != "none" || r.Header.Get("Origin") != "" || r.Header.Get("Referer") != "" {
		return elb.Errorf("AccessDenied", "Requests from web pages are refused: configure credentials, and sign them")
	}
	return nil
}

// balancing is the service of ELBv2.
func balancing(a api) query.Service {
	return query.Service{
		Name:      "elasticloadbalancing",
		Version:   "2015-12-01",
		Namespace: "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/",
		Actions: []query.Action{
			query.Do("CreateLoadBalancer", a.createLoadBalancer),
			query.Do("DescribeLoadBalancers", a.describeLoadBalancers),
			query.Do("DeleteLoadBalancer", a.deleteLoadBalancer),
			query.Do("DescribeLoadBalancerAttributes", a.describeLoadBalancerAttributes),
			query.Do("ModifyLoadBalancerAttributes", a.modifyLoadBalancerAttributes),
			query.Do("SetIpAddressType", a.setIPAddressType),
			query.Do("SetSecurityGroups", a.setSecurityGroups),
			query.Do("SetSubnets", a.setSubnets),
			query.Do("DescribeCapacityReservation", a.describeCapacityReservation),

			query.Do("CreateListener", a.createListener),
			query.Do("DescribeListeners", a.describeListeners),
			query.Do("ModifyListener", a.modifyListener),
			query.Do("DeleteListener", a.deleteListener),
			query.Do("DescribeListenerAttributes", a.describeListenerAttributes),
			query.Do("ModifyListenerAttributes", a.modifyListenerAttributes),
			query.Do("AddListenerCertificates", a.addListenerCertificates),
			query.Do("RemoveListenerCertificates", a.removeListenerCertificates),
			query.Do("DescribeListenerCertificates", a.describeListenerCertificates),

			query.Do("CreateRule", a.createRule),
			query.Do("DescribeRules", a.describeRules),
			query.Do("ModifyRule", a.modifyRule),
			query.Do("DeleteRule", a.deleteRule),
			query.Do("SetRulePriorities", a.setRulePriorities),

			query.Do("CreateTargetGroup", a.createTargetGroup),
			query.Do("DescribeTargetGroups", a.describeTargetGroups),
			query.Do("ModifyTargetGroup", a.modifyTargetGroup),
			query.Do("DeleteTargetGroup", a.deleteTargetGroup),
			query.Do("DescribeTargetGroupAttributes", a.describeTargetGroupAttributes),
			query.Do("ModifyTargetGroupAttributes", a.modifyTargetGroupAttributes),
			query.Do("RegisterTargets", a.registerTargets),
			query.Do("DeregisterTargets", a.deregisterTargets),
			query.Do("DescribeTargetHealth", a.describeTargetHealth),

			query.Do("AddTags", a.addTags),
			query.Do("RemoveTags", a.removeTags),
			query.Do("DescribeTags", a.describeTags),

			query.Do("DescribeSSLPolicies", a.describeSSLPolicies),
			query.Do("DescribeAccountLimits", a.describeAccountLimits),
		},
		LeftOut: []string{
			"AddTrustStoreRevocations", "CreateTrustStore", "DeleteSharedTrustStoreAssociation", "DeleteTrustStore",
			"DescribeTrustStoreAssociations", "DescribeTrustStoreRevocations", "DescribeTrustStores", "GetResourcePolicy",
			"GetTrustStoreCaCertificatesBundle", "GetTrustStoreRevocationContent", "ModifyCapacityReservation",
			"ModifyIpPools", "ModifyTrustStore", "RemoveTrustStoreRevocations",
		},
	}
}

// api answers the actions.
type api struct{ balancer Balancer }

// change makes one change and returns what came of it.
func change[T any](ctx context.Context, a api, edit func(*inventory.Edit) (T, error)) (T, error) {
	var made T
	err := a.balancer.Change(ctx, func(e *inventory.Edit) (err error) {
		made, err = edit(e)
		return err
	})
	return made, err
}
