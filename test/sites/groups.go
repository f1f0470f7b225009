package sites

import (
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"hale/test/servers"
)

// Second is another instance's private IP.
const Second = "127.0.0.7"

// Shared stands for the private IP of a machine that all instances use, such as
// their database's.
const Shared = "127.0.0.9"

// Group is a target group with running sites for targets.
type Group struct {
	Sites []Site
	// Path is the group's health check path, Version its ProtocolVersion: ""
	// for HTTP1.
	Path, Version string
	// Instances makes the targets instances, which the API tells without their
	// addresses, and not addresses.
	Instances bool
	// Verdicts are what the load balancer says of the targets where its view is
	// not ours; "" for what its own probe would be answered from here. One that
	// begins with Elb. is of a target that is still initial.
	Verdicts []string
	// Timeout is the health check's; 0 for one that no machine is too slow for.
	Timeout time.Duration
	// Interval is the health check's; 0 for a minute.
	Interval time.Duration
	// Tags are the group's.
	Tags map[string]string
	// Beside is what other commands of aws print, in the same file as the
	// group; "": the group is read from the API.
	Beside string
	// Asked makes the APIs of those services tell it, and not a file.
	Asked bool
}

// GroupCase is one row of the corpus that is about a whole target group.
type GroupCase struct {
	Name string
	// Row is the failure mode that it is an example of, or "healthy".
	Row string
	// Findings are those of the group, Of those of each target, both in order;
	// none for a target that is healthy.
	Findings []string
	Of       [][]string
	Inside   bool
	// Alone is as of a Case.
	Alone bool
	Start func(t testing.TB) Group
}

