package configuration

import (
	"fmt"
	"net"
	"strconv"

	"hale/internal/balancer/inventory"
	"hale/internal/yamlfile"
)

// taken is a port that something listens on.
type taken struct {
	host string // empty: all addresses
	port int
	what string
}

// ports finds what cannot listen side by side, and groups that two load balancers
// use.
func (r *reader) ports() {
	all := make(map[int][]taken) // by port
	for _, own := range []struct {
		key     string
		address yamlfile.Address
	}{{"API", r.file.API}, {"Admin", r.file.Admin}} {
		host, port, err := net.SplitHostPort(string(own.address))
		if n, wrong := strconv.Atoi(port); err == nil && wrong == nil && n != 0 && r.OK(own.key) {
			r.taken(all, own.key, taken{host, n, own.key})
		}
	}
	users := map[string]int{}
	for i := range r.file.LoadBalancers {
		b, at := &r.file.LoadBalancers[i], yamlfile.ElementPath("LoadBalancers", i)
		for j := range b.Listeners {
			l, at := &b.Listeners[j], yamlfile.ElementPath(yamlfile.Join(at, "Listeners"), j)
			if path := yamlfile.Join(at, "Port"); r.OK(path) {
				for _, host := range b.hosts() {
					r.taken(all, path, taken{host, l.Port, fmt.Sprintf("the listener of load balancer %s", b.Name)})
				}
			}
			r.users(users, i, l.DefaultActions, yamlfile.Join(at, "DefaultActions"))
			for k := range l.Rules {
				r.users(users, i, l.Rules[k].Actions, yamlfile.Join(yamlfile.ElementPath(yamlfile.Join(at, "Rules"), k), "Actions"))
			}
		}
	}
}

// hosts returns where the load balancer listens.
func (b *LoadBalancer) hosts() []string {
	var hosts []string
	for _, m := range b.SubnetMappings {
		if m.PrivateIPv4Address != "" {
			hosts = append(hosts, m.PrivateIPv4Address)
		}
	}
	switch {
	case len(hosts) > 0:
		return hosts
	case b.Scheme == inventory.Internal:
		return []string{"127.0.0.1"}
	default:
		return []string{""}
	}
}

// taken reports a port that something else has.
func (r *reader) taken(all map[int][]taken, path string, t taken) {
	for _, other := range all[t.port] {
		if other.what != t.what && yamlfile.Overlap(net.JoinHostPort(other.host, strconv.Itoa(other.port)), net.JoinHostPort(t.host, strconv.Itoa(t.port))) {
			text := fmt.Sprintf("%s has port %d already; write another port, or give them addresses of their own", other.what, t.port)
			if r.Node(path) == nil && r.Node(other.what) != nil {
				path = other.what
			}
			r.FaultNear(path, text)
			return
		}
	}
	all[t.port] = append(all[t.port], t)
}

// users reports groups that two load balancers use: ELB allows one.
func (r *reader) users(users map[string]int, balancer int, all []Action, at string) {
	use := func(path, group string) {
		if group == "" || !r.OK(path) {
			return
		}
		if user, there := users[group]; there && user != balancer {
			r.FaultNear(path, fmt.Sprintf("load balancer %s uses this target group, and a group can be one load balancer's alone; make another group with the same targets", r.file.LoadBalancers[user].Name))
			return
		}
		users[group] = balancer
	}
	for i, a := range all {
		at := yamlfile.ElementPath(at, i)
		use(yamlfile.Join(at, "TargetGroup"), a.TargetGroup)
		if a.ForwardConfig != nil {
			list := yamlfile.Join(at, "ForwardConfig.TargetGroups")
			for j, g := range a.ForwardConfig.TargetGroups {
				use(yamlfile.Join(yamlfile.ElementPath(list, j), "TargetGroup"), g.TargetGroup)
			}
		}
	}
}
