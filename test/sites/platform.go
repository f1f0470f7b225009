package sites

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"hale/test/servers"
)

// onECS marks a process as one of a task of ECS, as its agent does.
const onECS = "ECS_CONTAINER_METADATA_URI_V4=http://127.0.0.1:1/v4/0"

// imagePath is a PATH as in an image that has no more than the programs given.
func imagePath(s *setting, programs ...string) string {
	s.t.Helper()
	dir := filepath.Join(s.dir(), "bin")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		s.t.Fatal(err)
	}
	for _, name := range programs {
		if err := os.Symlink(servers.Need(s.t, name), filepath.Join(dir, name)); err != nil {
			s.t.Fatal(err)
		}
	}
	return "PATH=" + dir
}

const shopARN = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/shop/73e2d6bc24d8a067"

// groupOf is a target group of type instance or ip, as the aws command prints it.
func groupOf(address, kind string, interval int) string {
	return fmt.Sprintf(`{"TargetGroups": [{
	"TargetGroupArn": %q, "TargetGroupName": "shop", "Protocol": "HTTP", "ProtocolVersion": "HTTP1", "Port": %s, "TargetType": %q,
	"HealthCheckEnabled": true, "HealthCheckProtocol": "HTTP", "HealthCheckPort": "traffic-port", "HealthCheckPath": "/health",
	"HealthCheckIntervalSeconds": %d, "HealthCheckTimeoutSeconds": 5, "HealthyThresholdCount": 5, "UnhealthyThresholdCount": 2,
	"Matcher": {"HttpCode": "200"}
}]}
`, shopARN, portOf(address), kind, interval)
}

// inService is the target group of a service of ECS, with its grace period in
// seconds.
func inService(address string, interval, grace int) string {
	return groupOf(address, "ip", interval) + serviceWith(grace)
}

// serviceWith is that service, as the aws command prints it.
func serviceWith(grace int) string {
	return fmt.Sprintf(`{"services": [{
	"serviceName": "shop", "launchType": "FARGATE", "desiredCount": 2, "runningCount": 1, "healthCheckGracePeriodSeconds": %d,
	"taskDefinition": "shop:7", "loadBalancers": [{"targetGroupArn": %q, "containerName": "web", "containerPort": 3000}]
}], "failures": []}
`, grace, shopARN)
}

// inScaling is the target group of an Auto Scaling group, with its grace period
// in seconds.
func inScaling(address string, interval, grace int) string {
	return groupOf(address, "instance", interval) + scalingWith(grace)
}

// scalingWith is that group, as the aws command prints it.
func scalingWith(grace int) string {
	return fmt.Sprintf(`{"AutoScalingGroups": [{
	"AutoScalingGroupName": "shop", "MinSize": 2, "HealthCheckType": "ELB", "HealthCheckGracePeriod": %d, "TargetGroupARNs": [%q]
}]}
`, grace, shopARN)
}

// dockerfile is one in which the image is checked by a command.
const dockerfile = `FROM python:3.12-slim
WORKDIR /app
COPY . .
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=3s \
	CMD curl -fsS http://localhost:8000/health || exit 1
CMD ["uvicorn", "--host", "0.0.0.0", "--port", "8000", "shop:app"]
`

// wgetDockerfile is one for Alpine, which has BusyBox's wget.
const wgetDockerfile = `FROM python:3.12-alpine
EXPOSE 8000
HEALTHCHECK CMD ["wget", "-q", "--spider", "http://localhost:8000/health"]
CMD ["uvicorn", "--host", "0.0.0.0", "--port", "8000", "shop:app"]
`

// composeFile is one in which the image is built, and a store stands by it that
// has what its own check needs.
const composeFile = `services:
  web:
    build: .
    ports: ["80:8000"]
    healthcheck:
      test: ["CMD", "curl", "-f", "http://127.0.0.1:8000/health"]
      interval: 30s
  store:
    image: redis:7
    healthcheck:
      test: ["CMD", "redis-cli-of-that-image", "ping"]
`

// image is the file system of a container: this machine's, changed. Only root can
// make one.
type image struct {
	// without are programs that it lacks, links what it has in their place.
	without []string
	links   map[string]string
	// hosts is its /etc/hosts; "": this machine's.
	hosts string
	// network gives the container a network of its own, in which nothing is up.
	network bool
	program string // that makes it
}

// within runs a shell's command in another container of the image, and returns
// its exit code.
func (i *image) within(t testing.TB, command string) int {
	t.Helper()
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "sh", i.program, "/", "sh", "-c", command)
	out, err := cmd.CombinedOutput()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatalf("%v\n%s", err, out)
	}
	return cmd.ProcessState.ExitCode()
}

