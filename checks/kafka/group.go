package kafka

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"hale/checks/internal/report"
	"hale/internal/explain"
)

// partition names one partition of a topic.
type partition struct {
	topic  string
	number int32
}

func (p partition) String() string { return fmt.Sprintf("%s/%d", explain.Line(p.topic), p.number) }

// judgeGroup looks at the members of the group, and at how far it lags. First is
// a session with any broker. Its errors are explained.
func (cl *cluster) judgeGroup(ctx context.Context, first *session, report *report.Report) error {
	coordinator, err := cl.coordinator(first)
	if err != nil {
		return err
	}
	var members int
	var committed map[partition]int64
	err = cl.with(ctx, coordinator, func(s *session) (err error) {
		if members, err = cl.members(s); err != nil {
			return err
		}
		committed, err = cl.committed(s)
		return err
	})
	if err != nil {
		return err
	}
	group := explain.Line(cl.check.Group)
	switch {
	case members < cl.check.MinMembers:
		report.Failf("group %s has %s, fewer than %d", group, count(members, "member"), cl.check.MinMembers)
	case members == 0:
		report.Warnf("group %s has no members: nobody consumes", group)
	default:
		report.Passf("group %s has %s", group, count(members, "member"))
	}
	return cl.judgeLag(ctx, first, committed, report)
}

// coordinator asks which broker looks after the group.
func (cl *cluster) coordinator(s *session) (int32, error) {
	// From version 4 on the question is about several groups.
	answer, err := ask[*kmsg.FindCoordinatorResponse](s, &kmsg.FindCoordinatorRequest{CoordinatorKey: cl.check.Group}, 0, 3)
	if err != nil {
		return 0, err
	}
	if answer.ErrorCode != 0 {
		return 0, cl.groupError(answer.ErrorCode)
	}
	// It may have come after the metadata.
	cl.brokers[answer.NodeID] = hostPort(answer.Host, answer.Port)
	return answer.NodeID, nil
}

func (cl *cluster) groupError(code int16) error {
	group := explain.Line(cl.check.Group)
	switch code {
	case kerr.GroupAuthorizationFailed.Code:
		return fmt.Errorf("group %s: the user may not describe it", group)
	case kerr.GroupIDNotFound.Code:
		return fmt.Errorf("no group %s", group)
	default:
		return fmt.Errorf("group %s: %s", group, text(code))
	}
}

// dead is the state of a group that is not there.
const dead = "Dead"

// members asks how many members the group has.
func (cl *cluster) members(s *session) (int, error) {
	classic, err := ask[*kmsg.DescribeGroupsResponse](s, &kmsg.DescribeGroupsRequest{Groups: []string{cl.check.Group}}, 0, 5)
	switch {
	case err != nil:
		return 0, err
	case len(classic.Groups) != 1:
		return 0, fmt.Errorf("the answer to DescribeGroups is about %d groups, not one: %s", len(classic.Groups), s.address)
	}
	group := classic.Groups[0]
	if group.ErrorCode != 0 && group.ErrorCode != kerr.GroupIDNotFound.Code {
		return 0, cl.groupError(group.ErrorCode)
	}
	if len(group.Members) > 0 {
		return len(group.Members), nil
	}
	members, found, err := cl.newerMembers(s)
	if err == nil && !found && (group.ErrorCode != 0 || group.State == dead) {
		err = cl.groupError(kerr.GroupIDNotFound.Code)
	}
	return members, err
}

// newerMembers asks the same of a group of the newer protocol (KIP-848), which
// is dead to the older question. Found tells whether it is one.
func (cl *cluster) newerMembers(s *session) (n int, found bool, err error) {
	req := &kmsg.ConsumerGroupDescribeRequest{Groups: []string{cl.check.Group}}
	if !s.knows(req) {
		return 0, false, nil
	}
	answer, err := ask[*kmsg.ConsumerGroupDescribeResponse](s, req, 0, 1)
	if err != nil || len(answer.Groups) != 1 {
		return 0, false, err
	}
	switch group := answer.Groups[0]; {
	case group.ErrorCode == kerr.GroupIDNotFound.Code || group.ErrorCode == kerr.UnsupportedVersion.Code || group.State == dead:
		return 0, false, nil
	case group.ErrorCode != 0:
		return 0, false, cl.groupError(group.ErrorCode)
	default:
		return len(group.Members), true, nil
	}
}

// committed asks up to where the group has got, in the topics of the check, or in
// all if it names none.
func (cl *cluster) committed(s *session) (map[partition]int64, error) {
	// From version 8 on the question is about several groups. No topics: all.
	answer, err := ask[*kmsg.OffsetFetchResponse](s, &kmsg.OffsetFetchRequest{Group: cl.check.Group}, 2, 7)
	if err != nil {
		return nil, err
	}
	if answer.ErrorCode != 0 {
		return nil, cl.groupError(answer.ErrorCode)
	}
	offsets := make(map[partition]int64)
	for _, topic := range answer.Topics {
		if len(cl.check.Topics) > 0 && !slices.Contains(cl.check.Topics, topic.Topic) {
			continue
		}
		for _, p := range topic.Partitions {
			if p.ErrorCode != 0 {
				return nil, cl.groupError(p.ErrorCode)
			}
			if p.Offset >= 0 { // -1: nothing is committed
				offsets[partition{topic.Topic, p.Partition}] = p.Offset
			}
		}
	}
	return offsets, nil
}

