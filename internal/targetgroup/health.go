package targetgroup

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"hale/internal/elb"
)

// stateNotes are the states in which a target takes no traffic for another
// reason than its answers, with what they mean and what to do.
var stateNotes = []struct {
	state  elb.State
	reason elb.Reason
	what   string
	way    string
}{
	{elb.Initial, elb.RegistrationInProgress, "is just being registered, and gets no traffic yet", "wait: some seconds, with a Network Load Balancer up to a few minutes"},
	{elb.Initial, elb.InitialHealthChecking, "is new and has no verdict yet: its first pass makes it healthy", "wait for one interval; if it stays so, the doctor's probe tells more"},
	{elb.Unhealthy, elb.InternalError, "is held for unhealthy because of an error of the load balancer's own", "try again in some minutes, and see https://health.aws.amazon.com"},
	{elb.Unavailable, elb.InternalError, "has no verdict because of an error of the load balancer's own", "try again in some minutes, and see https://health.aws.amazon.com"},
	{elb.Unavailable, elb.HealthCheckDisabled, "is not checked: health checks are off for this group", "aws elbv2 modify-target-group --health-check-enabled, if the function can answer them"},
	{elb.UnhealthyDraining, "", "is unhealthy, and open connections to it may go on for a while", "attributes target_health_state.unhealthy.*"},
	{elb.Draining, "", "was deregistered: it gets no new requests, and stays draining for the whole deregistration delay, even when nothing is in flight", "wait, or register it again: aws elbv2 register-targets"},
	{elb.Unused, elb.NotRegistered, "is not registered with this group, or no longer", "aws elbv2 register-targets"},
	{elb.Unused, elb.InvalidState, "is stopped or terminated", "start the instance, or deregister it"},
	{elb.Unused, elb.IPUnusable, "has an address that a load balancer uses itself", "register the address of the app instead"},
}

// states explains each state that is no verdict on the target's answers.
func states(g *Group, _ Measured, d *Diagnosis) {
	for _, row := range stateNotes {
		var in []Target
		for _, t := range g.Targets {
			if t.State == row.state && (row.reason == "" || t.Reason == row.reason) {
				in = append(in, t)
			}
		}
		if len(in) > 0 {
			d.note(Note{What: subject(in) + " " + row.what, Seen: in[0].Verdict(), Way: row.way, Targets: names(in)})
		}
	}
	for _, t := range g.Targets {
		if t.Override != "" {
			d.note(Note{What: t.ID + " gets no traffic because of a zonal shift", Seen: t.Override, Way: "aws arc-zonal-shift list-zonal-shifts, and cancel-zonal-shift when the zone is well again", Targets: []string{t.Name()}})
		}
	}
}

// subject names one target, or how many.
func subject(targets []Target) string {
	if len(targets) == 1 {
		return targets[0].Name()
	}
	return fmt.Sprintf("each of %d targets", len(targets))
}

// failedCodes finds the codes in what ELB says of a mismatch.
var failedCodes = regexp.MustCompile(`\[([\d, ]+)\]`)

// codes are the statuses that a target answered, as ELB tells them.
func (t Target) codes() []int {
	if t.Reason != elb.ResponseCodeMismatch {
		return nil
	}
	var codes []int
	if found := failedCodes.FindStringSubmatch(t.Description); found != nil {
		for text := range strings.SplitSeq(found[1], ",") {
			if code, err := strconv.Atoi(strings.TrimSpace(text)); err == nil {
				codes = append(codes, code)
			}
		}
	}
	return codes
}

// mismatch: an answer 2xx is meant as success, and the matcher does not take it.
func mismatch(g *Group, _ Measured, d *Diagnosis) {
	var refused []Target
	for _, t := range g.Targets {
		if codes := t.codes(); len(codes) > 0 && !slices.ContainsFunc(codes, func(code int) bool { return code < 200 || code > 299 }) {
			refused = append(refused, t)
		}
	}
	if len(refused) == 0 || g.Version == elb.GRPC {
		return
	}
	t, matcher := refused[0], g.HealthCheck.Matcher
	code := t.codes()[0]
	d.find(Finding{
		ID: "success-matcher-mismatch", Targets: names(refused),
		What:     fmt.Sprintf("the app answers %d, which is a success, and the matcher takes %s", code, matcher),
		Way:      fmt.Sprintf("answer 200, or aws elbv2 modify-target-group --matcher HttpCode=%s,%d", matcher, code),
		Evidence: []Evidence{{Change: "describe-target-health", Before: t.Verdict(), After: "a status within " + matcher}},
	})
}

