package cloudwatch

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"hale/internal/balancer"
	"hale/internal/balancer/inventory"
	"hale/internal/elb"
)

// metric is one that AWS has of load balancers. One of its readings is set.
type metric struct {
	name string
	// of is what kind of load balancer has it.
	of elb.Balancer
	// loadBalancer and group tell of what it is there: of a load balancer as a
	// whole, of one of its groups.
	loadBalancer, group bool
	bytes               bool // the count is of bytes

	count func(*balancer.Counts) uint64
	took  func(*balancer.Counts) *balancer.Durations
	hosts func(*balancer.HostCounts) balancer.Level
}

// metrics are all of them (guides, "CloudWatch metrics for your Application Load
// Balancer" and "... Network Load Balancer").
var metrics = []metric{
	{name: "RequestCount", of: elb.Application, loadBalancer: true, group: true, count: func(c *balancer.Counts) uint64 { return c.Requests }},
	{name: "HTTPCode_Target_2XX_Count", of: elb.Application, loadBalancer: true, group: true, count: target(2)},
	{name: "HTTPCode_Target_3XX_Count", of: elb.Application, loadBalancer: true, group: true, count: target(3)},
	{name: "HTTPCode_Target_4XX_Count", of: elb.Application, loadBalancer: true, group: true, count: target(4)},
	{name: "HTTPCode_Target_5XX_Count", of: elb.Application, loadBalancer: true, group: true, count: target(5)},
	{name: "HTTPCode_ELB_3XX_Count", of: elb.Application, loadBalancer: true, count: own(3)},
	{name: "HTTPCode_ELB_4XX_Count", of: elb.Application, loadBalancer: true, count: own(4)},
	{name: "HTTPCode_ELB_5XX_Count", of: elb.Application, loadBalancer: true, count: own(5)},
	{name: "TargetConnectionErrorCount", of: elb.Application, loadBalancer: true, group: true, count: func(c *balancer.Counts) uint64 { return c.ConnectionErrors }},
	{name: "TargetResponseTime", of: elb.Application, loadBalancer: true, group: true, took: func(c *balancer.Counts) *balancer.Durations { return &c.Took }},
	{name: "HealthyHostCount", of: elb.Application, group: true, hosts: healthy},
	{name: "UnHealthyHostCount", of: elb.Application, group: true, hosts: unhealthy},
	// AWS counts a flow when it begins; here it is counted when it has ended.
	{name: "NewFlowCount", of: elb.Network, loadBalancer: true, count: func(c *balancer.Counts) uint64 { return c.Connections }},
	{name: "ProcessedBytes", of: elb.Network, loadBalancer: true, bytes: true, count: func(c *balancer.Counts) uint64 { return c.BytesIn + c.BytesOut }},
	{name: "TCP_Client_Reset_Count", of: elb.Network, loadBalancer: true, count: func(c *balancer.Counts) uint64 { return c.ClientResets }},
	{name: "TCP_Target_Reset_Count", of: elb.Network, loadBalancer: true, count: func(c *balancer.Counts) uint64 { return c.TargetResets }},
	{name: "TCP_ELB_Reset_Count", of: elb.Network, loadBalancer: true, count: func(c *balancer.Counts) uint64 { return c.ELBResets }},
	{name: "HealthyHostCount", of: elb.Network, group: true, hosts: healthy},
	{name: "UnHealthyHostCount", of: elb.Network, group: true, hosts: unhealthy},
}

func target(class int) func(*balancer.Counts) uint64 {
	return func(c *balancer.Counts) uint64 { return c.Target[class] }
}

func own(class int) func(*balancer.Counts) uint64 {
	return func(c *balancer.Counts) uint64 { return c.ELB[class] }
}

func healthy(c *balancer.HostCounts) balancer.Level { return c.Healthy }

func unhealthy(c *balancer.HostCounts) balancer.Level { return c.Unhealthy }

// namespaces are where metrics are, by their load balancers.
var namespaces = map[elb.Balancer]string{elb.Application: "AWS/ApplicationELB", elb.Network: "AWS/NetworkELB"}

func (m *metric) unit() types.StandardUnit {
	if m.took != nil {
		return types.StandardUnitSeconds
	}
	if m.bytes {
		return types.StandardUnitBytes
	}
	return types.StandardUnitCount
}

// series is a metric of one load balancer, or one of its groups.
type series struct {
	*metric
	loadBalancer, group string // ARNs; the group's is empty for the load balancer as a whole
}