// judgeLag compares what is committed with the ends of the partitions.
func (cl *cluster) judgeLag(ctx context.Context, first *session, committed map[partition]int64, report *report.Report) error {
	group := explain.Line(cl.check.Group)
	for _, topic := range cl.check.Topics {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(committed)), func(p partition) bool { return p.topic == topic }) {
			report.Warnf("group %s has committed nothing of topic %s", group, topic)
		}
	}
	if len(committed) == 0 {
		if len(cl.check.Topics) == 0 {
			report.Warnf("group %s has committed nothing", group)
		}
		return nil
	}
	ends, err := cl.ends(ctx, first, slices.Collect(maps.Keys(committed)))
	if err != nil {
		return err
	}
	var total, most int64
	var worst partition
	for p, offset := range committed {
		lag := max(0, ends[p]-offset)
		total += lag
		if lag > most || lag == most && p.String() < worst.String() {
			most, worst = lag, p
		}
	}
	text := fmt.Sprintf("group %s lags %s", group, count(int(total), "message"))
	if most > 0 && len(committed) > 1 {
		text += fmt.Sprintf(" (%d of them in %v)", most, worst)
	}
	report.Limit(total, cl.check.WarnLag, cl.check.MaxLag, text)
	return nil
}

// ends asks the leader of each partition where it ends.
func (cl *cluster) ends(ctx context.Context, first *session, partitions []partition) (map[partition]int64, error) {
	leaders, err := cl.leaders(first, partitions)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex // guards ends
	ends := make(map[partition]int64)
	errs := cl.each(ctx, slices.Sorted(maps.Keys(leaders)), func(leader int32, s *session) error {
		found, err := s.listOffsets(leaders[leader])
		mu.Lock()
		defer mu.Unlock()
		maps.Copy(ends, found)
		return err
	})
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	for _, p := range partitions {
		if _, ok := ends[p]; !ok {
			return nil, fmt.Errorf("partition %v: its leader does not tell its end", p)
		}
	}
	return ends, nil
}

// leaders returns the partitions that each broker leads.
func (cl *cluster) leaders(s *session, partitions []partition) (map[int32][]partition, error) {
	topics := make(map[string]bool)
	for _, p := range partitions {
		topics[p.topic] = true
	}
	answer, err := s.metadata(slices.Sorted(maps.Keys(topics)))
	if err != nil {
		return nil, err
	}
	leaderOf := make(map[partition]int32)
	for _, topic := range answer.Topics {
		for _, p := range topic.Partitions {
			if topic.Topic != nil && p.Leader >= 0 {
				leaderOf[partition{*topic.Topic, p.Partition}] = p.Leader
			}
		}
	}
	leaders := make(map[int32][]partition)
	for _, p := range partitions {
		leader, ok := leaderOf[p]
		if !ok {
			return nil, fmt.Errorf("partition %v, of which group %s has committed, has no leader or is gone", p, explain.Line(cl.check.Group))
		}
		leaders[leader] = append(leaders[leader], p)
	}
	return leaders, nil
}

// latest asks for the end of a partition rather than for an offset by time.
const latest = -1

// listOffsets asks the leader of partitions where they end.
func (s *session) listOffsets(partitions []partition) (map[partition]int64, error) {
	byTopic := make(map[string][]kmsg.ListOffsetsRequestTopicPartition)
	for _, p := range partitions {
		byTopic[p.topic] = append(byTopic[p.topic], kmsg.ListOffsetsRequestTopicPartition{
			Partition: p.number, CurrentLeaderEpoch: -1, Timestamp: latest, MaxNumOffsets: 1,
		})
	}
	req := &kmsg.ListOffsetsRequest{ReplicaID: -1} // no replica but a client
	for topic, asked := range byTopic {
		req.Topics = append(req.Topics, kmsg.ListOffsetsRequestTopic{Topic: topic, Partitions: asked})
	}
	answer, err := ask[*kmsg.ListOffsetsResponse](s, req, 1, 6)
	if err != nil {
		return nil, err
	}
	ends := make(map[partition]int64)
	for _, topic := range answer.Topics {
		for _, p := range topic.Partitions {
			at := partition{topic.Topic, p.Partition}
			if p.ErrorCode != 0 {
				return nil, fmt.Errorf("partition %v: %s: %s", at, text(p.ErrorCode), s.address)
			}
			ends[at] = p.Offset
		}
	}
	return ends, nil
}
