package doctor

// redirectModes are faults in which the probe is sent elsewhere.
var redirectModes = []Mode{
	{
		ID: "django-ssl-redirect", Layer: LayerAppHTTPS, Title: "Django redirects the probe to https",
		Because: "SECURE_SSL_REDIRECT sends every plain request to https, and the load balancer probes over plain http without X-Forwarded-Proto.",
		Source:  "mozilla/glam#109; wemake-services/wemake-django-template#1023; letsrevel/revel-backend#117",
	},
	{
		ID: "proto-header-not-trusted", Layer: LayerAppHTTPS, Title: "the app does not believe X-Forwarded-Proto",
		Because: "The app redirects to https even when X-Forwarded-Proto says https, so behind a load balancer that ends TLS its users go round in circles too.",
		Source:  "dotnet/aspnetcore#25221; seen with Django 3.2, uvicorn 0.17 and Tomcat 10.1",
	},
	{
		ID: "proxy-overwrites-proto", Layer: LayerProxy, Title: "the proxy overwrites X-Forwarded-Proto",
		Because: "The local proxy sets X-Forwarded-Proto to the scheme of its own connection, which is http, so the app never learns that the user came over https.",
		Source:  "seen with nginx 1.22 and Django 3.2",
	},
	{
		ID: "rails-force-ssl", Layer: LayerAppHTTPS, Title: "Rails redirects the probe to https",
		Because: "With config.force_ssl, Rails sends every plain request to https, and the load balancer probes over plain http without X-Forwarded-Proto.",
		Source:  "rails/rails#51680; rails/rails#22591; Purple-Devs/health_check#25",
	},
	{
		ID: "starlette-https-redirect", Layer: LayerAppHTTPS, Title: "HTTPSRedirectMiddleware redirects the probe",
		Because: "HTTPSRedirectMiddleware sends every plain request to https, whatever the path, and the load balancer probes over plain http.",
		Source:  "seen with Starlette 0.26 and uvicorn 0.17",
	},
	{
		ID: "aspnet-https-redirection", Layer: LayerAppHTTPS, Title: "ASP.NET redirects the probe to https",
		Because: "UseHttpsRedirection comes before the health endpoint, and the load balancer probes over plain http.",
		Source:  "dotnet/aspnetcore#25221; dotnet/aspnetcore#21506; nodatime/nodatime#1317",
	},
	{
		ID: "express-https-redirect", Layer: LayerAppHTTPS, Title: "a middleware of the app redirects the probe to https",
		Because: "A middleware that redirects to https is registered before the health route, and the load balancer probes over plain http.",
		Source:  "dekkerglen/CubeCobra#2596; meteor/meteor#6079; unrolled/secure#28 (Go)",
	},
	{
		ID: "phoenix-force-ssl", Layer: LayerAppHTTPS, Title: "Phoenix redirects the probe to https",
		Because: "With force_ssl, Phoenix sends every plain request to https, and the load balancer probes over plain http without X-Forwarded-Proto.",
		Source:  "phoenixframework/phoenix#1743; phoenixframework/phoenix#6556; elixir-plug/plug#815",
	},
	{
		ID: "servlet-requires-secure", Layer: LayerAppHTTPS, Title: "the servlet container redirects the probe to https",
		Because: "A rule of the app (requiresSecure, or transport-guarantee CONFIDENTIAL) wants every request over https, and the load balancer probes over plain http.",
		Source:  "spring-attic/spring-security-oauth#709; seen with Tomcat 10.1",
	},
	{
		ID: "nginx-return-301", Layer: LayerEdgeRedirect, Title: "the web server redirects everything to https",
		Because: "A rule for plain http redirects every request, whatever its path and its header are, so the health path is redirected too.",
		Source:  "rootsignal/beanstalk-nginx-php-fpm#8; seen with nginx 1.22 and Apache 2.4",
	},
	{
		ID: "web-server-xfp-rewrite", Layer: LayerEdgeRedirect, Title: "the web server redirects what lacks X-Forwarded-Proto",
		Because: "A rule redirects each request whose X-Forwarded-Proto is not https; probes carry no such header at all.",
		Source:  `Purple-Devs/health_check#25; Elastic Beanstalk guide, "Configuring HTTP to HTTPS redirection"`,
	},
	{
		ID: "haproxy-redirect-scheme", Layer: LayerEdgeRedirect, Title: "HAProxy redirects the probe to https",
		Because: "A redirect scheme https rule applies to every plain request, and the load balancer probes over plain http.",
		Source:  "seen with HAProxy 2.6",
	},
	{
		ID: "caddy-auto-https", Layer: LayerEdgeRedirect, Title: "Caddy redirects the probe to https",
		Because: "Caddy redirects all plain http to https by itself for a site that is named without http://, and the load balancer probes over plain http.",
		Source:  "seen with Caddy 2.6",
	},
	{
		ID: "trailing-slash-redirect", Layer: LayerAppRedirect, Title: "the path lacks a slash at its end, or has one too many",
		Because: "The app redirects {{.Path}} to {{.Location}}, which differs by the slash at the end only.",
		Source:  "jal-co/shieldcn#60; mdn/developer-portal#329; seen with Django, Flask, FastAPI, Go, Next.js and nginx",
	},
	{
		ID: "canonical-host-redirect", Layer: LayerAppRedirect, Title: "the probe is sent to the site's official name",
		Because: "A rule sends every other Host to the site's own name, here to {{.Location}}; the probe sends Host: {{.Host}}.",
		Source:  "seen with Django 3.2 (PREPEND_WWW), nginx, Apache and Starlette",
	},
	{
		ID: "wordpress-canonical", Layer: LayerAppRedirect, Title: "WordPress redirects to its site address",
		Because: "WordPress sends a request whose port, leading www or slash differs from its site address on to that address, here to {{.Location}}.",
		Source:  "kubernetes/ingress-gce#937; seen with WordPress 6.1",
	},
	{
		ID: "wordpress-not-installed", Layer: LayerHandler, Title: "WordPress finds no site in its database",
		Because: "The database that WordPress is set to is empty or the wrong one, so it sends everybody to its installation page.",
		Source:  "seen with WordPress 6.1",
	},
	{
		ID: "locale-redirect", Layer: LayerAppRedirect, Title: "the app redirects to a language",
		Because: "The health path is among the pages that have a language in their path, so the probe is sent to {{.Location}}.",
		Source:  "vercel/next.js#55648; seen with Django 3.2 and Next.js 14",
	},
	{
		ID: "login-redirect", Layer: LayerAppLogin, Title: "the path is for signed-in users only",
		Because: "{{.Path}} wants a signed-in user, so the probe is sent to the sign-in page, {{.Location}}.",
		Source:  "kubernetes-sigs/aws-load-balancer-controller#3846; aws-samples/appmod-blueprints#890; codecentric/spring-boot-admin#1587",
	},
	{
		ID: "success-matcher-mismatch", Layer: LayerAcceptance, Title: "the answer is right, but is not a success code",
		Because: "The app answers {{.Status}} on purpose, and the health check does not count that as success.",
		Source:  "kubernetes/ingress-gce#1768; awslabs/aws-sigv4-proxy#193; terraform-aws-modules/terraform-aws-alb#18",
	},
	{
		ID: "kubelet-follows-redirect", Layer: LayerAppHTTPS, Title: "the kubelet follows a redirect into TLS",
		Because: "The app redirects to https on the same host; the kubelet follows, and speaks TLS to a port that has none or that nobody listens on.",
		Source:  "kubernetes/kubernetes#136698; kubernetes/kubernetes#75416; kubernetes/kubernetes#63192",
	},
}