// Groups is the corpus of target groups.
func Groups() []GroupCase {
	cascade, open, lacks := "deep-check-cascade", "fail-open-masks", []string{"dependency-down-500"}
	cases := []GroupCase{
		{
			Name: "group-healthy", Row: "healthy", Of: [][]string{nil, nil},
			Start: func(t testing.TB) Group { return twoShops(t, store(t), store(t)) },
		},
		{
			// Each asks one Redis, which has gone; the log tells of it.
			Name: "group-cascade-redis", Row: cascade, Findings: []string{cascade, open}, Of: [][]string{lacks, lacks}, Inside: true,
			Start: func(t testing.TB) Group {
				redis := store(t)
				g := twoShops(t, redis, redis)
				redis.Stop()
				return g
			},
		},
		{
			// The answer itself tells what is lacking, so that it is seen from
			// elsewhere, too.
			Name: "group-cascade-told", Row: cascade, Findings: []string{cascade, open}, Of: [][]string{lacks, lacks},
			Start: func(t testing.TB) Group {
				redis := store(t)
				g := twoShops(t, redis, redis)
				g.Path = "/told"
				redis.Stop()
				return g
			},
		},
		{
			Name: "group-cascade-postgresql", Row: cascade, Findings: []string{cascade, open}, Of: [][]string{lacks, lacks}, Inside: true,
			Start: func(t testing.TB) Group {
				servers.NeedPython(t, "psycopg2", "python3-psycopg2")
				settings := strings.Replace(databaseAt(freeAddress(t, Shared)), "127.0.0.1", Shared, 1)
				g := Group{Path: "/database"}
				for _, address := range []string{private(t), freeAddress(t, Second)} {
					g.Sites = append(g.Sites, site(address, django(t, settings).gunicorn(t, address)))
				}
				return g
			},
		},
		{
			// It does not refuse, it does not answer.
			Name: "group-cascade-dropped", Row: cascade, Findings: []string{cascade, open}, Of: [][]string{lacks, lacks}, Inside: true, Alone: true,
			Start: func(t testing.TB) Group {
				redis := store(t)
				g := twoShops(t, redis, redis)
				dropped(newSetting(t), redis)
				g.Timeout = Patience
				return g
			},
		},
		{
			// One alone fails: no cascade, and the load balancer has another.
			Name: "group-one-lacks-redis", Row: "dependency-down-500", Of: [][]string{lacks, nil}, Inside: true,
			Start: func(t testing.TB) Group {
				redis := store(t)
				g := twoShops(t, redis, store(t))
				redis.Stop()
				return g
			},
		},
		{
			// Both fail, each for want of another store.
			Name: "group-two-stores", Row: open, Findings: []string{open}, Of: [][]string{lacks, lacks}, Inside: true,
			Start: func(t testing.TB) Group {
				first, second := store(t), store(t)
				g := twoShops(t, first, second)
				first.Stop()
				second.Stop()
				return g
			},
		},
		{
			// Each has a store of its own, which has gone.
			Name: "group-own-stores", Row: open, Findings: []string{open}, Of: [][]string{lacks, lacks}, Inside: true,
			Start: func(t testing.TB) Group {
				redis := storeOn(t, "127.0.0.1")
				g := twoShops(t, redis, redis)
				redis.Stop()
				return g
			},
		},
		{
			// Both fail, for different causes.
			Name: "group-two-causes", Row: open, Findings: []string{open}, Of: [][]string{lacks, {"starlette-trusted-host"}}, Inside: true,
			Start: func(t testing.TB) Group {
				redis := store(t)
				first, second := shop(t, private(t), redis, ""), shop(t, freeAddress(t, Second), store(t), starletteHosts)
				redis.Stop()
				return Group{Path: "/deep", Sites: []Site{first, second}}
			},
		},
		{
			// Users are served by targets of which the load balancer calls none
			// healthy.
			Name: "group-all-refuse-host", Row: open, Findings: []string{open}, Of: [][]string{{"django-allowed-hosts"}, {"django-allowed-hosts"}},
			Start: func(t testing.TB) Group {
				g := Group{Path: "/health"}
				for _, address := range []string{private(t), freeAddress(t, Second)} {
					g.Sites = append(g.Sites, site(address, django(t, hostsSet).gunicorn(t, address)))
				}
				return g
			},
		},
		{
			// With few users, most of what nginx answers is the probes.
			Name: "group-beanstalk", Row: "beanstalk-severe-4xx", Findings: []string{open, "beanstalk-severe-4xx"},
			Of: [][]string{{"django-allowed-hosts"}, {"django-allowed-hosts"}}, Inside: true,
			Start: func(t testing.TB) Group {
				start := behindNginx(hostsSet, toGunicorn)
				return Group{Path: "/health", Tags: map[string]string{"elasticbeanstalk:environment-name": "shop-prod"}, Sites: []Site{start(t), start(t)}}
			},
		},
		{
			// The group is for gRPC, its targets speak HTTP/1.1.
			Name: "group-464-grpc", Row: "protocol-version-mismatch-464", Findings: []string{open},
			Of: [][]string{{"protocol-version-mismatch-464"}, {"protocol-version-mismatch-464"}},
			Start: func(t testing.TB) Group {
				g := Group{Version: "GRPC"}
				for _, host := range []string{Private, Second} {
					address := freeAddress(t, host)
					g.Sites = append(g.Sites, site(address, runExpress(t, express(t, ""), []string{"HOST=" + host, "PORT=" + portOf(address)}, address)))
				}
				return g
			},
		},
		{
			Name: "group-464-http2", Row: "protocol-version-mismatch-464", Findings: []string{open},
			Of: [][]string{{"protocol-version-mismatch-464"}, {"protocol-version-mismatch-464"}},
			Start: func(t testing.TB) Group {
				g := Group{Version: "HTTP2", Path: "/health"}
				for _, address := range []string{private(t), freeAddress(t, Second)} {
					g.Sites = append(g.Sites, site(address, django(t, "").gunicorn(t, address)))
				}
				return g
			},
		},
		{
			// Two tasks on one instance: the one with a fixed port works, the
			// other has a port that was chosen for it.
			Name: "group-dynamic-port", Row: "ecs-dynamic-port-sg", Findings: []string{"ecs-dynamic-port-sg"}, Of: [][]string{nil, nil},
			Start: dynamicPort,
		},
		{
			// Of two tasks, only one is in a security group with the app's port.
			Name: "group-security-group", Row: "firewall-drop", Findings: []string{"firewall-drop"}, Of: [][]string{nil, nil},
			Start: shutTask,
		},
		{
			// A task that refuses the probe's Host, in a service without grace.
			Name: "group-kill-loop", Row: "ecs-kill-loop", Findings: []string{open, "ecs-kill-loop"}, Of: [][]string{{"django-allowed-hosts"}},
			Start: func(t testing.TB) Group {
				address := private(t)
				return Group{Path: "/health", Sites: []Site{site(address, django(t, hostsSet).gunicorn(t, address))}, Beside: serviceWith(0)}
			},
		},
		{
			Name: "group-ecs-node-set", Row: "ecs-node-set", Findings: []string{open, "ecs-kill-loop"},
			Of:     [][]string{{"port-undefined-random", "container-healthcheck-tool-missing", "keepalive-shorter-than-lb-idle"}},
			Inside: true, Alone: true,
			Start: func(t testing.TB) Group {
				return Group{Path: "/health", Sites: []Site{unset(t)}, Beside: serviceWith(0)}
			},
		},
		{
			// A new instance, which the load balancer is still looking at.
			Name: "group-cold-start", Row: "asg-cold-start-vs-grace", Findings: []string{"asg-cold-start-vs-grace"}, Of: [][]string{nil}, Inside: true,
			Start: func(t testing.TB) Group {
				return Group{
					Path: "/health", Interval: 6 * time.Second, Instances: true, Sites: []Site{startsSlowly(0)(t)},
					Verdicts: []string{"Elb.InitialHealthChecking Initial health checks in progress"},
					Beside:   instanceIn("sg-instances") + scalingWith(0),
				}
			},
		},
	}
	for _, c := range cases { // the same, where the APIs tell what a file tells else
		if !besides[c.Name] {
			continue
		}
		start := c.Start
		c.Name += "-asked"
		c.Start = func(t testing.TB) Group {
			g := start(t)
			g.Asked = true
			return g
		}
		cases = append(cases, c)
	}
	return cases
}

