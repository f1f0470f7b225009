package elasticsearch

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"hale/checks/internal/link"
	"hale/checks/internal/report"
	"hale/checks/internal/web"
	"hale/internal/explain"
)

// clusterHealth is the answer of GET /_cluster/health
// (https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-cluster-health),
// as far as it is looked at. OpenSearch's is the same.
type clusterHealth struct {
	ClusterName        string `json:"cluster_name"`
	Status             string `json:"status"`
	TimedOut           bool   `json:"timed_out"`
	NumberOfNodes      int    `json:"number_of_nodes"`
	ActiveShards       int    `json:"active_shards"`
	InitializingShards int    `json:"initializing_shards"`
	UnassignedShards   int    `json:"unassigned_shards"`
	Indices            map[string]struct {
		Status string `json:"status"`
	} `json:"indices"`
}

// judge makes a result of an answer.
func (c *Check) judge(answer *web.Answer) (string, error) {
	// 408: what was waited for has not come about; the body tells the rest.
	if answer.Status != http.StatusOK && answer.Status != http.StatusRequestTimeout {
		return "", fmt.Errorf("%s", c.refusal(answer))
	}
	var health clusterHealth
	if err := json.Unmarshal(answer.Body, &health); err != nil || health.Status == "" {
		if answer.Status != http.StatusOK {
			return "", fmt.Errorf("answers %d, and not with the health of a cluster", answer.Status)
		}
		return "", fmt.Errorf("answers, but not as Elasticsearch: no health of a cluster in the answer")
	}
	var found report.Report
	c.judgeHealth(&health, &found)
	return found.Result()
}

func (c *Check) judgeHealth(health *clusterHealth, found *report.Report) {
	name := explain.Line(health.ClusterName)
	if c.Cluster != "" && health.ClusterName != c.Cluster {
		found.Failf("the cluster is %q, expected %q", name, c.Cluster)
		return
	}
	if c.Index != "" && len(health.Indices) == 0 {
		found.Failf("no index %s in cluster %q", c.Index, name)
		return
	}
	of := fmt.Sprintf("cluster %q", name)
	if c.Index != "" {
		of = fmt.Sprintf("%s of %s", c.Index, of)
	}
	text := fmt.Sprintf("%s is %s", of, explain.Line(health.Status))
	missing := health.UnassignedShards + health.InitializingShards
	if missing > 0 {
		text += fmt.Sprintf(", %d of %d shards not assigned", missing, missing+health.ActiveShards)
	}
	switch {
	case health.TimedOut && c.Index != "":
		found.Failf("%s: an index is not there", text)
	case health.Status == "green":
		found.Passf("%s", text)
	case health.Status == "yellow" && c.Yellow == "pass":
		found.Passf("%s", text)
	case health.Status == "yellow" && c.Yellow != "fail":
		found.Warnf("%s", text)
	default:
		found.Failf("%s", text)
	}
	switch nodes := health.NumberOfNodes; {
	case nodes < c.MinNodes:
		found.Failf("nodes: %d, fewer than %d", nodes, c.MinNodes)
	case nodes < c.WarnNodes:
		found.Warnf("nodes: %d, fewer than %d", nodes, c.WarnNodes)
	default:
		found.Passf("nodes: %d", nodes)
	}
}

// refusal says in words what an answer other than the health means.
func (c *Check) refusal(answer *web.Answer) string {
	kind, reason := complaint(answer.Body)
	switch {
	case answer.Status == http.StatusUnauthorized && c.loggedIn():
		return "wrong user, password or API key" + c.quoted(reason)
	case answer.Status == http.StatusUnauthorized:
		return "the cluster wants a user and password, or an API key" + c.quoted(reason)
	case answer.Status == http.StatusForbidden:
		return "not allowed to ask for the cluster's health" + c.quoted(reason)
	case strings.HasSuffix(kind, "_not_discovered_exception"): // master_..., in OpenSearch cluster_manager_...
		return "the node has no master: too few master-eligible nodes find one another"
	case kind == "cluster_block_exception":
		return "the cluster is blocked" + c.quoted(reason)
	case kind == "circuit_breaking_exception":
		return "the node is out of memory, and refuses requests" + c.quoted(reason)
	case kind != "":
		return fmt.Sprintf("answers %d: %s%s", answer.Status, explain.Line(kind), c.quoted(reason))
	case answer.Status == http.StatusBadRequest && strings.Contains(string(answer.Body), "HTTPS server"):
		return "the server speaks TLS on this port, and was asked without"
	default:
		return fmt.Sprintf("answers %d, and not as Elasticsearch does%s", answer.Status, c.quoted(reason))
	}
}

func (c *Check) loggedIn() bool {
	u, err := c.url()
	return c.APIKey != "" || err == nil && u.User != nil
}

// complaint returns the type and the reason of an error, as far as the body has
// them: Elasticsearch's own form, that of a gateway before it ("message"), or
// plain text, as OpenSearch's security plugin answers.
func complaint(body []byte) (kind, reason string) {
	var parsed struct {
		Error   json.RawMessage `json:"error"`
		Message string          `json:"message"` // in any case: AWS writes both
	}
	if json.Unmarshal(body, &parsed) != nil {
		if text := explain.Line(string(body)); !strings.HasPrefix(text, "<") {
			return "", text
		}
		return "", ""
	}
	var detail struct{ Type, Reason string }
	if json.Unmarshal(parsed.Error, &detail) == nil && detail.Type != "" {
		return detail.Type, detail.Reason
	}
	var text string
	if json.Unmarshal(parsed.Error, &text) == nil && text != "" {
		return "", text
	}
	return "", parsed.Message
}

// quoted is a server's own words at the end of a message, unless they repeat
// what it was told to log in.
func (c *Check) quoted(reason string) string {
	var password string
	if u, err := c.url(); err == nil {
		password, _ = u.User.Password()
	}
	if link.Quote(reason, password, c.APIKey, encoded(c.APIKey)) == "" {
		return ""
	}
	return fmt.Sprintf(" (%s)", explain.Line(reason))
}

// encoded returns an API key as it is sent: in base64, unless it is already.
func encoded(key string) string {
	if strings.Contains(key, ":") {
		return base64.StdEncoding.EncodeToString([]byte(key))
	}
	return key
}
