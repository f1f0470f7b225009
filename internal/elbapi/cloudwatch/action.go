package cloudwatch

import (
	"context"
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"hale/internal/elb"
)

// Limits (CloudWatch API: GetMetricData, GetMetricStatistics, ListMetrics).
const (
	mostQueries    = 500
	mostPoints     = 100_800
	mostStatistics = 1440 // points of one GetMetricStatistics
	mostListed     = 500
	// known is how far back minutes are known; what lies before has no points.
	known = 3*time.Hour + time.Minute
)

var idForm = regexp.MustCompile(`^[a-z][a-zA-Z0-9_]{0,254}$`)

// points is a metric over a time, in periods.
type points struct {
	from, to time.Time
	period   time.Duration
}

// window checks the times of a request. They are rounded down to whole minutes,
// as AWS does for times that are not long ago.
func window(from, to *time.Time, period *int32) (points, error) {
	switch {
	case from == nil:
		return points{}, missing("StartTime")
	case to == nil:
		return points{}, missing("EndTime")
	case period == nil:
		return points{}, missing("Period")
	case !from.Before(*to):
		return points{}, elb.Errorf(codeCombination, "The parameter StartTime must be less than the parameter EndTime.")
	case *period < 60 || *period%60 != 0:
		return points{}, elb.Errorf(codeValue, "The parameter Period is %d: it has to be 60 or a multiple of it, since these metrics are kept by the minute", *period)
	}
	return points{from: from.UTC().Truncate(time.Minute), to: to.UTC(), period: time.Duration(*period) * time.Second}, nil
}

func missing(name string) error {
	return elb.Errorf(codeMissing, "The parameter %s is required.", name)
}

// point is what a metric's values were in one period.
type point struct {
	at time.Time
	sample
}

// read returns the periods of a series that have values, by time.
func (p points) read(b Balancer, s series) []point {
	var list []point
	at := p.from
	if first := time.Now().UTC().Add(-known); at.Before(first) {
		at = at.Add(first.Sub(at).Truncate(p.period))
	}
	now := time.Now()
	for ; at.Before(p.to) && !at.After(now); at = at.Add(p.period) {
		end := at.Add(p.period)
		if end.After(p.to) {
			end = p.to
		}
		if of, ok := s.read(b, at, end); ok {
			list = append(list, point{at, of})
		}
	}
	return list
}

// find returns the series that is asked for, if there is one.
func find(all []series, namespace, name string, dimensions []types.Dimension, unit types.StandardUnit) (series, bool) {
	i := slices.IndexFunc(all, func(s series) bool { return s.matches(namespace, name, dimensions) })
	if i < 0 || unit != "" && unit != all[i].unit() {
		return series{}, false
	}
	return all[i], true
}

// wanted is one query of a GetMetricData, checked.
type wanted struct {
	id, label string
	points    points
	statistic statistic
	metric    *types.MetricStat
}

func (a api) getMetricData(_ context.Context, in *cloudwatch.GetMetricDataInput) (*cloudwatch.GetMetricDataOutput, error) {
	queries, err := wantedOf(in)
	if err != nil {
		return nil, err
	}
	after, err := cursorOf(in.NextToken)
	if err != nil {
		return nil, err
	}
	left := mostPoints
	if in.MaxDatapoints != nil {
		if left = int(*in.MaxDatapoints); left < 1 || left > mostPoints {
			return nil, elb.Errorf(codeValue, "The parameter MaxDatapoints is %d: it has to be from 1 to %d", left, mostPoints)
		}
	}
	all := allSeries(a.balancer.Inventory())
	descending := in.ScanBy != types.ScanByTimestampAscending
	out := new(cloudwatch.GetMetricDataOutput)
	for i, q := range queries {
		if i < after.query {
			continue
		}
		var list []point
		if s, ok := find(all, value(q.metric.Metric.Namespace), value(q.metric.Metric.MetricName), q.metric.Metric.Dimensions, q.metric.Unit); ok {
			list = q.points.read(a.balancer, s)
		}
		if descending {
			slices.Reverse(list)
		}
		if i == after.query {
			list = after.rest(list, descending)
		}
		result := types.MetricDataResult{Id: &q.id, Label: &q.label, StatusCode: types.StatusCodeComplete, Timestamps: []time.Time{}, Values: []float64{}}
		if len(list) > left {
			list, result.StatusCode = list[:left], types.StatusCodePartialData
		}
		for _, p := range list {
			result.Timestamps = append(result.Timestamps, p.at)
			result.Values = append(result.Values, q.statistic(p.sample))
		}
		out.MetricDataResults = append(out.MetricDataResults, result)
		left -= len(list)
		if result.StatusCode == types.StatusCodePartialData {
			next := cursor{query: i, at: list[len(list)-1].at.Unix()}
			out.NextToken = new(next.token())
			break
		}
		if left == 0 && i+1 < len(queries) {
			next := cursor{query: i + 1}
			out.NextToken = new(next.token())
			break
		}
	}
	return out, nil
}

