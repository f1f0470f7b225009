package doctor

// refusalModes are faults in which the probe is refused.
var refusalModes = []Mode{
	{
		ID: "basic-auth", Layer: LayerEdgeRefusal, Title: "the web server asks for a password",
		Because: "The site is behind HTTP basic authentication, and a health check has no password to give.",
		Source:  "seen with nginx 1.22 and Apache 2.4",
	},
	{
		ID: "spring-actuator-secured", Layer: LayerAppLogin, Title: "Spring Security protects the health endpoint",
		Because: "The security rules cover {{.Path}} like any other path, and the probe is not signed in.",
		Source:  "FAForever/faf-java-api#1138; SourceLabOrg/kafka-webview#209",
	},
	{
		ID: "app-auth-middleware", Layer: LayerAppLogin, Title: "the app asks for credentials on every path",
		Because: "The app's authentication comes before its routes, so the health path wants a token too, and a probe has none.",
		Source:  "elie222/inbox-zero#1416; LikeLionTeam4/slash-infra#62; valtimo-platform/valtimo-backend-libraries#126",
	},
	{
		ID: "ip-allowlist", Layer: LayerEdgeRefusal, Title: "the prober's address is not on the list",
		Because: "Only listed addresses are let in, and those that the load balancer probes from are not among them.",
		Source:  "seen with nginx 1.22, Apache 2.4 and Tomcat 10.1",
	},
	{
		ID: "ua-blocked", Layer: LayerEdgeRefusal, Title: "the prober's User-Agent is blocked",
		Because: "A rule against bots refuses the User-Agent that the load balancer sends; a browser's gets through.",
		Source:  "fnando/browser#275; colinmollenhour/php-redis-session-abstract#3",
	},
	{
		ID: "rate-limited", Layer: LayerEdgeRefusal, Title: "a rate limit counts the probes",
		Because: "The load balancer's nodes ask so often from the same few addresses that the rate limit turns them away.",
		Source:  "searxng/searxng#2310; alphagov/search-api#773; seen with nginx, HAProxy and Express",
	},
	{
		ID: "apache-empty-docroot-403", Layer: LayerRoute, Title: "the web server's directory has no index file",
		Because: "The path leads to a directory that has no index file, and listing directories is off, so the web server answers 403.",
		Source:  "seen with Apache 2.4 and nginx 1.22",
	},
	{
		ID: "docroot-permission-403", Layer: LayerRoute, Title: "the web server may not read the files",
		Because: "The web server's rules, the files' permissions or SELinux forbid it to read what {{.Path}} leads to.",
		Source:  "seen with Apache 2.4 and nginx 1.22",
	},
}

// routeModes are faults of path and method.
var routeModes = []Mode{
	{
		ID: "wrong-path-404", Layer: LayerRoute, Title: "the app has no such path",
		Because: "What answers is {{.Program}}, and it has nothing at {{.Path}}.",
		Source:  `hotosm/tasking-manager#2556; ELB guide, "The ping path does not exist"`,
	},
	{
		ID: "path-prefix", Layer: LayerRoute, Title: "the health path lacks the app's prefix",
		Because: "The app lives below a prefix: {{.RightPath}} answers, {{.Path}} does not.",
		Source:  "keycloak/keycloak#13659; deadlysyn/terraform-keycloak-aws#6; seen with Next.js 14 and Tomcat 10.1",
	},
	{
		ID: "path-moved-to-management-port", Layer: LayerRoute, Title: "the health path is on the management port",
		Because: "The app answers {{.Path}} on port {{.RightPort}}, a port of its own for management, and no longer on port {{.Port}}.",
		Source:  "keycloak/keycloak#39985; keycloak/keycloak#41325; aws-samples/cdk-keycloak#218",
	},
	{
		ID: "method-not-allowed", Layer: LayerRoute, Title: "the path does not take the prober's method",
		Because: "{{.Path}} does not take the method that the probe asks with, which is {{.Method}}.",
		Source:  "fastapi/fastapi#1773; haproxytech/dataplaneapi#304; BerriAI/litellm#9479",
	},
	{
		ID: "bad-request-by-app", Layer: LayerRoute, Title: "the path wants parameters that a probe does not send",
		Because: "{{.Path}} wants a parameter or a header, and the probe sends neither.",
		Source:  "seen with FastAPI 0.92",
	},
	{
		ID: "false-positive-200", Layer: LayerAcceptance, Title: "every path answers 200",
		Because: "A path that nobody has ever made gets the same 200 as {{.Path}}, so the check passes even when the app is broken.",
		Source:  "oauth2-proxy/oauth2-proxy#564; seen with Express 4",
	},
}

