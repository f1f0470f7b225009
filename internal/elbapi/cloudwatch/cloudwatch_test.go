package cloudwatch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/smithy-go"

	"hale/internal/balancer"
	"hale/internal/balancer/inventory"
	"hale/internal/elb"
	"hale/internal/elb/rule"
	"hale/internal/elbapi"
	"hale/test/servers"
)

const region = "eu-west-1"

// memory is a balancer whose counts are what a test says they are: each of the
// last five minutes had n requests more than the one before, of which one failed.
type memory struct {
	inventory         *inventory.Inventory
	lb, nlb           string // ARNs
	blue, green, tcp  string
	start             time.Time // of the first minute
	counts            map[string]map[time.Time]balancer.Counts
	hosts             map[string]map[time.Time]balancer.HostCounts
	lbName, nlbName   string // as dimensions
	blueName, tcpName string
}

func newMemory(t *testing.T) *memory {
	t.Helper()
	m := &memory{
		start:  time.Now().UTC().Truncate(time.Minute).Add(-10 * time.Minute),
		counts: make(map[string]map[time.Time]balancer.Counts), hosts: make(map[string]map[time.Time]balancer.HostCounts),
	}
	e := new(inventory.Inventory).Begin(inventory.Place{Region: region, Account: "123456789012"}, m.start)
	made := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	lb, err := e.CreateLoadBalancer(inventory.NewLoadBalancer{Name: "site", Scheme: inventory.Internal})
	made(err)
	nlb, err := e.CreateLoadBalancer(inventory.NewLoadBalancer{Name: "flows", Type: elb.Network, Scheme: inventory.Internal})
	made(err)
	group := func(name string, p elb.Protocol) string {
		g, err := e.CreateGroup(inventory.NewGroup{Name: name, Kind: elb.Kind{Protocol: p, Targets: elb.Addresses}, Port: 80})
		made(err)
		return g.ARN
	}
	m.blue, m.green, m.tcp = group("blue", elb.HTTP), group("green", elb.HTTP), group("tcp", elb.TCP)
	_, err = e.CreateListener(lb.ARN, inventory.ListenerSettings{Protocol: elb.HTTP, Port: 80, Default: []rule.Action{rule.ForwardTo(m.blue)}})
	made(err)
	_, err = e.CreateListener(nlb.ARN, inventory.ListenerSettings{Protocol: elb.TCP, Port: 81, Default: []rule.Action{rule.ForwardTo(m.tcp)}})
	made(err)
	m.lb, m.nlb, m.inventory = lb.ARN, nlb.ARN, e.Inventory()
	m.lbName, m.nlbName, m.blueName, m.tcpName = dimension(t, m.lb), dimension(t, m.nlb), dimension(t, m.blue), dimension(t, m.tcp)
	for _, arn := range []string{m.lb, m.nlb, m.blue, m.tcp} {
		m.counts[arn], m.hosts[arn] = make(map[time.Time]balancer.Counts), make(map[time.Time]balancer.HostCounts)
	}
	for n := range 5 {
		at := m.start.Add(time.Duration(n) * time.Minute)
		requests := uint64(10 * (n + 1))
		c := balancer.Counts{Requests: requests, Connections: requests, BytesIn: 100, BytesOut: 1000 * requests, TargetResets: 1}
		c.Target[2], c.Target[5], c.ELB[5] = requests-1, 1, 1
		for i := range requests {
			c.Took.Add(time.Duration(i+1) * 10 * time.Millisecond)
		}
		m.counts[m.lb][at], m.counts[m.blue][at], m.counts[m.nlb][at] = c, c, c
		var h balancer.HostCounts
		h.Healthy.Hold(n, 30*time.Second)
		h.Healthy.Hold(4, 30*time.Second)
		h.Unhealthy.Hold(4-n, 30*time.Second)
		h.Unhealthy.Hold(0, 30*time.Second)
		m.hosts[m.blue][at], m.hosts[m.tcp][at] = h, h
	}
	return m
}