func wantedOf(in *cloudwatch.GetMetricDataInput) ([]wanted, error) {
	switch n := len(in.MetricDataQueries); {
	case n == 0:
		return nil, missing("MetricDataQueries")
	case n > mostQueries:
		return nil, elb.Errorf(elb.CodeValidation, "%d queries are more than %d", n, mostQueries)
	}
	var list []wanted
	seen := make(map[string]bool)
	for i, q := range in.MetricDataQueries {
		id := value(q.Id)
		switch {
		case !idForm.MatchString(id):
			return nil, elb.Errorf(elb.CodeValidation, "The value for parameter MetricDataQueries.member.%d.Id has to begin with a lower-case letter, and to hold letters, digits and _", i+1)
		case seen[id]:
			return nil, elb.Errorf(elb.CodeValidation, "The value '%s' for parameter MetricDataQueries.member.%d.Id is not unique", id, i+1)
		case q.Expression != nil:
			return nil, elb.Errorf(elb.CodeValidation, "Query '%s' has an Expression: metric math is not offered here; ask for the metrics, and compute", id)
		case q.MetricStat == nil:
			return nil, missing(fmt.Sprintf("MetricDataQueries.member.%d.MetricStat", i+1))
		case q.MetricStat.Metric == nil:
			return nil, missing(fmt.Sprintf("MetricDataQueries.member.%d.MetricStat.Metric", i+1))
		}
		seen[id] = true
		w := wanted{id: id, label: value(q.Label), metric: q.MetricStat}
		if w.label == "" {
			w.label = value(q.MetricStat.Metric.MetricName)
		}
		var err error
		if w.points, err = window(in.StartTime, in.EndTime, q.MetricStat.Period); err != nil {
			return nil, err
		}
		if w.statistic, err = statisticOf(value(q.MetricStat.Stat)); err != nil {
			return nil, err
		}
		if q.ReturnData == nil || *q.ReturnData {
			list = append(list, w)
		}
	}
	return list, nil
}

// cursor is how far an answer came: all queries before one, and of that the
// points up to a time, or, with 0, none. What is counted between two requests
// neither repeats a point nor leaves one out.
type cursor struct {
	query int
	at    int64 // seconds since 1970
}

func (c cursor) token() string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d.%d", c.query, c.at))
}