// beanstalk: enhanced health counts what nginx logs, and probes are in it.
func beanstalk(g *Group, _ Measured, d *Diagnosis) {
	environment := g.beanstalk()
	var counted []Target
	for _, t := range g.Targets {
		if slices.ContainsFunc(t.codes(), func(code int) bool { return code >= 400 && code <= 499 }) {
			counted = append(counted, t)
		}
	}
	if environment == "" || len(counted) == 0 {
		return
	}
	d.find(Finding{
		ID: "beanstalk-severe-4xx", Targets: names(counted),
		What: "the group belongs to Elastic Beanstalk, whose enhanced health counts each failed probe as a request that went wrong: with few users it turns Severe from the probes alone",
		Way:  "repair the cause of the code; to leave 4xx out of Beanstalk's health does not make the target healthy",
		Evidence: []Evidence{
			{Change: "the group's environment", Before: environment},
			{Change: "describe-target-health", Before: counted[0].Verdict()},
		},
	})
}

// firstDynamicPort begins the ports that ECS gives to tasks (ECS guide, "Port
// mappings"; Linux's own range).
const firstDynamicPort = 32768

// silence: nothing comes back to the load balancer. If the same probe passes
// from here, something lies between; which of the things is not the API's to
// tell.
func silence(g *Group, m Measured, d *Diagnosis) {
	var silent, dynamic []Target
	for _, t := range g.inState(elb.Unhealthy) {
		passed, probed := m.Passed[t.Name()]
		quiet := t.Reason == elb.Timeout || g.Balancer() != elb.Application && t.Reason == elb.FailedHealthChecks
		if !quiet && (!passed || t.Reason != elb.FailedHealthChecks) || probed && !passed {
			continue
		}
		silent = append(silent, t)
		if g.chosen(t) {
			dynamic = append(dynamic, t)
		}
	}
	if len(silent) == 0 {
		return
	}
	if shut := slices.DeleteFunc(slices.Clone(silent), func(t Target) bool { return !g.shut(t) }); len(shut) > 0 {
		shutOut(g, shut, d)
		return
	}
	t := silent[0]
	what := fmt.Sprintf("does the security group of %s let the load balancer's nodes in on port %d? They get no answer", t.ID, t.CheckPort)
	if m.Passed[t.Name()] {
		what = fmt.Sprintf("what lies between the load balancer and %s? Its probe of port %d gets no answer, the same from here passes: a security group, a network ACL, or routes of its subnets", t.ID, t.CheckPort)
	}
	from := "the load balancer's subnets"
	if groups := g.securityGroups(); len(groups) > 0 {
		from = strings.Join(groups, ", ") + ", the load balancer's own"
	}
	lists := "aws ec2 describe-network-acls for both subnets, with ports 1024-65535 on the way back"
	how := "aws ec2 describe-security-groups of the target: is there a rule for port " + strconv.Itoa(t.CheckPort) + " from " + from + "? And " + lists
	if walls := g.walls(t); len(walls) > 0 { // they were looked at, and are not shut
		what = fmt.Sprintf("what lies between the load balancer and %s? Its probe of port %d gets no answer, and security group %s may let it in (%s): a network ACL, routes of its subnets, or what the load balancer's own groups let out",
			t.ID, t.CheckPort, walls[0].ID, walls[0])
		how = lists + "; and the outbound rules of " + from
	}
	d.undecided(what, how)
	if len(dynamic) > 0 {
		d.undecided(fmt.Sprintf("is port %d of %s one that ECS gave to a task, and does the security group admit such ports (ecs-dynamic-port-sg)?", dynamic[0].CheckPort, dynamic[0].ID),
			"the instance's security group has to admit 32768-65535 from the load balancer's, not port 80 alone")
	}
}