// contain runs a program in a container, as far as a machine without Docker has
// one: with a root of its own, in which lies the file that Docker puts there.
func (i *image) contain(t testing.TB) func(servers.Spec) servers.Spec {
	t.Helper()
	if os.Geteuid() != 0 {
		lacks(t, "only root may make a root of its own for "+t.Name())
	}
	dir := publicDir(t)
	var script strings.Builder
	fmt.Fprintf(&script, `set -e
cd %s
mkdir -p upper work root
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
touch root/.dockerenv
`, dir)
	for _, name := range i.without {
		fmt.Fprintf(&script, "rm -f root/bin/%s root/usr/bin/%[1]s\n", name)
	}
	for name, to := range i.links {
		fmt.Fprintf(&script, "ln -sf %s root%s\n", to, name)
	}
	if i.hosts != "" {
		fmt.Fprintf(&script, "cat > root/etc/hosts <<'END'\n%sEND\n", i.hosts)
	}
	fmt.Fprintf(&script, `for at in /proc /dev %s; do mount --rbind $at root$at; done
exec chroot root sh -c 'cd "$0" && exec "$@"' "$@"
`, os.TempDir())
	program := filepath.Join(dir, "contain")
	write(t, program, script.String())
	if out, err := exec.Command("unshare", "--mount", "--propagation", "private", "sh", program, "/", "true").CombinedOutput(); err != nil {
		t.Skipf("this machine makes no container: %v\n%s", err, out)
	}
	i.program = program
	return func(spec servers.Spec) servers.Spec {
		args := []string{"--mount", "--propagation", "private", "sh", program, spec.Dir, servers.Need(t, spec.Name)}
		if i.network {
			args = append([]string{"--net"}, args...)
		}
		spec.Name, spec.Args = "unshare", append(args, spec.Args...)
		return spec
	}
}

// inImage is a FastAPI site in a container, whose definition lies with it.
func inImage(i image, file, content string) func(testing.TB) Site {
	return func(t testing.TB) Site {
		p := pythonApp(t, "fastapi", "python3-fastapi", "")
		address := private(t)
		write(t, filepath.Join(p.dir, file), strings.ReplaceAll(content, "8000", portOf(address)))
		p.contain = i.contain(t)
		s := site(address, p.uvicorn(t, address))
		s.within = func(command string) int { return i.within(t, command) }
		return s
	}
}

// unpublished is a FastAPI site in a container with a network of its own, to
// which nothing leads from the machine's port.
func unpublished(t testing.TB) Site {
	s := newSetting(t)
	return s.site(uvicornInContainer(t, "0.0.0.0", portOf(s.address)))
}

// uvicornInContainer runs a FastAPI application in a network of its own, at an address
// there, and returns its log.
func uvicornInContainer(t testing.TB, host, port string) (log string) {
	t.Helper()
	p := pythonApp(t, "fastapi", "python3-fastapi", "")
	servers.Need(t, "uvicorn")
	spec := (&image{network: true}).contain(t)(servers.Spec{
		Name: "sh", Args: []string{"-c", `ip link set lo up && exec uvicorn "$@"`, "sh", "--app-dir", p.dir, "--host", host, "--port", port, p.module},
		Dir: p.dir, Env: p.environment(), StopSignal: syscall.SIGKILL,
	})
	process := servers.Run(t, spec)
	for start := time.Now(); !strings.Contains(process.Output(), "Uvicorn running on"); time.Sleep(20 * time.Millisecond) {
		if time.Since(start) > time.Minute {
			t.Fatalf("uvicorn does not start: %s", process.Output())
		}
	}
	return process.OutputFile()
}

// behindCloud is a site behind a machine's firewall that lets in by a rule, and
// nothing else from other machines, probed by a cloud's prober.
func behindCloud(prober, rule string) func(testing.TB) Site {
	return func(t testing.TB) Site {
		s := newSetting(t)
		site := serveNginx(s, `server { listen @port@; `+nginxWell+`}`)
		s.firewall(`
table inet filter {
	set balancers {
		type ipv4_addr; flags interval;
		elements = { 35.191.0.0/16, 130.211.0.0/22, 168.63.129.16 }
	}
	chain input {
		type filter hook input priority filter; policy drop;
		ct state established,related accept
		ip saddr 127.0.0.0/8 accept
		` + rule + `
	}
}
`)
		site.As = prober
		return site
	}
}

// storeDropped is a FastAPI site whose store is behind a firewall that drops what
// is sent there.
func storeDropped(t testing.TB) Site {
	s := newSetting(t)
	redis := store(t)
	site := shop(t, s.address, redis, "")
	dropped(s, redis)
	return site
}