// failureModes are faults behind an answer of 500 and more.
var failureModes = []Mode{
	{
		ID: "proxy-upstream-down-502", Layer: LayerProxy, Title: "the proxy does not reach the app (502)",
		Because: "The web server works, but the app behind it ({{.Backend}}) refuses the connection, has no socket there, or may not be reached.",
		Source:  "meteor-up/mup-aws-beanstalk#184; seen with nginx 1.22 and Caddy 2.6",
	},
	{
		ID: "proxy-upstream-down-503", Layer: LayerProxy, Title: "the proxy has no live app (503)",
		Because: "The proxy works, but holds the app behind it ({{.Backend}}) for dead, or has no connection to it free.",
		Source:  "seen with Apache 2.4, Varnish 7.1, lighttpd 1.4 and HAProxy 2.6",
	},
	{
		ID: "envoy-no-upstream", Layer: LayerProxy, Title: "Envoy has no upstream for the request",
		Because: "Envoy answers by itself: no healthy endpoint is in the cluster, the connection to it broke, or no route fits Host: {{.Host}}.",
		Source:  "Envoy documentation, response flags; istio/istio#53786",
	},
	{
		ID: "iis-app-pool-or-binding", Layer: LayerProxy, Title: "IIS has no running site for the request",
		Because: "IIS or HTTP.sys answers before the app: no binding fits Host: {{.Host}}, or the application pool has stopped.",
		Source:  "dotnet/aspnetcore, HostFilteringMiddleware.cs; IIS guide, bindings",
	},
	{
		ID: "php-fpm-script-not-found", Layer: LayerProxy, Title: "PHP-FPM does not find the script",
		Because: "The web server tells PHP-FPM a file name (SCRIPT_FILENAME) that does not exist where PHP-FPM looks.",
		Source:  "php-fpm documentation; nginx documentation, fastcgi_param",
	},
	{
		ID: "proxy-unresolvable-upstream", Layer: LayerSocket, Title: "nginx does not start: an upstream has no address",
		Because: "When it starts, nginx looks up the names of its upstreams; it found no address for one of them, and gave up.",
		Source:  "seen with nginx 1.22",
	},
	{
		ID: "proxy-upstream-protocol", Layer: LayerProxy, Title: "the proxy speaks another protocol than the app",
		Because: "The proxy and the app ({{.Backend}}) do not speak the same protocol: TLS to a plain port, plain HTTP to TLS, HTTP to a uwsgi socket, or uwsgi to a port of HTTP.",
		Source:  "seen with nginx 1.22",
	},
	{
		ID: "proxy-timeout-504", Layer: LayerProxy, Title: "the app is too slow for the proxy",
		Because: "The app behind the web server ({{.Backend}}) did not answer within the web server's own time-out.",
		Source:  "seen with nginx 1.22, HAProxy 2.6 and Apache 2.4",
	},
	{
		ID: "uwsgi-no-app", Layer: LayerProxy, Title: "uWSGI runs without an app",
		Because: "Although uWSGI could not import the app, it started, and now answers every request with the same 500.",
		Source:  "seen with uWSGI 2.0",
	},
	{
		ID: "unapplied-migrations", Layer: LayerHandler, Title: "the database lacks migrations",
		Because: "The code is newer than the database: a table or a column that it uses does not exist yet.",
		Source:  "ShipChain/transmission#111; codingjoe/django-health-check#252",
	},
	{
		ID: "handler-exception", Layer: LayerHandler, Title: "the handler fails with an exception",
		Because: "The code behind {{.Path}}, or what starts the app, raises an exception that nobody catches.",
		Source:  "seen with Django 3.2, Express 4 and Go 1.26",
	},
	{
		ID: "dependency-down-500", Layer: LayerHandler, Title: "something that the handler needs is down",
		Because: "{{.Path}} asks a database, a cache or another service that does not answer as it should.",
		Source:  "METR/hawk#544",
	},
	{
		ID: "disk-full", Layer: LayerHandler, Title: "the disk is full",
		Because: "No space or no inode is left on a disk that the app or its web server writes to.",
		Source:  "spring-projects/spring-boot#4560; seen with Django 3.2 on a full disk",
	},
	{
		ID: "spring-health-down", Layer: LayerHandler, Title: "one part of Spring's health is DOWN",
		Because: "/actuator/health sums up all health indicators, and one of them, such as mail, Redis or disk space, is DOWN.",
		Source:  "spring-projects/spring-boot#4560; spinnaker/spinnaker#1018; jhipster/generator-jhipster#3579",
	},
	{
		ID: "deep-check-cascade", Layer: LayerHandler, Title: "one shared dependency fails every instance's check",
		Because: "The check asks something that all instances share, so when that is down the load balancer takes out all of them at once.",
		Source:  "METR/hawk#544; MicrosoftDocs/azure-docs#112526; code-dot-org/code-dot-org#25578",
	},
	{
		ID: "db-pool-exhausted", Layer: LayerHandler, Title: "no database connection is left",
		Because: "Every connection of the pool, or of the database itself, is taken, and the health check waits for one.",
		Source:  "fleetdm/fleet#49733; rundeck/rundeck#2347; alphagov/pay-connector#167",
	},
	{
		ID: "maintenance-mode", Layer: LayerEdgeRefusal, Title: "maintenance mode is on",
		Because: "The site says that it is in maintenance, or answers 503 whatever it is asked, and the health check is no exception.",
		Source:  "seen with WordPress 6.1",
	},
	{
		ID: "worker-killed", Layer: LayerHandler, Title: "the worker is killed while it answers",
		Because: "The worker that had the request was killed before it had answered: by its server's own time-out, or for want of memory.",
		Source:  "benoitc/gunicorn#1194; cisagov/manage.get.gov#5159; seen with uWSGI 2.0",
	},
	{
		ID: "concurrency-limit-503", Layer: LayerProxy, Title: "the app server is at its limit of connections",
		Because: "The app server answers 503 to every connection above its limit, and idle connections count too.",
		Source:  "seen with uvicorn 0.17 (--limit-concurrency)",
	},
}
