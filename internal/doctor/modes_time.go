package doctor

// timeModes are faults of time, of the life of an instance, and of the
// platform around it.
var timeModes = []Mode{
	{
		ID: "slow-handler", Layer: LayerAcceptance, Title: "the answer comes after the time-out",
		Because: "{{.Path}} answers, but takes longer than the {{.Timeout}} that the load balancer waits.",
		Source:  `ELB guide, "The connection times out"; benoitc/gunicorn#3222`,
	},
	{
		ID: "tight-timeout-flapping", Layer: LayerAcceptance, Title: "the time-out is close to the usual answer time",
		Because: "Most answers come in time, but the slowest ones take about as long as the time-out of {{.Timeout}}, so some probes fail by chance.",
		Source:  "modelplaneai/modelplane#206; datacommonsorg/website#6624",
	},
	{
		ID: "body-never-ends", Layer: LayerAcceptance, Title: "the answer's body does not end",
		Because: "The status comes at once, but the body never ends or is shorter than its Content-Length, and the prober waits for the rest.",
		Source:  `ELB guide, "HTTP 504"; seen with Go 1.26`,
	},
	{
		ID: "no-length-no-chunked", Layer: LayerAcceptance, Title: "the answer does not tell its length",
		Because: "A Classic Load Balancer wants a Content-Length or a chunked body, and the answer has neither.",
		Source:  `CLB guide, "Health check target page error"`,
	},
	{
		ID: "big-health-body", Layer: LayerAcceptance, Title: "the health answer is far too big",
		Because: "{{.Path}} returns a whole page or document, which every node of the load balancer loads again and again.",
		Source:  "ShipChain/transmission#111; jmcgrath207/k8s-ephemeral-storage-metrics#187; Route 53 guide",
	},
	{
		ID: "compressed-body", Layer: LayerAcceptance, Title: "the health answer is compressed",
		Because: "The server compresses the answer because the probe offers gzip, and a check that looks for a text in the body does not find it.",
		Source:  "seen with nginx 1.22",
	},
	{
		ID: "asg-cold-start-vs-grace", Layer: LayerAcceptance, Title: "the grace period is shorter than the start",
		Because: "Auto Scaling replaces the instance before it has had the time to start: its grace period is shorter than the start and the first passes take.",
		Source:  `Auto Scaling guide, "Set the health check grace period"; CMSgov/beneficiary-fhir-data#1895`,
	},
	{
		ID: "ecs-kill-loop", Layer: LayerAcceptance, Title: "ECS stops tasks before they have started",
		Because: "ECS ends a task that fails the load balancer's check after the service's grace period, which is 0 seconds unless it is set.",
		Source:  "rocicorp/mono#3830; aws/containers-roadmap#480; aws/containers-roadmap#1271",
	},
	{
		ID: "container-healthcheck-localhost-v6", Layer: LayerAcceptance, Title: "the container's own check asks ::1",
		Because: "Inside the container localhost means ::1 first, and the app listens on IPv4 only.",
		Source:  "wrzonance/WrzDJ#279; xnohat/webobsidian#30; wallabag/docker#407",
	},
	{
		ID: "container-healthcheck-tool-missing", Layer: LayerAcceptance, Title: "the container's own check needs a missing program",
		Because: "The health command runs inside the container, and the image lacks the program that it starts, such as curl.",
		Source:  "qonto/prometheus-rds-exporter#249; opf/openproject-docker-compose#150",
	},
	{
		ID: "keepalive-shorter-than-lb-idle", Layer: LayerAcceptance, Title: "the app closes idle connections before the balancer does",
		Because: "The app closes an idle connection sooner than the load balancer, which now and then sends a request into one just closed: users get 502 while the check stays green.",
		Source:  "nodejs/node#27363; nodejs/node#20256; PublicMapping/districtbuilder#448",
	},
	{
		ID: "shutdown-order-502", Layer: LayerAcceptance, Title: "the app stops before the balancer has let go of it",
		Because: "On SIGTERM the app closes its port at once, while the load balancer still sends requests there until it has noticed.",
		Source:  "seen with uWSGI 2.0; ELB guide, deregistration delay",
	},
	{
		ID: "beanstalk-severe-4xx", Layer: LayerAcceptance, Title: "Beanstalk counts failed probes as the site's errors",
		Because: "Enhanced health counts each 4xx in nginx's log, and with few users the probes are most of the traffic: the answer to them is what is wrong.",
		Source:  `Elastic Beanstalk guide, "Configuring enhanced health rules"; rootsignal/beanstalk-nginx-php-fpm#8`,
	},
	{
		ID: "fail-open-masks", Layer: LayerAcceptance, Title: "no target is healthy, and traffic flows all the same",
		Because: "When every target is unhealthy a load balancer sends traffic to all of them; the site ends the moment that one target turns healthy, or the next deployment waits for it.",
		Source:  "LikeLionTeam4/slash-infra#62; open-guides/og-aws#112",
	},
	{
		ID: "probe-load", Layer: LayerAcceptance, Title: "the probes cost more than they should",
		Because: "Each node of the load balancer asks on its own, and each probe of {{.Path}} does work or opens a connection to the database.",
		Source:  "NLB guide, health checks; adcontextprotocol/adcp#2144",
	},
	{
		ID: "nlb-host-is-node-ip", Layer: LayerAppHost, Title: "an NLB sends its own address as Host",
		Because: "A Network Load Balancer puts its node's address and listener port into Host, not the instance's, so allowing the instance's own address does not help.",
		Source:  `NLB guide, "Target fails HTTP or HTTPS health checks due to host header mismatch"`,
	},
	{
		ID: "stale-process", Layer: LayerSocket, Title: "the running process has the old settings",
		Because: "What answers ({{.Program}}) started before its settings were changed, or is an old process that still has the port.",
		Source:  "seen with uWSGI 2.0, which reloads on SIGTERM without die-on-term",
	},
}