func dimension(t *testing.T, arn string) string {
	t.Helper()
	parsed, err := elb.ParseARN(arn)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Dimension()
}

func (m *memory) Inventory() *inventory.Inventory { return m.inventory }

func (m *memory) Change(context.Context, func(*inventory.Edit) error) error { return nil }

func (m *memory) TargetHealth(string) []inventory.TargetStatus { return nil }

func (m *memory) LoadBalancerCounts(arn string, from, to time.Time) balancer.Counts {
	var sum balancer.Counts
	for at, c := range m.counts[arn] {
		if !at.Before(from) && at.Before(to) {
			sum.Merge(&c)
		}
	}
	return sum
}

func (m *memory) GroupCounts(arn string, from, to time.Time) balancer.Counts {
	return m.LoadBalancerCounts(arn, from, to)
}

func (m *memory) GroupHosts(arn string, from, to time.Time) balancer.HostCounts {
	var sum balancer.HostCounts
	for at, h := range m.hosts[arn] {
		if !at.Before(from) && at.Before(to) {
			sum.Merge(h)
		}
	}
	return sum
}

const (
	keyID  = "AKIDEXAMPLE"
	secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

// serve answers as a balancer's API does. Requests have to be signed.
func (m *memory) serve(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(elbapi.New(elbapi.Options{Balancer: m, Metrics: m, Secrets: map[string]string{keyID: secret}, Region: region}))
	t.Cleanup(server.Close)
	return server.URL
}

func newClient(url, secret string) *sdk.Client {
	return sdk.New(sdk.Options{
		Region: region, BaseEndpoint: &url, RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret}, nil
		}),
	})
}

// of returns dimensions from names and values.
func of(pairs ...string) []types.Dimension {
	var list []types.Dimension
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, types.Dimension{Name: &pairs[i], Value: &pairs[i+1]})
	}
	return list
}