// besides are the groups of which a file, or other services than ELBv2, tell more.
var besides = map[string]bool{
	"group-dynamic-port": true, "group-security-group": true, "group-kill-loop": true, "group-ecs-node-set": true, "group-cold-start": true,
}

// instanceIn is the instance of a group, as the aws command prints it.
func instanceIn(securityGroup string) string {
	return `{"Reservations": [{"Instances": [
	{"InstanceId": "i-0f76fade0", "PrivateIpAddress": "127.0.0.5", "SecurityGroups": [{"GroupName": "instances", "GroupId": "` + securityGroup + `"}]}
]}]}
`
}

// shutTask is a service of two tasks, of which one has a security group that does
// not know the app's port.
func shutTask(t testing.TB) Group {
	g := Group{Path: "/health", Verdicts: []string{"Target.Timeout Request timed out", ""}}
	for _, address := range []string{private(t), freeAddress(t, Second)} {
		g.Sites = append(g.Sites, site(address, django(t, "").gunicorn(t, address)))
	}
	g.Beside = serviceWith(300) + strings.NewReplacer("FIRST", Private, "SECOND", Second, "PORT", portOf(g.Sites[1].Address)).Replace(`
{"NetworkInterfaces": [
	{"NetworkInterfaceId": "eni-1", "PrivateIpAddresses": [{"PrivateIpAddress": "FIRST"}], "Groups": [{"GroupName": "database", "GroupId": "sg-database"}]},
	{"NetworkInterfaceId": "eni-2", "PrivateIpAddresses": [{"PrivateIpAddress": "SECOND"}], "Groups": [{"GroupName": "web", "GroupId": "sg-web"}]}
]}
{"SecurityGroups": [
	{"GroupId": "sg-database", "IpPermissions": [{"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "UserIdGroupPairs": [{"GroupId": "sg-web"}]}]},
	{"GroupId": "sg-web", "IpPermissions": [{"IpProtocol": "tcp", "FromPort": PORT, "ToPort": PORT, "UserIdGroupPairs": [{"GroupId": "sg-balancer"}]}]}
]}
`)
	return g
}

// store is a Redis that both instances reach; Stop ends it.
func store(t testing.TB) *servers.Process { return storeOn(t, Shared) }

