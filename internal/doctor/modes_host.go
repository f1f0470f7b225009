package doctor

// hostModes are faults in which the Host that the probe sends is not one that
// the server or the app wants.
var hostModes = []Mode{
	{
		ID: "django-allowed-hosts", Layer: LayerAppHost, Title: "Django does not allow the probe's Host",
		Because: "Django answers 400 to a request whose Host is not in ALLOWED_HOSTS; the probe sends Host: {{.Host}}.",
		Source:  "sjkingo/django-ebhealthcheck#3; mozmeao/infra#735; freelawproject/courtlistener#2059",
	},
	{
		ID: "django-allowed-hosts-looks-fixed", Layer: LayerAppHost, Title: "ALLOWED_HOSTS has the address in a form that never matches",
		Because: "An entry of ALLOWED_HOSTS is compared with the bare host name, so one with a port, a scheme, a network mask, a star at its end or a space never matches {{.Host}}.",
		Source:  "mozmeao/infra#735; seen with Django 3.2",
	},
	{
		ID: "django-host-from-local-proxy", Layer: LayerProxy, Title: "the proxy passes on its own Host",
		Because: "The local proxy replaces Host with the address of its upstream ({{.Backend}}), and Django refuses that name from everybody.",
		Source:  "seen with nginx 1.22 and Django 3.2",
	},
	{
		ID: "imdsv2-required-401", Layer: LayerAppHost, Title: "the app asks instance metadata without a token",
		Because: "The settings ask the instance metadata for the private IP in the old way (IMDSv1), get 401, and put nothing or an error page into the list of allowed hosts.",
		Source:  `DemocracyClub/EveryElection#2198; EC2 guide, "How Instance Metadata Service Version 2 works"`,
	},
	{
		ID: "imds-hop-limit", Layer: LayerAppHost, Title: "instance metadata does not reach the container",
		Because: "The metadata service's answer lives for one network hop, and a container is one hop further, so the settings never learn the private IP.",
		Source:  "aws/elastic-beanstalk-roadmap#242; DataDog/datadog-agent#48420",
	},
	{
		ID: "imds-timeout-too-small", Layer: LayerAppHost, Title: "the app gives instance metadata too little time",
		Because: "The settings wait a few milliseconds for the private IP and swallow the failure, so the list of allowed hosts is right on some starts and lacks it on others.",
		Source:  "reproduced with a metadata service that takes 20 ms",
	},
	{
		ID: "rails-host-authorization", Layer: LayerAppHost, Title: "Rails does not allow the probe's Host",
		Because: "Rails answers 403 to a request whose Host is not in config.hosts; the probe sends Host: {{.Host}}.",
		Source:  "rails/rails#38829; rails/rails#40328; mastodon/mastodon#20238",
	},
	{
		ID: "starlette-trusted-host", Layer: LayerAppHost, Title: "TrustedHostMiddleware does not allow the probe's Host",
		Because: "TrustedHostMiddleware answers 400 to a Host that is not in allowed_hosts, whatever the path; the probe sends Host: {{.Host}}.",
		Source:  "Kludex/starlette#1062; Kludex/starlette#1997",
	},
	{
		ID: "flask-trusted-hosts", Layer: LayerAppHost, Title: "Flask does not trust the probe's Host",
		Because: "The view reads the request's host, and Werkzeug answers 400 because {{.Host}} is not among the trusted hosts.",
		Source:  "seen with Werkzeug 2.2",
	},
	{
		ID: "flask-server-name-404", Layer: LayerAppHost, Title: "SERVER_NAME makes Flask answer one host only",
		Because: "With SERVER_NAME set, this Flask finds no route for any other Host, so every path is 404 for the probe's Host: {{.Host}}.",
		Source:  "seen with Flask 2.2",
	},
	{
		ID: "symfony-trusted-hosts", Layer: LayerAppHost, Title: "Symfony does not trust the probe's Host",
		Because: "Symfony answers 400 to a Host that no pattern of trusted_hosts matches; the probe sends Host: {{.Host}}.",
		Source:  "symfony/symfony#29609; seen with Symfony 5.4",
	},
	{
		ID: "laravel-trust-hosts", Layer: LayerAppHost, Title: "Laravel does not trust the probe's Host",
		Because: "The TrustHosts middleware refuses a Host that none of its patterns matches, with 404 in older versions and 400 in newer; the probe sends Host: {{.Host}}.",
		Source:  "laravel/framework#36190; laravel/framework#34706; laravel/framework#49005",
	},
	{
		ID: "aspnet-allowed-hosts", Layer: LayerAppHost, Title: "ASP.NET does not allow the probe's Host",
		Because: "Host filtering answers 400 to a Host that is not in AllowedHosts; the probe sends Host: {{.Host}}.",
		Source:  "dotnet/aspnetcore, HostFilteringMiddleware.cs; dotnet/aspnetcore#41702",
	},
	{
		ID: "play-allowed-hosts", Layer: LayerAppHost, Title: "Play does not allow the probe's Host",
		Because: "Play's allowed-hosts filter answers 400 to a Host that is not on its list; the probe sends Host: {{.Host}}.",
		Source:  "playframework/playframework#8582; playframework/playframework#8247",
	},
	{
		ID: "app-level-host-guard", Layer: LayerAppHost, Title: "the app's own guard refuses the probe's Host",
		Because: "The app itself serves no Host but its own, by a guard or because its routes are bound to the name; the probe sends Host: {{.Host}}.",
		Source:  "nulab/backlog-mcp-server#214; gethomepage/homepage#6775",
	},
	{
		ID: "nginx-default-server-444", Layer: LayerFirstBytes, Title: "nginx hangs up on an unknown Host",
		Because: "No server block of nginx has the name {{.Host}}, and the default one closes the connection without an answer (return 444).",
		Source:  "freescout-help-desk/freescout#5361; seen with nginx 1.22",
	},
	{
		ID: "nginx-wrong-vhost", Layer: LayerVirtualHost, Title: "nginx answers from another site",
		Because: "No server block of nginx has the name {{.Host}}, so the default one answers, and that is not the app's.",
		Source:  "ELB guide, troubleshooting; seen with nginx 1.22",
	},
	{
		ID: "apache-default-vhost", Layer: LayerVirtualHost, Title: "Apache answers from another site",
		Because: "No virtual host of Apache has the name {{.Host}}, so the first one answers, and that is not the app's.",
		Source:  "ELB guide, troubleshooting; seen with Apache 2.4",
	},
	{
		ID: "host-port-mismatch", Layer: LayerVirtualHost, Title: "a rule does not expect the port in Host",
		Because: "The probe's Host carries the port ({{.Host}}), and a rule compares the whole of it with a bare name.",
		Source:  "Kludex/starlette#1997; seen with HAProxy 2.6",
	},
	{
		ID: "host-missing", Layer: LayerVirtualHost, Title: "the probe has no Host",
		Because: "The prober sends no Host, which HTTP/1.1 demands, and with HTTP/1.0 the server puts a name in its place that the app does not allow.",
		Source:  "rails/rails#38829; projectkudu/kudu#3184",
	},
	{
		ID: "no-backend-for-host-503", Layer: LayerVirtualHost, Title: "HAProxy has no backend for the probe's Host",
		Because: "For Host: {{.Host}} HAProxy has no backend, or one without a live server, and answers 503 to both; another Host it passes on.",
		Source:  "seen with HAProxy 2.6",
	},
	{
		ID: "caddy-empty-200", Layer: LayerVirtualHost, Title: "Caddy answers an empty 200 for no site at all",
		Because: "No site of Caddy's matches Host: {{.Host}}, and then Caddy answers 200 without a body: the check passes whatever happens to the app.",
		Source:  "seen with Caddy 2.6",
	},
	{
		ID: "waf-numeric-host", Layer: LayerEdgeRefusal, Title: "the web application firewall blocks the probe",
		Because: "The firewall's rules add up points for a Host that is an IP address ({{.Host}}) and for a missing Accept header, and block the probe for the sum.",
		Source:  "seen with ModSecurity CRS 3.3.4 at paranoia level 2",
	},
}