// dropped lets the firewall of a machine without neighbours drop what is sent to
// a store, which ends.
func dropped(s *setting, redis *servers.Process) {
	s.t.Helper()
	s.words["@store@"] = portOf(strings.TrimPrefix(redis.URL(), "redis://"))
	s.firewall(`
table inet filter {
	chain output {
		type filter hook output priority filter; policy accept;
		ip daddr ` + Shared + ` tcp dport @store@ drop
	}
}
`)
	redis.Stop()
}

// inTask is a FastAPI site in a task of ECS, whose definition lies with it, with
// the variables given in its environment.
func inTask(env func(s *setting) []string) func(testing.TB) Site {
	return func(t testing.TB) Site {
		s := newSetting(t)
		p := pythonApp(t, "fastapi", "python3-fastapi", "")
		write(t, filepath.Join(p.dir, "taskdef.json"), `{"containerDefinitions": [
	{"name": "log-router", "healthCheck": {"command": ["CMD", "tool-of-another-image"]}},
	{"name": "web", "portMappings": [{"containerPort": `+portOf(s.address)+`}], "healthCheck": {
		"command": ["CMD-SHELL", "curl -f http://localhost:`+portOf(s.address)+`/health || exit 1"]
	}}
]}`)
		p.env = env(s)
		site := site(s.address, p.uvicorn(t, s.address))
		site.within = func(command string) int {
			cmd := exec.Command("/bin/sh", "-c", command)
			cmd.Env = append(os.Environ(), p.env...)
			_ = cmd.Run() // the code tells
			return cmd.ProcessState.ExitCode()
		}
		return site
	}
}

// slowStart is what a site does that begins to listen late.
const slowStart = "import time\ntime.sleep(8)\n"

// startsSlowly is a Django site under gunicorn that imports the application
// before it listens.
func startsSlowly(grace int) func(testing.TB) Site {
	return func(t testing.TB) Site {
		p := django(t, slowStart)
		p.args = []string{"--preload"}
		address := private(t)
		s := site(address, p.gunicorn(t, address))
		s.Settings = inScaling(address, 6, grace)
		return s
	}
}

// slowTask is a Django site under uWSGI that takes its time to import the
// application, in a service of ECS with a grace period in seconds.
func slowTask(grace int) func(testing.TB) Site {
	return func(t testing.TB) Site {
		s := onUWSGI(slowStart, "--die-on-term")(t)
		s.Settings = inService(s.Address, 6, grace)
		return s
	}
}

// startsWhenRefused is a site in Node.js on a machine of its own, in an Auto
// Scaling group without grace. It begins to listen seven seconds after the first
// connection to it was refused, and writes no log.
func startsWhenRefused(t testing.TB) Site {
	s := newSetting(t)
	gate := filepath.Join(s.dir(), "open")
	startNode(s, `
const fs = require('fs');
const timer = setInterval(() => {
	if (!fs.existsSync('`+gate+`')) return;
	clearInterval(timer);
	server.listen(@port@, '`+Private+`');
}, 20);
`, servers.Spec{StopSignal: syscall.SIGKILL})
	before := resets(t)
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	t.Cleanup(func() { cancel(); watching.Wait() })
	watching.Go(func() {
		for resets(t) == before {
			if !pause(ctx, 20*time.Millisecond) {
				return
			}
		}
		if pause(ctx, 7*time.Second) {
			if err := os.WriteFile(gate, nil, 0o600); err != nil {
				t.Error(err)
			}
		}
	})
	site := s.site()
	site.Settings = inScaling(s.address, 6, 0)
	return site
}

// pause waits; false: the context ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// resets is how many connections this network has refused or ended by a reset
// (OutRsts of proc_net_snmp(5)).
func resets(t testing.TB) string {
	content, err := os.ReadFile("/proc/self/net/snmp")
	if err != nil {
		t.Error(err)
		return ""
	}
	var names []string
	for line := range strings.Lines(string(content)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != "Tcp:" {
			continue
		}
		if i := slices.Index(names, "OutRsts"); i >= 0 && i < len(fields) {
			return fields[i]
		}
		names = fields
	}
	return ""
}

// stoppedBy is a Django site under uWSGI in a container, whose Dockerfile has the
// instruction given.
func stoppedBy(instruction string, args ...string) func(testing.TB) Site {
	return func(t testing.TB) Site {
		p := django(t, "")
		p.args = args
		write(t, filepath.Join(p.dir, "Dockerfile"), "FROM python:3.12\n"+instruction+"\nCMD [\"uwsgi\", \"--ini\", \"uwsgi.ini\"]\n")
		p.contain = (&image{}).contain(t)
		address := private(t)
		return site(address, p.uwsgi(t, address))
	}
}

