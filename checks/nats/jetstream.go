package nats

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"hale/checks/internal/report"
	"hale/internal/explain"
)

// What JetStream's API answers, as far as it matters here
// (https://docs.nats.io/reference/reference-protocols/nats_api_reference).
type (
	apiError struct {
		Code        int    `json:"code"`
		ErrCode     int    `json:"err_code"`
		Description string `json:"description"`
	}
	streamInfo struct {
		Error *apiError `json:"error"`
		State *struct {
			Messages uint64 `json:"messages"`
		} `json:"state"`
		Cluster *raftGroup `json:"cluster"`
	}
	consumerInfo struct {
		Error          *apiError  `json:"error"`
		NumPending     *uint64    `json:"num_pending"`
		NumAckPending  uint64     `json:"num_ack_pending"`
		NumRedelivered uint64     `json:"num_redelivered"`
		Cluster        *raftGroup `json:"cluster"`
	}
	// raftGroup are the servers that hold a stream or a consumer, in a cluster.
	raftGroup struct {
		Leader   string `json:"leader"`
		Replicas []struct {
			Name    string `json:"name"`
			Current bool   `json:"current"`
			Offline bool   `json:"offline"`
		} `json:"replicas"`
	}
)

// Error codes of JetStream's API (server/errors.json in the server's source).
const (
	codeStreamNotFound   = 10059
	codeConsumerNotFound = 10014
)

// jetStream asks for all that the check names. An error ends the run; what is
// wrong with one stream alone goes into the report.
func (c *Check) jetStream(s *session, report *report.Report) error {
	api := "$JS.API."
	if c.Domain != "" {
		api = "$JS." + c.Domain + ".API."
	}
	if c.JetStream && len(c.Streams)+len(c.Consumers) == 0 {
		var account struct {
			Error *apiError `json:"error"`
		}
		if err := s.ask(api+"INFO", &account); err != nil {
			return err
		}
		if account.Error != nil {
			return fmt.Errorf("%v: %s", account.Error, s.address)
		}
		report.Passf("JetStream answers")
	}
	for _, name := range c.Streams {
		var info streamInfo
		if err := s.ask(api+"STREAM.INFO."+name, &info); err != nil {
			return err
		}
		info.judge(name, report)
	}
	for _, name := range c.Consumers {
		stream, consumer, _ := strings.Cut(name, "/")
		var info consumerInfo
		if err := s.ask(api+"CONSUMER.INFO."+stream+"."+consumer, &info); err != nil {
			return err
		}
		c.judge(name, info, report)
	}
	return nil
}

func (info streamInfo) judge(name string, report *report.Report) {
	switch {
	case info.Error != nil && info.Error.ErrCode == codeStreamNotFound:
		report.Failf("no stream %s", name)
	case info.Error != nil:
		report.Failf("stream %s: %v", name, info.Error)
	case info.State == nil:
		report.Failf("stream %s: the answer has no state", name)
	default:
		info.Cluster.judge("stream "+name, true, report)
		report.Passf("stream %s has %d messages", name, info.State.Messages)
	}
}

func (c *Check) judge(name string, info consumerInfo, report *report.Report) {
	switch {
	case info.Error != nil && info.Error.ErrCode == codeStreamNotFound:
		stream, _, _ := strings.Cut(name, "/")
		report.Failf("no stream %s", stream)
	case info.Error != nil && info.Error.ErrCode == codeConsumerNotFound:
		report.Failf("no consumer %s", name)
	case info.Error != nil:
		report.Failf("consumer %s: %v", name, info.Error)
	case info.NumPending == nil:
		report.Failf("consumer %s: the answer has no num_pending", name)
	default:
		// A consumer to which nothing happens leaves a replica that has come back
		// without news, and so out of date, for minutes (seen with 2.9.10).
		info.Cluster.judge("consumer "+name, false, report)
		lag := int64(min(*info.NumPending, 1<<62))
		text := fmt.Sprintf("consumer %s lags %d messages", name, lag)
		if info.NumAckPending > 0 {
			text += fmt.Sprintf(" (and %d not acknowledged yet)", info.NumAckPending)
		}
		report.Limit(lag, c.WarnLag, c.MaxLag, text)
	}
}

// judge reports a group without a leader, or with a replica that is offline or,
// where that means something, not up to date. Outside of a cluster there is no
// group.
func (g *raftGroup) judge(what string, current bool, report *report.Report) {
	if g == nil {
		return
	}
	if g.Leader == "" {
		report.Failf("%s has no leader", what)
	}
	for _, replica := range g.Replicas {
		switch name := explain.Line(replica.Name); {
		case replica.Offline:
			report.Warnf("%s: replica %s is offline", what, name)
		case current && !replica.Current:
			report.Warnf("%s: replica %s is not up to date", what, name)
		}
	}
}

func (e *apiError) String() string {
	return fmt.Sprintf("%s (JetStream error %d)", explain.Line(e.Description), e.ErrCode)
}

// ask sends one request to JetStream's API. Its errors are explained.
func (s *session) ask(subject string, answer any) error {
	payload, err := s.request(subject)
	if errors.Is(err, errNoResponders) {
		return fmt.Errorf("nobody answers for JetStream: it is not enabled on the server, or not for this user's account: %s", s.address)
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(payload, answer); err != nil {
		return fmt.Errorf("JetStream's answer to %s is not JSON: %s", subject, s.address)
	}
	return nil
}