// otherProtocol: a group of HTTP/2 or gRPC whose target does not speak it.
func otherProtocol(g *Group, m Measured, d *Diagnosis) {
	if g.Version != elb.HTTP2 && g.Version != elb.GRPC {
		return
	}
	var old []Target
	for _, t := range g.Targets {
		if m.HTTP1[t.Name()] != "" {
			old = append(old, t)
		}
	}
	if len(old) > 0 {
		d.find(Finding{
			ID: "protocol-version-mismatch-464", Targets: names(old),
			What: fmt.Sprintf("the group's version is %s, and its target speaks HTTP/1.1: it fails every check, and clients of HTTP/1.1 get 464", g.Version),
			Way:  "make a new group with ProtocolVersion HTTP1, which cannot be changed later, or let the app speak HTTP/2",
			Evidence: []Evidence{
				{Change: "describe-target-groups: ProtocolVersion", Before: string(g.Version)},
				{Change: "HTTP/1.1 to " + old[0].Name(), Before: m.HTTP1[old[0].Name()]},
			},
		})
		return
	}
	for _, t := range g.inState(elb.Unhealthy) {
		if passed := m.Passed[t.Name()]; t.Reason == elb.FailedHealthChecks && !passed {
			d.undecided(fmt.Sprintf("does %s speak HTTP/2? The group's version is %s, and a target of HTTP/1.1 behind it fails every check, and gives users 464 (protocol-version-mismatch-464)", t.ID, g.Version),
				fmt.Sprintf("curl --http2-prior-knowledge http://%s/ ; the version of a group cannot be changed, only a new group made", t.Name()))
			return
		}
	}
}

// formOfProbe: a Gateway Load Balancer's is not documented.
func formOfProbe(g *Group, _ Measured, d *Diagnosis) {
	if g.Balancer() == elb.Gateway && g.HealthCheck.Protocol != elb.TCP {
		d.undecided("what does a Gateway Load Balancer put into its requests? No document tells; here they are those of a Network Load Balancer",
			"look at them where they arrive: hale listen, on the health check's port of a target")
	}
}

// provesLittle: what a check that passes says nothing of.
func provesLittle(g *Group, _ Measured, d *Diagnosis) {
	check := g.HealthCheck
	switch {
	case check.Disabled:
		return
	case check.Protocol == elb.TCP:
		d.note(Note{
			What: "a check over TCP passes as soon as a connection comes about: an app that answers every page with an error is healthy to it",
			Seen: "HealthCheckProtocol TCP", Way: "HealthCheckProtocol HTTP with a path that looks at the app, if the target speaks HTTP",
		})
		return
	}
	codes, err := elb.ParseMatcher(check.Matcher)
	if err != nil {
		return
	}
	if g.Version == elb.GRPC {
		if codes.Matches(unimplemented) {
			d.note(Note{
				What: "the code 12, \"no such method\", passes: every server of gRPC is healthy to this check, whatever is wrong with it",
				Seen: "Matcher.GrpcCode " + check.Matcher + ", path " + check.Path,
				Way:  "path /grpc.health.v1.Health/Check and matcher 0, where the app serves grpc.health.v1",
			})
		}
		return
	}
	for _, lenient := range []struct {
		code int
		what string
	}{
		{301, "a redirect passes the check, so a page that nobody looked at makes the target healthy"},
		{404, "a page that does not exist passes the check: every web server is healthy to it, with or without the app"},
		{500, "an error of the app passes the check"},
	} {
		if codes.Matches(lenient.code) {
			d.note(Note{What: lenient.what, Seen: fmt.Sprintf("Matcher.HttpCode %s has %d", check.Matcher, lenient.code), Way: "a path that answers 200 when the app is well, and the matcher 200"})
		}
	}
}

// unimplemented is gRPC's code for a method that the server does not have.
const unimplemented = 12

// otherPort: the check asks another port than the traffic's.
func otherPort(g *Group, _ Measured, d *Diagnosis) {
	var other []Target
	for _, t := range g.Targets {
		if t.Port != 0 && t.CheckPort != t.Port {
			other = append(other, t)
		}
	}
	if len(other) > 0 {
		t := other[0]
		d.note(Note{
			What: fmt.Sprintf("the health check asks port %d, users get port %d: either may fail while the other works", t.CheckPort, t.Port), Targets: names(other),
			Seen: "HealthCheckPort " + strconv.Itoa(t.CheckPort) + ", target registered with port " + strconv.Itoa(t.Port),
			Way:  "HealthCheckPort traffic-port, unless the app means to answer health on a port of its own",
		})
	}
	var moved []Target
	for _, t := range g.inState(elb.Unhealthy) {
		if t.Port != g.Port {
			moved = append(moved, t)
		}
	}
	usual := slices.ContainsFunc(g.Targets, func(t Target) bool { return t.State == elb.Healthy && t.Port == g.Port })
	if len(moved) > 0 && usual {
		d.note(Note{
			What: fmt.Sprintf("the unhealthy target is registered with port %d, healthy ones with %d", moved[0].Port, g.Port), Targets: names(moved),
			Seen: moved[0].Verdict(),
			Way:  fmt.Sprintf("where the port is wrong, register the target again with the right one: aws elbv2 register-targets --target-group-arn %s --targets Id=%s,Port=%d", cmp.Or(g.ARN, "ARN"), moved[0].ID, g.Port),
		})
	}
}

