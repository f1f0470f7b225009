package redisserver

import (
	"fmt"
	"strings"

	"hale/checks/internal/resp"
	"hale/internal/explain"
)

// complaint says in words what an error reply means. The codes are those of
// createSharedObjects in src/server.c of Redis and Valkey; what has none begins
// with ERR and explains itself.
func complaint(refusal resp.Error, a *Address) string {
	refusal = discreet(refusal, a.password)
	said := explain.Line(refusal.Text())
	switch refusal.Code() {
	case "NOAUTH":
		if a.login() == nil {
			return "the server wants a password, and the URL has none"
		}
		return "not logged in: " + said
	case "WRONGPASS":
		return "wrong password, or user disabled: " + a.whom()
	case "NOPERM":
		return fmt.Sprintf("%s may not do this: %s", a.whom(), said)
	case "LOADING":
		return "the server is still loading its data"
	case "MASTERDOWN":
		return "a replica that has lost its master, and does not serve stale data"
	case "READONLY":
		return "a read-only replica, which takes no writes"
	case "OOM":
		return "the server is full: it uses all of maxmemory, and takes no writes"
	case "MISCONF":
		return "the server takes no writes, because it could not save its data to disk"
	case "NOREPLICAS":
		return "the server takes no writes, because too few replicas are connected (min-replicas-to-write)"
	case "BUSY":
		return "a script keeps the server busy"
	case "CLUSTERDOWN":
		return "the cluster is down: " + said
	case "MOVED", "ASK":
		return "a node of a cluster, which takes only the keys of its own slots: write mode: ping and cluster: true"
	case "DENIED":
		return "the server is in protected mode: it has no password, and so talks to its own machine alone"
	case "NOQUORUM":
		return "the Sentinels could not do a failover: " + said
	case "NOPROTO":
		return "the server wants another version of its protocol: " + said
	}
	switch {
	case strings.Contains(said, "without any password configured"), strings.Contains(said, "no password is set"):
		return "the server has no password, but the URL does"
	case said == "invalid password":
		return "wrong password"
	case strings.Contains(said, "DB index is out of range"):
		return fmt.Sprintf("the server has no database %d", a.Database)
	case strings.Contains(said, "unknown command 'SENTINEL'"), strings.Contains(said, "unknown command `SENTINEL`"):
		return "not a Sentinel"
	case strings.Contains(said, "cluster support disabled"):
		return "not a node of a cluster"
	case refusal.Code() == "ERR":
		return said
	default:
		return explain.Line(string(refusal))
	}
}

// discreet takes out what the server repeats of our words: of a command that it
// does not know, AUTH for one, the arguments.
func discreet(refusal resp.Error, password string) resp.Error {
	text, _, _ := strings.Cut(string(refusal), ", with args beginning with:")
	if password != "" {
		text = strings.ReplaceAll(text, password, "...")
	}
	return resp.Error(text)
}