// onPlatforms are sites in containers, and of services that replace them.
func onPlatforms() []Case {
	ranges := "cloud-probe-ranges-blocked"
	tool, localhost, start := "container-healthcheck-tool-missing", "container-healthcheck-localhost-v6", "asg-cold-start-vs-grace"
	// as Alpine has it
	alpine := image{
		without: []string{"curl"}, links: map[string]string{"/usr/bin/wget": "/bin/busybox"},
		hosts: "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n",
	}
	return []Case{
		{Name: "image-without-curl", Row: tool, Findings: []string{tool}, Inside: true, Start: inImage(alpine, "Dockerfile", dockerfile)},
		{Name: "compose-without-curl", Row: tool, Findings: []string{tool}, Inside: true, Start: inImage(alpine, "compose.yaml", composeFile)},
		{
			Name: "task-without-curl", Row: tool, Findings: []string{tool}, Inside: true,
			Start: inTask(func(s *setting) []string { return []string{onECS, imagePath(s, "python3")} }),
		},
		{Name: "healthy-image", Row: "healthy", Inside: true, Start: inImage(image{}, "Dockerfile", dockerfile)},
		{Name: "healthy-task", Row: "healthy", Inside: true, Start: inTask(func(*setting) []string { return []string{onECS} })},
		{
			Name: "image-wget-localhost", Row: localhost, Findings: []string{localhost}, Inside: true,
			Start: onIPv6(needing("busybox", inImage(alpine, "Dockerfile", wgetDockerfile))),
		},
		{
			Name: "healthy-image-wget", Row: "healthy", Inside: true,
			Start: needing("busybox", inImage(alpine, "Dockerfile", strings.Replace(wgetDockerfile, "localhost", "127.0.0.1", 1))),
		},
		{Name: "asg-cold-start", Row: start, Findings: []string{start}, Inside: true, Start: startsSlowly(0)},
		{Name: "asg-still-starting", Row: start, Findings: []string{start}, Inside: true, Alone: true, Start: startsWhenRefused},
		{Name: "healthy-cold-start", Row: "healthy", Inside: true, Start: startsSlowly(300)},
		{Name: "ecs-slow-start", Row: "ecs-kill-loop", Findings: []string{"ecs-kill-loop"}, Inside: true, Start: slowTask(5)},
		{Name: "healthy-slow-task", Row: "healthy", Inside: true, Start: slowTask(300)},
		{
			Name: "container-not-published", Row: "docker-port-not-published", Findings: []string{"docker-port-not-published"}, Inside: true, Imitated: true,
			Start: unpublished,
		},
		{
			Name: "dependency-drops", Row: "dependency-down-500", Findings: []string{"dependency-down-500"}, Inside: true, Alone: true, Slow: true,
			Start: storeDropped,
		},
		{
			Name: "firewall-without-gcp", Row: ranges, Findings: []string{ranges}, Inside: true, Alone: true,
			Start: behindCloud("gcp", "ip saddr { 10.0.0.0/8, 35.191.0.0/16 } tcp dport @port@ accept"),
		},
		{
			Name: "firewall-without-azure", Row: ranges, Findings: []string{ranges}, Inside: true, Alone: true,
			Start: behindCloud("azure", "ip saddr 10.0.0.0/8 tcp dport @port@ accept"),
		},
		{
			Name: "healthy-firewall-gcp", Row: "healthy", Inside: true, Alone: true,
			Start: behindCloud("gcp", "ip saddr @balancers tcp dport @port@ accept"),
		},
		{
			Name: "healthy-firewall-azure", Row: "healthy", Inside: true, Alone: true,
			Start: behindCloud("azure", "ip saddr @balancers tcp dport @port@ accept"),
		},
		{Name: "uwsgi-reloads-on-term", Row: "shutdown-order-502", Findings: []string{"shutdown-order-502"}, Inside: true, Start: stoppedBy("ENV A=b")},
		{Name: "healthy-uwsgi-stopsignal", Row: "healthy", Inside: true, Start: stoppedBy("STOPSIGNAL SIGINT")},
		{Name: "healthy-uwsgi-die-on-term", Row: "healthy", Inside: true, Start: stoppedBy("ENV A=b", "--die-on-term")},
	}
}

// needing is for a site that needs a program.
func needing(program string, start func(testing.TB) Site) func(testing.TB) Site {
	return func(t testing.TB) Site {
		servers.Need(t, program)
		return start(t)
	}
}