// Each metric, in the protocol that aws-sdk-go-v2 speaks.
func TestMetrics(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	client := newClient(m.serve(t), secret)
	ofLB, ofGroup := of("LoadBalancer", m.lbName), of("TargetGroup", m.blueName, "LoadBalancer", m.lbName)
	ofNLB, ofFlows := of("LoadBalancer", m.nlbName), of("LoadBalancer", m.nlbName, "TargetGroup", m.tcpName)
	const application, network = "AWS/ApplicationELB", "AWS/NetworkELB"
	for _, test := range []struct {
		namespace, metric string
		dimensions        []types.Dimension
		period            int32
		stat              string
		want              []float64
	}{
		{application, "RequestCount", ofLB, 60, "Sum", []float64{10, 20, 30, 40, 50}},
		{application, "RequestCount", ofGroup, 60, "Sum", []float64{10, 20, 30, 40, 50}},
		{application, "RequestCount", ofGroup, 120, "Sum", []float64{30, 70, 50}},
		{application, "RequestCount", ofGroup, 600, "Sum", []float64{150}},
		{application, "RequestCount", ofGroup, 600, "SampleCount", []float64{150}},
		{application, "RequestCount", ofGroup, 600, "Average", []float64{1}},
		{application, "HTTPCode_Target_2XX_Count", ofGroup, 600, "Sum", []float64{145}},
		{application, "HTTPCode_Target_3XX_Count", ofGroup, 600, "Sum", nil}, // no zeros, as AWS
		{application, "HTTPCode_Target_4XX_Count", ofGroup, 600, "Sum", nil},
		{application, "HTTPCode_Target_5XX_Count", ofGroup, 600, "Sum", []float64{5}},
		{application, "HTTPCode_Target_5XX_Count", ofLB, 60, "Sum", []float64{1, 1, 1, 1, 1}},
		{application, "HTTPCode_ELB_5XX_Count", ofLB, 600, "Sum", []float64{5}},
		{application, "HTTPCode_ELB_5XX_Count", ofGroup, 600, "Sum", nil}, // of load balancers alone
		{application, "TargetConnectionErrorCount", ofGroup, 600, "Sum", nil},
		{application, "TargetResponseTime", ofGroup, 60, "Maximum", []float64{0.1, 0.2, 0.3, 0.4, 0.5}},
		{application, "TargetResponseTime", ofLB, 60, "Minimum", []float64{0.01, 0.01, 0.01, 0.01, 0.01}},
		{application, "TargetResponseTime", ofGroup, 60, "Average", []float64{0.055, 0.105, 0.155, 0.205, 0.255}},
		{application, "TargetResponseTime", ofGroup, 60, "SampleCount", []float64{10, 20, 30, 40, 50}},
		{application, "TargetResponseTime", ofGroup, 60, "p100", []float64{0.1, 0.2, 0.3, 0.4, 0.5}},
		{application, "HealthyHostCount", ofGroup, 60, "Minimum", []float64{0, 1, 2, 3, 4}},
		{application, "HealthyHostCount", ofGroup, 60, "Average", []float64{2, 2.5, 3, 3.5, 4}},
		{application, "HealthyHostCount", ofGroup, 300, "Average", []float64{3}},
		{application, "UnHealthyHostCount", ofGroup, 60, "Maximum", []float64{4, 3, 2, 1, 0}},
		{application, "HealthyHostCount", ofLB, 60, "Average", nil}, // of groups alone
		{application, "HealthyHostCount", ofFlows, 60, "Average", nil},
		{network, "HealthyHostCount", ofFlows, 60, "Minimum", []float64{0, 1, 2, 3, 4}},
		{network, "UnHealthyHostCount", ofFlows, 60, "Maximum", []float64{4, 3, 2, 1, 0}},
		{network, "NewFlowCount", ofNLB, 600, "Sum", []float64{150}},
		{network, "ProcessedBytes", ofNLB, 600, "Sum", []float64{150_500}},
		{network, "TCP_Target_Reset_Count", ofNLB, 600, "Sum", []float64{5}},
		{application, "RequestCount", of("LoadBalancer", "app/other/0123456789abcdef"), 60, "Sum", nil},
		{application, "RequestCount", of("TargetGroup", m.blueName), 60, "Sum", nil},
		{application, "RequestCount", of("LoadBalancer", m.lbName, "TargetGroup", dimension(t, m.green)), 60, "Sum", nil}, // not in use
		{application, "NoSuchCount", ofLB, 60, "Sum", nil},
		{"AWS/EC2", "RequestCount", ofLB, 60, "Sum", nil},
	} {
		out, err := client.GetMetricData(t.Context(), &sdk.GetMetricDataInput{
			StartTime: aws.Time(m.start.Add(20 * time.Second)), EndTime: aws.Time(m.start.Add(10 * time.Minute)), ScanBy: types.ScanByTimestampAscending,
			MetricDataQueries: []types.MetricDataQuery{{Id: new("m1"), MetricStat: &types.MetricStat{
				Metric: &types.Metric{Namespace: &test.namespace, MetricName: &test.metric, Dimensions: test.dimensions}, Period: &test.period, Stat: &test.stat,
			}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		got := out.MetricDataResults[0]
		if !near(got.Values, test.want) || *got.Id != "m1" || *got.Label != test.metric || got.StatusCode != types.StatusCodeComplete {
			t.Errorf("%s %s %d s: %v (%s), want %v", test.metric, test.stat, test.period, got.Values, got.StatusCode, test.want)
		}
		for i, at := range got.Timestamps {
			if want := m.start.Add(time.Duration(i) * time.Duration(test.period) * time.Second); !at.Equal(want) {
				t.Errorf("%s: point %d is of %v, want %v", test.metric, i, at, want)
			}
		}
	}
}

func near(got, want []float64) bool {
	return slices.EqualFunc(got, want, func(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 })
}

// A quantile is within 9 % of the truth.
func TestQuantile(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	client := newClient(m.serve(t), secret)
	out, err := client.GetMetricStatistics(t.Context(), &sdk.GetMetricStatisticsInput{
		Namespace: new("AWS/ApplicationELB"), MetricName: new("TargetResponseTime"), Dimensions: of("LoadBalancer", m.lbName),
		StartTime: aws.Time(m.start.Add(4 * time.Minute)), EndTime: aws.Time(m.start.Add(5 * time.Minute)), Period: aws.Int32(60),
		Statistics: []types.Statistic{types.StatisticAverage, types.StatisticSampleCount}, ExtendedStatistics: []string{"p50", "p90", "p99.9"},
	})
	if err != nil || len(out.Datapoints) != 1 {
		t.Fatal(out, err)
	}
	p := out.Datapoints[0]
	if *p.SampleCount != 50 || !near([]float64{*p.Average}, []float64{0.255}) || p.Sum != nil || p.Unit != types.StandardUnitSeconds {
		t.Errorf("point %+v", p)
	}
	for name, want := range map[string]float64{"p50": 0.25, "p90": 0.45, "p99.9": 0.5} {
		if got := p.ExtendedStatistics[name]; got < want || got > want*1.09 {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}

// Newest first, and in parts of as many points as are asked for.
func TestPages(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	client := newClient(m.serve(t), secret)
	query := func(id, metric string) types.MetricDataQuery {
		return types.MetricDataQuery{Id: &id, Label: new("label of " + id), MetricStat: &types.MetricStat{
			Metric: &types.Metric{Namespace: new("AWS/ApplicationELB"), MetricName: &metric, Dimensions: of("LoadBalancer", m.lbName)}, Period: aws.Int32(60), Stat: new("Sum"),
		}}
	}
	hidden := query("c", "RequestCount")
	hidden.ReturnData = aws.Bool(false)
	for most := int32(1); most < 12; most++ {
		in := &sdk.GetMetricDataInput{
			StartTime: aws.Time(m.start), EndTime: aws.Time(m.start.Add(time.Hour)), MaxDatapoints: &most,
			MetricDataQueries: []types.MetricDataQuery{query("a", "RequestCount"), hidden, query("b", "HTTPCode_Target_5XX_Count")},
		}
		got := make(map[string][]float64)
		for pages := sdk.NewGetMetricDataPaginator(client, in); pages.HasMorePages(); {
			out, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			points := 0
			for _, r := range out.MetricDataResults {
				got[*r.Label] = append(got[*r.Label], r.Values...)
				points += len(r.Values)
			}
			if points > int(most) {
				t.Errorf("%d points in a part of %d", points, most)
			}
		}
		want := map[string][]float64{"label of a": {50, 40, 30, 20, 10}, "label of b": {1, 1, 1, 1, 1}}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("in parts of %d: %v, want %v", most, got, want)
		}
	}
}

func TestListMetrics(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	client := newClient(m.serve(t), secret)
	for _, test := range []struct {
		name string
		in   sdk.ListMetricsInput
		want []string
	}{
		{"of a group", sdk.ListMetricsInput{Dimensions: []types.DimensionFilter{{Name: new("TargetGroup"), Value: &m.tcpName}}}, []string{
			"AWS/NetworkELB HealthyHostCount LoadBalancer TargetGroup", "AWS/NetworkELB UnHealthyHostCount LoadBalancer TargetGroup",
		}},
		{"by name", sdk.ListMetricsInput{Namespace: new("AWS/ApplicationELB"), MetricName: new("RequestCount")}, []string{
			"AWS/ApplicationELB RequestCount LoadBalancer", "AWS/ApplicationELB RequestCount LoadBalancer TargetGroup",
		}},
		{"by a dimension of any value", sdk.ListMetricsInput{MetricName: new("RequestCount"), Dimensions: []types.DimensionFilter{{Name: new("TargetGroup")}}}, []string{
			"AWS/ApplicationELB RequestCount LoadBalancer TargetGroup",
		}},
		{"none", sdk.ListMetricsInput{Namespace: new("AWS/EC2")}, nil},
	} {
		out, err := client.ListMetrics(t.Context(), &test.in)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, metric := range out.Metrics {
			line := *metric.Namespace + " " + *metric.MetricName
			for _, d := range metric.Dimensions {
				line += " " + *d.Name
			}
			got = append(got, line)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// What is refused, as the SDK tells it.
func TestRefusals(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	url := m.serve(t)
	client := newClient(url, secret)
	stat := func(period int32, stat string) *types.MetricStat {
		return &types.MetricStat{Metric: &types.Metric{Namespace: new("AWS/ApplicationELB"), MetricName: new("RequestCount")}, Period: &period, Stat: &stat}
	}
	data := func(change func(*sdk.GetMetricDataInput)) func() error {
		in := &sdk.GetMetricDataInput{
			StartTime: aws.Time(m.start), EndTime: aws.Time(m.start.Add(time.Hour)),
			MetricDataQueries: []types.MetricDataQuery{{Id: new("a"), MetricStat: stat(60, "Sum")}},
		}
		change(in)
		return func() error {
			_, err := client.GetMetricData(t.Context(), in)
			return err
		}
	}
	statistics := func(change func(*sdk.GetMetricStatisticsInput)) func() error {
		in := &sdk.GetMetricStatisticsInput{
			Namespace: new("AWS/ApplicationELB"), MetricName: new("RequestCount"), StartTime: aws.Time(m.start), EndTime: aws.Time(m.start.Add(time.Hour)),
			Period: aws.Int32(60), Statistics: []types.Statistic{types.StatisticSum},
		}
		change(in)
		return func() error {
			_, err := client.GetMetricStatistics(t.Context(), in)
			return err
		}
	}
	for _, test := range []struct {
		name string
		ask  func() error
		want string
	}{
		{"no queries", data(func(in *sdk.GetMetricDataInput) { in.MetricDataQueries = []types.MetricDataQuery{} }), "MissingParameter: The parameter MetricDataQueries is required."},
		{"times in the wrong order", data(func(in *sdk.GetMetricDataInput) { in.StartTime = in.EndTime }), "InvalidParameterCombination: The parameter StartTime must be less than the parameter EndTime."},
		{"a period in seconds", data(func(in *sdk.GetMetricDataInput) { in.MetricDataQueries[0].MetricStat.Period = aws.Int32(10) }), "InvalidParameterValue: The parameter Period is 10"},
		{"a statistic that is none", data(func(in *sdk.GetMetricDataInput) { in.MetricDataQueries[0].MetricStat.Stat = new("tm99") }), "InvalidParameterValue: Statistic 'tm99' is not one of"},
		{"an id twice", data(func(in *sdk.GetMetricDataInput) {
			in.MetricDataQueries = append(in.MetricDataQueries, in.MetricDataQueries[0])
		}), "ValidationError: The value 'a' for parameter MetricDataQueries.member.2.Id is not unique"},
		{"a bad id", data(func(in *sdk.GetMetricDataInput) { in.MetricDataQueries[0].Id = new("A") }), "ValidationError: The value for parameter MetricDataQueries.member.1.Id has to begin with a lower-case letter"},
		{"metric math", data(func(in *sdk.GetMetricDataInput) {
			in.MetricDataQueries = append(in.MetricDataQueries, types.MetricDataQuery{Id: new("e"), Expression: new("a*2")})
		}), "ValidationError: Query 'e' has an Expression: metric math is not offered here"},
		{"neither", data(func(in *sdk.GetMetricDataInput) { in.MetricDataQueries[0].MetricStat = nil }), "MissingParameter: The parameter MetricDataQueries.member.1.MetricStat is required."},
		{"no points", data(func(in *sdk.GetMetricDataInput) { in.MaxDatapoints = aws.Int32(0) }), "InvalidParameterValue: The parameter MaxDatapoints is 0"},
		{"another's token", data(func(in *sdk.GetMetricDataInput) { in.NextToken = new("x") }), "InvalidNextToken: The next token is none of this server's"},
		{"no statistic", statistics(func(in *sdk.GetMetricStatisticsInput) { in.Statistics = nil }), "MissingParameter: At least one of the parameters Statistics and ExtendedStatistics must be specified."},
		{"too many points", statistics(func(in *sdk.GetMetricStatisticsInput) { in.StartTime = aws.Time(m.start.Add(-48 * time.Hour)) }), "InvalidParameterCombination: You have requested up to 2940 datapoints, which exceeds the limit of 1440."},
		{"a bad quantile", statistics(func(in *sdk.GetMetricStatisticsInput) { in.ExtendedStatistics = []string{"p101"} }), "InvalidParameterValue: Statistic 'p101' is not one of"},
		{"an action that is not there", func() error {
			_, err := client.PutMetricData(t.Context(), &sdk.PutMetricDataInput{Namespace: new("x"), MetricData: []types.MetricDatum{{MetricName: new("x")}}})
			return err
		}, "UnknownOperationException: PutMetricData is an action of AWS's that this server does not have"},
		{"a wrong secret", func() error {
			_, err := newClient(url, "wrong").ListMetrics(t.Context(), new(sdk.ListMetricsInput))
			return err
		}, "SignatureDoesNotMatch: The request signature we calculated does not match"},
	} {
		err := test.ask()
		refused, ok := errors.AsType[smithy.APIError](err)
		if !ok {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if got := refused.ErrorCode() + ": " + refused.ErrorMessage(); !strings.HasPrefix(got, test.want) {
			t.Errorf("%s: %s\nwant %s", test.name, got, test.want)
		}
	}
	if _, ok := errors.AsType[*types.InvalidParameterValueException](data(func(in *sdk.GetMetricDataInput) { in.MaxDatapoints = aws.Int32(0) })()); !ok {
		t.Error("the error is none of the SDK's types")
	}
}

// Each action that the SDK knows is answered, or said to be left out, in both
// protocols that name it.
func TestEachActionIsKnown(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	server := httptest.NewServer(elbapi.New(elbapi.Options{Balancer: m, Metrics: m}))
	t.Cleanup(server.Close)
	for method := range reflect.TypeFor[*sdk.Client]().Methods() {
		if method.Name == "Options" {
			continue
		}
		for protocol, request := range map[string][2]string{
			"Query": {"application/x-www-form-urlencoded", "Version=2010-08-01&Action=" + method.Name},
			"JSON":  {"application/x-amz-json-1.0", "{}"},
		} {
			r, err := http.NewRequest(http.MethodPost, server.URL, strings.NewReader(request[1]))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", request[0])
			if protocol == "JSON" {
				r.Header.Set("X-Amz-Target", "GraniteServiceVersion20100801."+method.Name)
			}
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(answer.Body)
			answer.Body.Close()
			if answer.StatusCode >= 500 || strings.Contains(string(text), "Could not find") {
				t.Errorf("%s in %s: %d %s", method.Name, protocol, answer.StatusCode, text)
			}
		}
	}
}

// The aws command, of whichever versions there are: the older one speaks Query,
// the newer one JSON.
func TestTheAWSCommand(t *testing.T) {
	t.Parallel()
	programs := []string{servers.Need(t, "aws")}
	if debian := "/usr/bin/aws"; programs[0] != debian {
		if _, err := os.Stat(debian); err == nil {
			programs = append(programs, debian)
		}
	}
	for _, program := range programs {
		t.Run(strings.ReplaceAll(program, "/", "_"), func(t *testing.T) {
			t.Parallel()
			m := newMemory(t)
			url := m.serve(t)
			home := t.TempDir()
			env := []string{
				"HOME=" + home, "PATH=" + os.Getenv("PATH"), "AWS_CONFIG_FILE=" + filepath.Join(home, "none"), "AWS_EC2_METADATA_DISABLED=true",
				"AWS_PAGER=", "AWS_ACCESS_KEY_ID=" + keyID, "AWS_SECRET_ACCESS_KEY=" + secret, "AWS_DEFAULT_REGION=" + region,
			}
			do := func(args ...string) string {
				t.Helper()
				cmd := exec.CommandContext(t.Context(), program, append([]string{"cloudwatch", "--endpoint-url", url}, args...)...)
				cmd.Env = env
				out, err := cmd.CombinedOutput()
				if err != nil && len(out) == 0 {
					t.Fatalf("%v: %v", args, err)
				}
				return strings.Join(strings.Fields(string(out)), " ")
			}
			times := []string{"--start-time", m.start.Format(time.RFC3339), "--end-time", m.start.Add(5 * time.Minute).Format(time.RFC3339)}
			lb, group := "Name=LoadBalancer,Value="+m.lbName, "Name=TargetGroup,Value="+m.blueName

			for _, test := range []struct {
				name string
				args []string
				want string
			}{
				{
					"statistics",
					slices.Concat([]string{"get-metric-statistics", "--namespace", "AWS/ApplicationELB", "--metric-name", "HTTPCode_Target_2XX_Count", "--dimensions", lb, group, "--period", "300", "--statistics", "Sum", "--output", "json", "--query", "[Label,Datapoints[].Sum,Datapoints[].Unit]"}, times),
					`[ "HTTPCode_Target_2XX_Count", [ 145.0 ], [ "Count" ] ]`,
				},
				{
					"an extended statistic",
					slices.Concat([]string{"get-metric-statistics", "--namespace", "AWS/ApplicationELB", "--metric-name", "TargetResponseTime", "--dimensions", lb, group, "--period", "300", "--extended-statistics", "p100", "--output", "json", "--query", "Datapoints[].ExtendedStatistics"}, times),
					`[ { "p100": 0.5 } ]`,
				},
				{
					"data",
					slices.Concat([]string{
						"get-metric-data", "--scan-by", "TimestampAscending", "--metric-data-queries", fmt.Sprintf(
							`[{"Id":"a","MetricStat":{"Metric":{"Namespace":"AWS/ApplicationELB","MetricName":"RequestCount","Dimensions":[{"Name":"LoadBalancer","Value":%q}]},"Period":60,"Stat":"Sum"}},
						{"Id":"none","MetricStat":{"Metric":{"Namespace":"AWS/ApplicationELB","MetricName":"HTTPCode_ELB_4XX_Count","Dimensions":[{"Name":"LoadBalancer","Value":%[1]q}]},"Period":60,"Stat":"Sum"}}]`, m.lbName),
						"--output", "json", "--query", "MetricDataResults[].{id:Id,values:Values,status:StatusCode,n:length(Timestamps)}",
					}, times),
					`[ { "id": "a", "values": [ 10.0, 20.0, 30.0, 40.0, 50.0 ], "status": "Complete", "n": 5 }, { "id": "none", "values": [], "status": "Complete", "n": 0 } ]`,
				},
				{
					"list",
					[]string{"list-metrics", "--namespace", "AWS/ApplicationELB", "--metric-name", "HealthyHostCount", "--output", "text", "--query", "Metrics[].Dimensions[].Value"},
					m.lbName + " " + m.blueName,
				},
				{
					"a refusal",
					slices.Concat([]string{"get-metric-statistics", "--namespace", "AWS/ApplicationELB", "--metric-name", "RequestCount", "--period", "61", "--statistics", "Sum"}, times),
					"(InvalidParameterValue) when calling the GetMetricStatistics operation: The parameter Period is 61: it has to be 60 or a multiple of it, since these metrics are kept by the minute",
				},
			} {
				if got := do(test.args...); !strings.HasSuffix(got, test.want) {
					t.Errorf("%s: %s\nwant %s", test.name, got, test.want)
				}
			}
		})
	}
}