func cursorOf(token *string) (cursor, error) {
	if value(token) == "" {
		return cursor{}, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(*token)
	number, at, _ := strings.Cut(string(text), ".")
	var c cursor
	if err == nil {
		c.query, err = strconv.Atoi(number)
	}
	if err == nil {
		c.at, err = strconv.ParseInt(at, 10, 64)
	}
	if err != nil || c.query < 0 {
		return cursor{}, elb.Errorf(codeToken, "The next token is none of this server's: use the NextToken of the answer before, as it is")
	}
	return c, nil
}

// rest returns the points that come after the cursor.
func (c cursor) rest(list []point, descending bool) []point {
	if c.at == 0 {
		return list
	}
	i := slices.IndexFunc(list, func(p point) bool {
		if descending {
			return p.at.Unix() < c.at
		}
		return p.at.Unix() > c.at
	})
	if i < 0 {
		return nil
	}
	return list[i:]
}

func (a api) getMetricStatistics(_ context.Context, in *cloudwatch.GetMetricStatisticsInput) (*cloudwatch.GetMetricStatisticsOutput, error) {
	for _, required := range []struct {
		name string
		of   *string
	}{{"Namespace", in.Namespace}, {"MetricName", in.MetricName}} {
		if value(required.of) == "" {
			return nil, missing(required.name)
		}
	}
	p, err := window(in.StartTime, in.EndTime, in.Period)
	if err != nil {
		return nil, err
	}
	if len(in.Statistics) == 0 && len(in.ExtendedStatistics) == 0 {
		return nil, elb.Errorf(codeMissing, "At least one of the parameters Statistics and ExtendedStatistics must be specified.")
	}
	if n := p.to.Sub(p.from) / p.period; n > mostStatistics {
		return nil, elb.Errorf(codeCombination, "You have requested up to %d datapoints, which exceeds the limit of %d. You may reduce the datapoints requested by increasing Period, or decreasing the time range.", n, mostStatistics)
	}
	plain := make(map[types.Statistic]statistic)
	for _, name := range in.Statistics {
		if plain[name] = statistics[string(name)]; plain[name] == nil {
			return nil, elb.Errorf(codeValue, "Statistic '%s' is not one of SampleCount, Average, Sum, Minimum, Maximum", name)
		}
	}
	extended := make(map[string]statistic)
	for _, name := range in.ExtendedStatistics {
		if extended[name], err = statisticOf(name); err != nil {
			return nil, err
		}
	}
	out := &cloudwatch.GetMetricStatisticsOutput{Label: in.MetricName, Datapoints: []types.Datapoint{}}
	s, ok := find(allSeries(a.balancer.Inventory()), *in.Namespace, *in.MetricName, in.Dimensions, in.Unit)
	if !ok {
		return out, nil
	}
	for _, of := range p.read(a.balancer, s) {
		d := types.Datapoint{Timestamp: &of.at, Unit: s.unit()}
		for name, statistic := range plain {
			*field(&d, name) = new(statistic(of.sample))
		}
		for name, statistic := range extended {
			if d.ExtendedStatistics == nil {
				d.ExtendedStatistics = make(map[string]float64)
			}
			d.ExtendedStatistics[name] = statistic(of.sample)
		}
		out.Datapoints = append(out.Datapoints, d)
	}
	return out, nil
}

func field(d *types.Datapoint, s types.Statistic) **float64 {
	switch s {
	case types.StatisticSampleCount:
		return &d.SampleCount
	case types.StatisticSum:
		return &d.Sum
	case types.StatisticMinimum:
		return &d.Minimum
	case types.StatisticMaximum:
		return &d.Maximum
	default:
		return &d.Average
	}
}

func (a api) listMetrics(_ context.Context, in *cloudwatch.ListMetricsInput) (*cloudwatch.ListMetricsOutput, error) {
	var list []types.Metric
	for _, s := range allSeries(a.balancer.Inventory()) {
		namespace := namespaces[s.of]
		if in.Namespace != nil && *in.Namespace != namespace || in.MetricName != nil && *in.MetricName != s.name {
			continue
		}
		dimensions := s.dimensions()
		if slices.ContainsFunc(in.Dimensions, func(f types.DimensionFilter) bool { return !has(dimensions, f) }) {
			continue
		}
		list = append(list, types.Metric{Namespace: &namespace, MetricName: &s.name, Dimensions: dimensions})
	}
	from, err := cursorOf(in.NextToken)
	if err != nil {
		return nil, err
	}
	list = list[min(from.query, len(list)):]
	out := &cloudwatch.ListMetricsOutput{Metrics: list}
	if len(list) > mostListed {
		out.Metrics = list[:mostListed]
		next := cursor{query: from.query + mostListed}
		out.NextToken = new(next.token())
	}
	return out, nil
}

// has tells whether a filter, a name with or without a value, takes the
// dimensions.
func has(dimensions []types.Dimension, f types.DimensionFilter) bool {
	return slices.ContainsFunc(dimensions, func(d types.Dimension) bool {
		return value(f.Name) == *d.Name && (f.Value == nil || *f.Value == *d.Value)
	})
}
