package kafka

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"hale/checks/internal/report"
	"hale/internal/explain"
)

// cluster is what a broker tells of all brokers.
type cluster struct {
	check      *Check
	brokers    map[int32]string // by number: host:port as given out
	controller int32            // -1: none
}

func newCluster(c *Check, answer *kmsg.MetadataResponse) *cluster {
	cl := &cluster{check: c, brokers: make(map[int32]string), controller: answer.ControllerID}
	for _, broker := range answer.Brokers {
		cl.brokers[broker.NodeID] = hostPort(broker.Host, broker.Port)
	}
	return cl
}

// metadata asks for the brokers, and for the topics that are named. It does not
// make them.
func (s *session) metadata(topics []string) (*kmsg.MetadataResponse, error) {
	// An empty list means no topic; none at all would mean every topic.
	req := &kmsg.MetadataRequest{Topics: []kmsg.MetadataRequestTopic{}}
	for _, topic := range topics {
		req.Topics = append(req.Topics, kmsg.MetadataRequestTopic{Topic: &topic})
	}
	return ask[*kmsg.MetadataResponse](s, req, 1, 9)
}

func (cl *cluster) judge(report *report.Report) {
	if least := cmp.Or(cl.check.MinBrokers, 1); len(cl.brokers) < least {
		report.Failf("the cluster has %s, fewer than %d", count(len(cl.brokers), "broker"), least)
	}
	if cl.controller < 0 {
		report.Failf("the cluster has no controller")
	}
}

// reach connects to every broker by its own name.
func (cl *cluster) reach(ctx context.Context, report *report.Report) {
	numbers := slices.Sorted(maps.Keys(cl.brokers))
	errs := cl.each(ctx, numbers, func(int32, *session) error { return nil })
	for i, err := range errs {
		if err != nil {
			report.Failf("broker %d, as the cluster gives it out: %v", numbers[i], err)
		}
	}
}

// parallel is how many brokers are asked at the same time.
const parallel = 8

// each asks several brokers at the same time, over a connection each. It returns
// one error for each.
func (cl *cluster) each(ctx context.Context, numbers []int32, do func(number int32, s *session) error) []error {
	errs := make([]error, len(numbers))
	slots := make(chan struct{}, parallel)
	var all sync.WaitGroup
	for i, number := range numbers {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			errs[i] = cl.with(ctx, number, func(s *session) error { return do(number, s) })
		})
	}
	all.Wait()
	return errs
}

// with asks one broker.
func (cl *cluster) with(ctx context.Context, number int32, do func(*session) error) error {
	address, ok := cl.brokers[number]
	if !ok {
		return fmt.Errorf("broker %d is not among those that the cluster tells of", number)
	}
	s, err := cl.check.open(ctx, address)
	if err != nil {
		return err
	}
	defer s.close()
	return do(s)
}

// judgeTopic looks at each partition of a topic.
func (c *Check) judgeTopic(topic kmsg.MetadataResponseTopic, report *report.Report) {
	name := ""
	if topic.Topic != nil {
		name = explain.Line(*topic.Topic)
	}
	switch topic.ErrorCode {
	case 0:
	case kerr.UnknownTopicOrPartition.Code:
		report.Failf("no topic %s", name)
		return
	case kerr.TopicAuthorizationFailed.Code:
		report.Failf("topic %s: the user may not describe it", name)
		return
	case kerr.LeaderNotAvailable.Code: // told of the partitions, too
	default:
		report.Failf("topic %s: %s", name, text(topic.ErrorCode))
		return
	}
	var leaderless, short, behind []int32
	for _, p := range topic.Partitions {
		switch {
		case p.Leader < 0:
			leaderless = append(leaderless, p.Partition)
		case len(p.ISR) < c.MinInSync:
			short = append(short, p.Partition)
		case len(p.ISR) < len(p.Replicas):
			behind = append(behind, p.Partition)
		}
	}
	of := fmt.Sprintf("of %s", count(len(topic.Partitions), "partition"))
	if len(leaderless) > 0 {
		report.Failf("topic %s: %d %s without a leader (%s)", name, len(leaderless), of, list(leaderless))
	}
	if len(short) > 0 {
		report.Failf("topic %s: %d %s with fewer than %s in sync (%s)", name, len(short), of, count(c.MinInSync, "replica"), list(short))
	}
	if len(behind) > 0 {
		report.Warnf("topic %s: %d %s with replicas that are not in sync (%s)", name, len(behind), of, list(behind))
	}
	if len(topic.Partitions) == 0 {
		report.Failf("topic %s has no partitions", name)
		return
	}
	report.Passf("topic %s has %s", name, count(len(topic.Partitions), "partition"))
}

// list writes the first few of a list of partitions.
func list(partitions []int32) string {
	const most = 5
	slices.Sort(partitions)
	var b strings.Builder
	for i, p := range partitions {
		if i == most {
			b.WriteString(", ...")
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(strconv.Itoa(int(p)))
	}
	return b.String()
}