// settings: what ELB would refuse.
func settings(g *Group, _ Measured, d *Diagnosis) {
	for _, fault := range g.HealthCheck.Faults(g.Kind) {
		d.note(Note{What: "ELB does not take these settings", Seen: fault.Error(), Way: "the limits of a group for a " + g.Balancer().Title()})
	}
}

// times: what does not fit together.
func times(g *Group, m Measured, d *Diagnosis) {
	findings, notes := Contradictions(g.Timing(m))
	for i := range findings {
		if f := &findings[i]; f.ID == "asg-cold-start-vs-grace" && g.byECS() {
			f.ID = "ecs-kill-loop"
			f.What = "a new task is still unhealthy when the service's grace period ends, and ECS stops it before it ever served"
		}
	}
	d.Findings, d.Notes = append(d.Findings, findings...), append(d.Notes, notes...)
}

// Contradictions returns what of the times does not fit together: as findings
// what the doctor has a name for, as notes the rest.
func Contradictions(t elb.Timing) (findings []Finding, notes []Note) {
	for _, c := range t.Contradictions() {
		if c.ID == "" {
			notes = append(notes, Note{What: c.What, Seen: c.Have + ", against " + c.Need, Way: c.Way})
			continue
		}
		findings = append(findings, Finding{ID: c.ID, What: c.What, Way: c.Way, Evidence: []Evidence{{Change: "times", Before: c.Have, After: c.Need}}})
	}
	return findings, notes
}

// grace: neither Auto Scaling nor ECS is part of this API.
func grace(g *Group, m Measured, d *Diagnosis) {
	if _, known := g.Timing(m).Grace.Get(); known || g.Scaling != nil || len(g.inState(elb.Unhealthy, elb.Initial)) == 0 {
		return
	}
	need := ""
	if rows := g.Timing(m).Rows(); m.StartUp > 0 && len(rows) > 1 {
		need = fmt.Sprintf(" It has to be longer than %v, the time until a new one is healthy", rows[1].Worst.Round(time.Second))
	}
	arn := cmp.Or(g.ARN, "ARN")
	switch {
	case g.Tags["elbv2.k8s.aws/cluster"] != "":
		return // Kubernetes does not replace pods for the load balancer's sake
	case g.Kind.Targets == elb.Addresses && g.ServiceAsked == NotAsked:
		d.undecided("does ECS end tasks before they have started (ecs-kill-loop)? Its service has a grace period, which is 0 unless it was set."+need,
			"aws ecs describe-services --cluster CLUSTER --services SERVICE --query 'services[].[healthCheckGracePeriodSeconds,events[:5]]'")
	case (g.Kind.Targets == elb.Instances || g.Kind.Targets == "") && g.ScalingAsked == NotAsked:
		d.undecided("does Auto Scaling replace instances before they have started (asg-cold-start-vs-grace), or not at all? The grace period is 0 through the API and 300 s in the console, and a group of type EC2 ignores the load balancer's verdict."+need,
			fmt.Sprintf("aws autoscaling describe-auto-scaling-groups --query \"AutoScalingGroups[?contains(TargetGroupARNs,'%s')].[AutoScalingGroupName,HealthCheckType,HealthCheckGracePeriod]\"", arn))
	}
}

// busyShare is how much of one worker's time probes may take before it is worth
// a word.
const busyShare = 0.1

// load: what the probes cost, by what an answer takes.
func load(g *Group, m Measured, d *Diagnosis) {
	share := g.ProbesPerMinute() * m.P99.Minutes()
	if share < busyShare {
		return
	}
	d.note(Note{
		What: fmt.Sprintf("the probes alone keep a worker busy for up to %.0f %% of the time", 100*share),
		Seen: fmt.Sprintf("at least %.0f probes a minute of each target (zones x interval), and %v for an answer", g.ProbesPerMinute(), m.P99.Round(time.Millisecond)),
		Way:  "a cheaper check, which answers from what was found out in the background, or a longer interval",
	})
}
