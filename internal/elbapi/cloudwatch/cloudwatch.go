// Package cloudwatch is the part of CloudWatch's API that reads a load
// balancer's metrics: GetMetricData, GetMetricStatistics and ListMetrics, of the
// namespaces AWS/ApplicationELB and AWS/NetworkELB, in each of the protocols that
// AWS's clients speak (API version 2010-08-01).
//
// Metrics mean what AWS's mean (guides, "CloudWatch metrics"): a count that
// nothing happened for has no point rather than a zero. Points are of minutes,
// and the last three hours are known. Unlike AWS's, the current minute's point is
// there at once, and grows. Where the API's documentation names no wording for a
// refusal, it is ours.
package cloudwatch

import (
	"time"

	"hale/internal/balancer"
	"hale/internal/balancer/inventory"
	"hale/internal/elbapi/query"
	"hale/internal/elbapi/rpc"
)

// Balancer is what the metrics are of.
type Balancer interface {
	Inventory() *inventory.Inventory
	// LoadBalancerCounts and GroupCounts return what was counted in the minutes
	// that begin from, up to before to; GroupHosts what was held of targets then.
	LoadBalancerCounts(arn string, from, to time.Time) balancer.Counts
	GroupCounts(arn string, from, to time.Time) balancer.Counts
	GroupHosts(arn string, from, to time.Time) balancer.HostCounts
}

// signedFor is the name that requests are signed for.
const signedFor = "monitoring"

// Query returns the service in the Query protocol, which older clients speak.
func Query(b Balancer) query.Service {
	a := api{b}
	return query.Service{
		Name:      signedFor,
		Version:   "2010-08-01",
		Namespace: "http://monitoring.amazonaws.com/doc/2010-08-01/",
		Actions: []query.Action{
			query.Do("GetMetricData", a.getMetricData),
			query.Do("GetMetricStatistics", a.getMetricStatistics),
			query.Do("ListMetrics", a.listMetrics),
		},
		LeftOut: leftOut,
	}
}

// RPC returns the service in the protocols that newer clients speak.
func RPC(b Balancer) rpc.Service {
	a := api{b}
	return rpc.Service{
		Name:   signedFor,
		Target: "GraniteServiceVersion20100801",
		Actions: []rpc.Action{
			rpc.Do("GetMetricData", a.getMetricData),
			rpc.Do("GetMetricStatistics", a.getMetricStatistics),
			rpc.Do("ListMetrics", a.listMetrics),
		},
		LeftOut: leftOut,
		Shapes: map[string]string{
			codeValue:       "InvalidParameterValueException",
			codeCombination: "InvalidParameterCombinationException",
			codeMissing:     "MissingRequiredParameterException",
		},
	}
}

// leftOut are the actions that are not about reading metrics.
var leftOut = []string{
	"AssociateDatasetKmsKey", "CreateResourceMetricsConfiguration", "DeleteAlarmMuteRule", "DeleteAlarms",
	"DeleteAnomalyDetector", "DeleteDashboards", "DeleteInsightRules", "DeleteMetricStream",
	"DeleteResourceMetricsConfiguration", "DescribeAlarmContributors", "DescribeAlarmHistory", "DescribeAlarms",
	"DescribeAlarmsForMetric", "DescribeAnomalyDetectors", "DescribeInsightRules", "DisableAlarmActions",
	"DisableInsightRules", "DisassociateDatasetKmsKey", "EnableAlarmActions", "EnableInsightRules",
	"GetAlarmMuteRule", "GetDashboard", "GetDataset", "GetInsightRuleReport", "GetMetricStream",
	"GetMetricWidgetImage", "GetOTelEnrichment", "GetResourceMetricsConfiguration", "ListAlarmMuteRules",
	"ListDashboards", "ListManagedInsightRules", "ListMetricStreams", "ListTagsForResource", "PutAlarmMuteRule",
	"PutAnomalyDetector", "PutCompositeAlarm", "PutDashboard", "PutInsightRule", "PutLogAlarm",
	"PutManagedInsightRules", "PutMetricAlarm", "PutMetricData", "PutMetricStream", "SetAlarmState",
	"StartMetricStreams", "StartOTelEnrichment", "StopMetricStreams", "StopOTelEnrichment", "TagResource",
	"UntagResource", "UpdateOTelEnrichment", "UpdateResourceMetricsConfiguration",
}

// Codes of refusals (CloudWatch API, errors of the actions).
const (
	codeValue       = "InvalidParameterValue"
	codeCombination = "InvalidParameterCombination"
	codeMissing     = "MissingParameter"
	codeToken       = "InvalidNextToken"
)

// api answers the actions.
type api struct{ balancer Balancer }