// dimensions tells what the series is of.
func (s series) dimensions() []types.Dimension {
	name := func(name, arn string) types.Dimension {
		value := arn
		if parsed, err := elb.ParseARN(arn); err == nil {
			value = parsed.Dimension()
		}
		return types.Dimension{Name: &name, Value: &value}
	}
	list := []types.Dimension{name("LoadBalancer", s.loadBalancer)}
	if s.group != "" {
		list = append(list, name("TargetGroup", s.group))
	}
	return list
}

// allSeries returns every series there is, sorted.
func allSeries(v *inventory.Inventory) []series {
	var list []series
	users := v.BalancersOf()
	for _, b := range v.SortedLoadBalancers() {
		for i := range metrics {
			m := &metrics[i]
			if m.of != b.Type {
				continue
			}
			if m.loadBalancer {
				list = append(list, series{metric: m, loadBalancer: b.ARN})
			}
			if !m.group {
				continue
			}
			for _, g := range v.SortedGroups() {
				if users[g.ARN] == b.ARN {
					list = append(list, series{metric: m, loadBalancer: b.ARN, group: g.ARN})
				}
			}
		}
	}
	return list
}

// matches tells whether a request means this series: by the dimensions' names and
// values, in any order, and no others.
func (s series) matches(namespace, name string, dimensions []types.Dimension) bool {
	if namespace != namespaces[s.of] || name != s.name {
		return false
	}
	own := s.dimensions()
	if len(dimensions) != len(own) {
		return false
	}
	for _, d := range own {
		if !slices.ContainsFunc(dimensions, func(asked types.Dimension) bool {
			return value(asked.Name) == *d.Name && value(asked.Value) == *d.Value
		}) {
			return false
		}
	}
	return true
}

// sample is what a metric's values were in a period. For a count, each request is
// a value of 1.
type sample struct {
	n, sum, min, max float64
	quantile         func(q float64) float64
}

// read returns what a series' values were in the minutes that begin from, up to
// before to; ok is false for none.
func (s series) read(b Balancer, from, to time.Time) (of sample, ok bool) {
	if s.hosts != nil {
		counts := b.GroupHosts(s.group, from, to)
		level := s.hosts(&counts)
		n := math.Ceil(level.Time.Minutes()) // one value a minute
		return sample{
			n: n, sum: n * level.Average(), min: float64(level.Min), max: float64(level.Max),
			quantile: func(q float64) float64 {
				return float64(level.Min) + q*float64(level.Max-level.Min) // that is all that is known
			},
		}, level.Time > 0
	}
	var counts balancer.Counts
	if s.group != "" {
		counts = b.GroupCounts(s.group, from, to)
	} else {
		counts = b.LoadBalancerCounts(s.loadBalancer, from, to)
	}
	if s.took != nil {
		d := s.took(&counts)
		return sample{
			n: float64(d.Count), sum: d.Sum.Seconds(), min: d.Min.Seconds(), max: d.Max.Seconds(),
			quantile: func(q float64) float64 { return d.Quantile(q).Seconds() },
		}, d.Count > 0
	}
	n := float64(s.count(&counts))
	if s.bytes {
		return sample{n: 1, sum: n, min: n, max: n, quantile: func(float64) float64 { return n }}, n > 0
	}
	return sample{n: n, sum: n, min: 1, max: 1, quantile: func(float64) float64 { return 1 }}, n > 0
}

// statistic is what is asked of a sample: Average, p99.9.
type statistic func(sample) float64

var statistics = map[string]statistic{
	"SampleCount": func(s sample) float64 { return s.n },
	"Average":     func(s sample) float64 { return s.sum / s.n },
	"Sum":         func(s sample) float64 { return s.sum },
	"Minimum":     func(s sample) float64 { return s.min },
	"Maximum":     func(s sample) float64 { return s.max },
}

// statisticOf returns the statistic of that name.
func statisticOf(name string) (statistic, error) {
	if s := statistics[name]; s != nil {
		return s, nil
	}
	if text, ok := strings.CutPrefix(name, "p"); ok {
		if percent, err := strconv.ParseFloat(text, 64); err == nil && percent > 0 && percent <= 100 && !strings.ContainsAny(text, "eExX+_") {
			return func(s sample) float64 { return s.quantile(percent / 100) }, nil
		}
	}
	return nil, elb.Errorf(codeValue, "Statistic '%s' is not one of SampleCount, Average, Sum, Minimum, Maximum, p0.1 to p100", name)
}

// value is what a pointer of a request points at, if any.
func value[T any](p *T) T {
	if p == nil {
		var none T
		return none
	}
	return *p
}
