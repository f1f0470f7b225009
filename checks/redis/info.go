package redis

import (
	"cmp"
	"math"
	"net"
	"strconv"
	"strings"
	"time"

	"hale/checks"
	"hale/checks/internal/report"
	"hale/internal/explain"
)

// info is a reply of INFO or CLUSTER INFO: what is not a line "name:value" in it
// is passed over.
type info map[string]string

func parseInfo(reply any) info {
	text, _ := reply.(string)
	fields := make(info)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[name] = value
		}
	}
	return fields
}

// parsePairs reads a reply of names and values in turn.
func parsePairs(reply any) info {
	list, _ := reply.([]any)
	fields := make(info)
	for i := 0; i+1 < len(list); i += 2 {
		name, _ := list[i].(string)
		value, _ := list[i+1].(string)
		fields[name] = value
	}
	return fields
}

// number returns a field's value; ok is false if there is none.
func (i info) number(name string) (n int64, ok bool) {
	n, err := strconv.ParseInt(i[name], 10, 64)
	return n, err == nil
}

// judgeRole looks at INFO's section replication
// (https://redis.io/docs/latest/commands/info/).
func (c *Check) judgeRole(replication info, found *report.Report) {
	role := replication["role"]
	if role == "slave" {
		role = "replica" // as Redis itself has said since version 5
	}
	switch {
	case role == "":
		found.Failf("does not tell its role")
	case role != c.Role:
		found.Failf("is a %s, expected a %s", explain.Line(role), c.Role)
	case role == "replica":
		c.judgeLag(replication, found)
	default:
		found.Passf("master, replicas: %s", cmp.Or(explain.Line(replication["connected_slaves"]), "0"))
	}
}

// judgeLag judges how long a replica has heard nothing of its master. A master
// speaks at least every ten seconds (repl-ping-replica-period).
func (c *Check) judgeLag(replication info, found *report.Report) {
	master := explain.Line(net.JoinHostPort(replication["master_host"], replication["master_port"]))
	up := replication["master_link_status"] == "up"
	text := "replica of " + master
	var seconds int64
	var known bool
	if up {
		seconds, known = replication.number("master_last_io_seconds_ago")
	} else if seconds, known = replication.number("master_link_down_since_seconds"); known && seconds >= 0 {
		text += ", has lost it"
	} else {
		text += ", has not reached it yet"
	}
	lag := time.Duration(math.MaxInt64)
	if known && seconds >= 0 && seconds < int64(math.MaxInt64/time.Second) {
		lag = time.Duration(seconds) * time.Second
		if !up || c.WarnLag > 0 || c.MaxLag > 0 {
			text += ", last heard of it " + lag.String() + " ago"
		}
	}
	if replication["master_sync_in_progress"] == "1" {
		text += ", is copying its data"
	}
	switch {
	case c.MaxLag > 0 && lag > c.MaxLag:
		found.Failf("%s, more than %v", text, c.MaxLag)
	case c.MaxLag == 0 && !up:
		found.Failf("%s", text)
	case c.WarnLag > 0 && lag > c.WarnLag:
		found.Warnf("%s, more than %v", text, c.WarnLag)
	case c.WarnLag == 0 && !up:
		found.Warnf("%s", text)
	default:
		found.Passf("%s", text)
	}
}

// judgeMemory looks at INFO's section memory.
func (c *Check) judgeMemory(memory info, found *report.Report) {
	used, ok := memory.number("used_memory")
	if !ok {
		found.Failf("does not tell how much memory it uses")
		return
	}
	total, _ := memory.number("maxmemory")
	if total <= 0 {
		found.Warnf("uses %v of memory, and has no maxmemory to compare it with", checks.Size(used))
		return
	}
	percent := checks.Percent(math.Round(float64(used)/float64(total)*1000) / 10)
	text := "uses " + percent.String() + " of maxmemory " + checks.Size(total).String()
	if policy := explain.Line(memory["maxmemory_policy"]); policy != "" {
		text += " (" + policy + ")"
	}
	switch {
	case c.MaxMemory > 0 && percent > c.MaxMemory:
		found.Failf("%s, more than %v", text, c.MaxMemory)
	case c.WarnMemory > 0 && percent > c.WarnMemory:
		found.Warnf("%s, more than %v", text, c.WarnMemory)
	default:
		found.Passf("%s", text)
	}
}

// judgeCluster looks at CLUSTER INFO
// (https://redis.io/docs/latest/commands/cluster-info/).
func judgeCluster(cluster info, found *report.Report) {
	assigned, _ := cluster.number("cluster_slots_assigned")
	broken, _ := cluster.number("cluster_slots_fail")
	suspected, _ := cluster.number("cluster_slots_pfail")
	const slots = 16384
	switch state := cluster["cluster_state"]; {
	case state != "ok":
		found.Failf("the cluster's state is %q: %d of %d slots assigned, %d failed", explain.Line(state), assigned, slots, broken)
	case assigned < slots || broken > 0: // with cluster-require-full-coverage no
		found.Failf("the cluster does not serve all slots: %d of %d assigned, %d failed", assigned, slots, broken)
	case suspected > 0:
		found.Warnf("the cluster is about to lose %d slots: their nodes do not answer", suspected)
	default:
		found.Passf("the cluster is well, masters: %s", explain.Line(cluster["cluster_size"]))
	}
}

// judgeMaster looks at what a Sentinel knows of the master
// (https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/).
func (c *Check) judgeMaster(master info, found *report.Report) {
	where := explain.Line(net.JoinHostPort(master["ip"], master["port"]))
	for flag := range strings.SplitSeq(master["flags"], ",") {
		switch flag {
		case "o_down", "s_down", "disconnected":
			found.Failf("the master %q, %s, is down (%s)", c.Sentinel, where, explain.Line(master["flags"]))
			return
		}
	}
	others, _ := master.number("num-other-sentinels")
	found.Passf("the master %q is %s, Sentinels: %d", c.Sentinel, where, others+1)
}
