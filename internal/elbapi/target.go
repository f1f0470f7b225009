package elbapi

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"hale/internal/balancer/inventory"
	"hale/internal/elb"
)

func (a api) registerTargets(ctx context.Context, in *elbv2.RegisterTargetsInput) (*elbv2.RegisterTargetsOutput, error) {
	arn, err := arnAt("TargetGroupArn", in.TargetGroupArn, elb.ARNGroup)
	if err := first(err, required("Targets", in.Targets != nil)); err != nil {
		return nil, err
	}
	targets := make([]inventory.Target, len(in.Targets))
	for i, t := range in.Targets {
		id, err := targetFrom(t)
		if err != nil {
			return nil, err
		}
		targets[i] = inventory.Target{TargetID: id, Zone: aws.ToString(t.AvailabilityZone)}
	}
	return &elbv2.RegisterTargetsOutput{}, a.balancer.Change(ctx, func(e *inventory.Edit) error {
		_, err := e.Register(arn, targets)
		return err
	})
}

func (a api) deregisterTargets(ctx context.Context, in *elbv2.DeregisterTargetsInput) (*elbv2.DeregisterTargetsOutput, error) {
	arn, err := arnAt("TargetGroupArn", in.TargetGroupArn, elb.ARNGroup)
	if err := first(err, required("Targets", in.Targets != nil)); err != nil {
		return nil, err
	}
	ids := make([]inventory.TargetID, len(in.Targets))
	for i, t := range in.Targets {
		if ids[i], err = targetFrom(t); err != nil {
			return nil, err
		}
	}
	return &elbv2.DeregisterTargetsOutput{}, a.balancer.Change(ctx, func(e *inventory.Edit) error {
		_, err := e.Deregister(arn, ids)
		return err
	})
}

func targetFrom(t types.TargetDescription) (inventory.TargetID, error) {
	if err := first(
		required("Targets.Id", t.Id != nil),
		atLeast("Targets.Port", t.Port, 1),
		notOffered("QuicServerId", t.QuicServerId != nil),
	); err != nil {
		return inventory.TargetID{}, err
	}
	return inventory.TargetID{ID: *t.Id, Port: int(aws.ToInt32(t.Port))}, nil
}

// describeTargetHealth answers for a target that is not registered, too: waiters
// go on asking for one until it is told to be unused.
func (a api) describeTargetHealth(_ context.Context, in *elbv2.DescribeTargetHealthInput) (*elbv2.DescribeTargetHealthOutput, error) {
	g, err := find(a.balancer.Inventory().Groups, "TargetGroupArn", in.TargetGroupArn, elb.ARNGroup)
	if err != nil {
		return nil, err
	}
	anomaly := false
	for _, include := range in.Include {
		if err := among("Include", include); err != nil {
			return nil, err
		}
		anomaly = anomaly || include == types.DescribeTargetHealthInputIncludeEnumAnomaly || include == types.DescribeTargetHealthInputIncludeEnumAll
	}
	all := slices.SortedFunc(slices.Values(a.balancer.TargetHealth(g.ARN)), func(x, y inventory.TargetStatus) int {
		return cmp.Or(cmp.Compare(x.ID, y.ID), cmp.Compare(x.Port, y.Port))
	})
	if in.Targets != nil {
		if all, err = asked(g, all, in.Targets); err != nil {
			return nil, err
		}
	}
	return &elbv2.DescribeTargetHealthOutput{
		TargetHealthDescriptions: each(all, func(t inventory.TargetStatus) types.TargetHealthDescription { return targetHealth(t, anomaly) }),
	}, nil
}

// asked returns the state of the targets that a question names. One without a
// port stands for all of that id.
func asked(g *inventory.Group, all []inventory.TargetStatus, targets []types.TargetDescription) ([]inventory.TargetStatus, error) {
	var found []inventory.TargetStatus
	for _, t := range targets {
		id, err := targetFrom(t)
		if err != nil {
			return nil, err
		}
		before := len(found)
		for _, known := range all {
			if known.ID == id.ID && (id.Port == 0 || known.Port == id.Port) {
				found = append(found, known)
			}
		}
		if len(found) > before {
			continue
		}
		id.Port = cmp.Or(id.Port, g.Port)
		found = append(found, inventory.TargetStatus{TargetID: id, CheckPort: cmp.Or(g.HealthCheck.Port, id.Port), TargetHealth: elb.NotRegisteredHealth()})
	}
	return found, nil
}

func targetHealth(t inventory.TargetStatus, anomaly bool) types.TargetHealthDescription {
	told := types.TargetHealthDescription{
		Target:          &types.TargetDescription{Id: &t.ID, Port: number(t.Port), AvailabilityZone: text(t.Zone)},
		HealthCheckPort: new(strconv.Itoa(t.CheckPort)),
		TargetHealth: &types.TargetHealth{
			State: types.TargetHealthStateEnum(t.State), Reason: types.TargetHealthReasonEnum(t.Reason), Description: text(t.Description),
		},
	}
	if anomaly {
		told.AnomalyDetection = &types.AnomalyDetection{Result: types.AnomalyResultEnumNormal, MitigationInEffect: types.MitigationInEffectEnumNo}
		if t.Anomalous {
			told.AnomalyDetection.Result = types.AnomalyResultEnumAnomalous
		}
		if t.Mitigated {
			told.AnomalyDetection.MitigationInEffect = types.MitigationInEffectEnumYes
		}
	}
	return told
}