func storeOn(t testing.TB, host string) *servers.Process {
	t.Helper()
	address := freeAddress(t, host)
	return servers.Run(t, servers.Spec{
		Name: "redis-server", Args: []string{"--bind", host, "--port", portOf(address), "--save", "", "--appendonly", "no"},
		Dir: t.TempDir(), Listens: []string{address}, URL: "redis://" + address, StopSignal: syscall.SIGKILL,
	})
}

// shop is a FastAPI site whose pages /deep and /told ask a Redis, which answers
// when shop returns.
func shop(t testing.TB, address string, redis *servers.Process, lines string) Site {
	t.Helper()
	servers.NeedPython(t, "redis", "python3-redis")
	host, port, _ := strings.Cut(strings.TrimPrefix(redis.URL(), "redis://"), ":")
	p := pythonApp(t, "fastapi", "python3-fastapi", fmt.Sprintf(`
import redis
from starlette.responses import JSONResponse

store = redis.Redis(host=%q, port=%s, socket_connect_timeout=60, socket_timeout=60)


@app.get("/deep")
def deep():
    store.ping()
    return {"status": "ok"}


@app.get("/told")
def told():
    try:
        store.ping()
    except redis.RedisError as error:
        return JSONResponse({"store": str(error)}, 503)
    return {"status": "ok"}
`, host, port)+lines)
	p.contain = func(spec servers.Spec) servers.Spec {
		spec.StopSignal = syscall.SIGKILL // or it would wait for who waits for the store
		return spec
	}
	s := site(address, p.uvicorn(t, address))
	s.Path = "/deep"
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+s.Path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host, req.Close = Domain, true
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("with its store, the site at %s answers %s", address, resp.Status)
	}
	return s
}

// twoShops are two instances of one site, each with its store.
func twoShops(t testing.TB, first, second *servers.Process) Group {
	t.Helper()
	return Group{Path: "/deep", Sites: []Site{shop(t, private(t), first, ""), shop(t, freeAddress(t, Second), second, "")}}
}

// listeningOn is what a program of Node's says of the port that it got.
var listeningOn = regexp.MustCompile(`listening on port (\d+)`)

// dynamicPort is an instance with a task whose port the kernel chose, as Docker
// lets it where a task definition says hostPort 0, and one with a port that its
// security group admits.
func dynamicPort(t testing.TB) Group {
	s := newSetting(t)
	log := filepath.Join(s.dir(), "chosen.log")
	node(s, `server.listen(0, '`+Private+`', () => require('fs').writeFileSync('`+log+`', 'listening on port ' + server.address().port + '\n'));`,
		servers.Spec{Ready: thereIs(log)})
	var port []string
	for start := time.Now(); port == nil; time.Sleep(10 * time.Millisecond) { // the file is there before its text
		if port = listeningOn.FindStringSubmatch(readFile(t, log)); port == nil && time.Since(start) > time.Minute {
			t.Fatalf("Node does not say where it listens: %s", readFile(t, log))
		}
	}
	fixed := newSetting(t)
	node(fixed, `server.listen(@port@, '`+Private+`');`, servers.Spec{Listens: []string{fixed.address}})
	return Group{
		Path: "/health", Instances: true,
		Sites:    []Site{site(Private + ":" + port[1]), fixed.site()},
		Verdicts: []string{"Target.Timeout Request timed out", ""},
		Beside: instanceIn("sg-instances") + serviceWith(300) + strings.ReplaceAll(`
{"taskDefinition": {"family": "shop", "revision": 7, "networkMode": "bridge", "containerDefinitions": [
	{"name": "web", "portMappings": [{"containerPort": 3000, "hostPort": 0, "protocol": "tcp"}]}
]}}
{"SecurityGroups": [{"GroupId": "sg-instances", "IpPermissions": [
	{"IpProtocol": "tcp", "FromPort": PORT, "ToPort": PORT, "UserIdGroupPairs": [{"GroupId": "sg-balancer"}]},
	{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "UserIdGroupPairs": [{"GroupId": "sg-bastion"}]}
]}]}
`, "PORT", portOf(fixed.address)),
	}
}
