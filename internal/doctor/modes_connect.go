package doctor

// connectModes are faults in which no connection comes about, or nobody
// takes it up.
var connectModes = []Mode{
	{
		ID: "nothing-listening", Layer: LayerSocket, Title: "nothing listens on the port",
		Because: "No program listens on port {{.Port}}: it was not started, it ended, or it is being restarted over and over.",
		Source:  `ELB guide, "Troubleshoot your Application Load Balancers"`,
	},
	{
		ID: "missing-env-var", Layer: LayerSocket, Title: "the app lacks an environment variable",
		Because: "The app ends while it starts because a variable that it reads is not set for the service, though it may be set in your shell or in a .env file.",
		Source:  "aws-samples/aws-elastic-beanstalk-express-js-sample#43; seen with gunicorn 20.1",
	},
	{
		ID: "port-already-in-use", Layer: LayerSocket, Title: "another program has the port",
		Because: "Port {{.Port}} is held by {{.Program}} already, so the app could not have it, and either nobody or the wrong program answers.",
		Source:  "strawbs1/reactioncommerce-aws-elasticbeanstalk#1; seen with gunicorn, Node and nginx",
	},
	{
		ID: "privileged-port-denied", Layer: LayerSocket, Title: "the app may not open a port below 1024",
		Because: "Linux lets only root, or a program with CAP_NET_BIND_SERVICE, listen on port {{.Port}}, and the app runs as neither.",
		Source:  "seen with Node 20 as www-data",
	},
	{
		ID: "bound-to-loopback", Layer: LayerSocket, Title: "the app listens on 127.0.0.1 only",
		Because: "The socket of {{.Program}} is bound to the loopback address, which only this machine can reach; the load balancer connects to {{.Address}}.",
		Source:  "TheHoltz/errex#14; seen with gunicorn, uvicorn, Flask, Go and Node",
	},
	{
		ID: "bound-to-other-address", Layer: LayerSocket, Title: "the app listens on another address of the machine",
		Because: "The socket of {{.Program}} is bound to one address of this machine, or to those of IPv4 alone, and the load balancer connects to another, {{.Address}}.",
		Source:  "reproduced with a bind to a second address",
	},
	{
		ID: "ipv6-only-bind", Layer: LayerSocket, Title: "the app listens on IPv6 only",
		Because: "The socket takes IPv6 connections alone, and the load balancer connects over IPv4.",
		Source:  "cloudfoundry/haproxy-boshrelease#904; seen with nginx 1.22",
	},
	{
		ID: "wrong-port", Layer: LayerSocket, Title: "the app listens on another port",
		Because: "Nobody listens on port {{.Port}}; {{.Program}} answers on port {{.RightPort}}.",
		Source:  "meteor-up/mup-aws-beanstalk#184; ryanmurakami/pizza-luvrs#47; aws/aws-toolkit-visual-studio#311",
	},
	{
		ID: "port-undefined-random", Layer: LayerSocket, Title: "the app listens on a random port",
		Because: "The variable that has its port is not set, so the app asked for no port in particular and was given {{.RightPort}}, another one at each start.",
		Source:  "seen with Node 20",
	},
	{
		ID: "firewall-drop", Layer: LayerSocket, Title: "a firewall drops the connection",
		Because: "Packets to port {{.Port}} vanish without an answer, as they do when a security group, a network ACL or the machine's own firewall does not let them in.",
		Source:  "ELB guide, troubleshooting; hashicorp/vault-helm#209; kubernetes-sigs/aws-load-balancer-controller#1276",
	},
	{
		ID: "nacl-return-path", Layer: LayerSocket, Title: "answers do not get out of the network",
		Because: "The load balancer's packets arrive, but the answers to them are dropped on the way out: network ACLs keep no state and need a rule of their own for ports 1024-65535.",
		Source:  `ELB guide, "A network access control list (ACL) does not allow traffic"`,
	},
	{
		ID: "firewall-reject", Layer: LayerSocket, Title: "a firewall rejects the connection",
		Because: "The machine's firewall refuses connections to port {{.Port}}, though a program listens there.",
		Source:  "seen with nftables",
	},
	{
		ID: "cloud-probe-ranges-blocked", Layer: LayerSocket, Title: "the cloud's probers are not let in",
		Because: "The cloud sends its probes from address ranges of its own, not from the load balancer's address, and the firewall does not admit them.",
		Source:  "kubernetes/kubernetes#40778; terraform-google-modules/terraform-google-lb-http#2; kubernetes/kubernetes#20555",
	},
	{
		ID: "ecs-dynamic-port-sg", Layer: LayerSocket, Title: "the security group does not admit dynamic ports",
		Because: "With dynamic port mapping each task gets a port from 32768 up, and the instance's security group admits fixed ports only.",
		Source:  "wellcomecollection/wellcomecollection.org#104; hashicorp/vault-helm#209",
	},
	{
		ID: "listen-backlog-full", Layer: LayerSocket, Title: "the queue of new connections is full",
		Because: "Connections come faster than {{.Program}} takes them up; the queue is full, and the kernel drops new ones without an answer, as a firewall would.",
		Source:  "seen with uWSGI 2.0",
	},
	{
		ID: "worker-exhaustion", Layer: LayerSocket, Title: "all workers are busy",
		Because: "Every worker of {{.Program}} is in a slow request; the probe waits in line until its time is up.",
		Source:  "benoitc/gunicorn#1417; benoitc/gunicorn#2467; harvard-lil/perma#3855",
	},
	{
		ID: "idle-connection-holds-sync-worker", Layer: LayerSocket, Title: "an idle connection holds the only worker",
		Because: "A client connected and sent nothing, and a worker that serves one connection at a time waits for it while the probe waits behind.",
		Source:  "benoitc/gunicorn#1194; seen with gunicorn 20.1",
	},
	{
		ID: "event-loop-blocked", Layer: LayerSocket, Title: "the event loop is blocked",
		Because: "One thread answers everything, and it is computing: until it is done, nobody is answered, not even the probe.",
		Source:  "broadinstitute/gnomad-browser#1958; seen with Express 4",
	},
	{
		ID: "fd-exhaustion", Layer: LayerSocket, Title: "the process has no file descriptors left",
		Because: "As many files and connections are open in {{.Program}} as its limit allows; the kernel accepts the probe's connection, but nobody can take it up.",
		Source:  "seen with Go 1.26",
	},
	{
		ID: "docker-published-app-on-loopback", Layer: LayerSocket, Title: "the app listens on the container's 127.0.0.1",
		Because: "Docker takes the connection and passes it into the container, where the app listens on the container's own loopback address only, so it is closed at once.",
		Source:  "TheHoltz/errex#14",
	},
	{
		ID: "docker-port-not-published", Layer: LayerSocket, Title: "the container's port is not published",
		Because: "The app listens inside its container, and nothing makes port {{.Port}} of this machine lead there: EXPOSE alone does not.",
		Source:  "Docker guide, published ports",
	},
	{
		ID: "proxy-protocol-expected", Layer: LayerFirstBytes, Title: "the port expects a PROXY header",
		Because: "The listener wants each connection to begin with a PROXY protocol header, and health checks do not send one.",
		Source:  "seen with nginx 1.22, Apache 2.4 and HAProxy 2.6",
	},
	{
		ID: "wrong-application-protocol", Layer: LayerFirstBytes, Title: "the port does not speak HTTP",
		Because: "On port {{.Port}} another protocol than HTTP is spoken, such as uwsgi, AJP or a database's, and the probe is dropped as nonsense.",
		Source:  "seen with uWSGI 2.0 and Tomcat 10.1",
	},
}

// helloModes are faults of TLS and of the version of HTTP.
var helloModes = []Mode{
	{
		ID: "http-to-https-port", Layer: LayerFirstBytes, Title: "plain HTTP is sent to an HTTPS port",
		Because: "Port {{.Port}} speaks TLS, and the health check is set to plain HTTP.",
		Source:  "kubernetes-sigs/aws-load-balancer-controller#632; ELB guide, troubleshooting",
	},
	{
		ID: "https-to-http-port", Layer: LayerFirstBytes, Title: "TLS is sent to a plain HTTP port",
		Because: "Port {{.Port}} speaks plain HTTP, and the health check is set to HTTPS.",
		Source:  "kubernetes-sigs/aws-load-balancer-controller#3163; kubernetes-sigs/aws-load-balancer-controller#1395",
	},
	{
		ID: "tls-sni-required", Layer: LayerFirstBytes, Title: "the server wants a server name in TLS",
		Because: "The server has no certificate for a client that names no site (SNI), and a load balancer connects by address and names none.",
		Source:  "seen with nginx 1.22, HAProxy 2.6, Caddy 2.6 and Apache 2.4",
	},
	{
		ID: "tls-version-mismatch", Layer: LayerFirstBytes, Title: "no TLS version in common",
		Because: "The server and the health check share no version of TLS; checks of a Network Load Balancer cannot do TLS 1.3 alone.",
		Source:  `NLB guide, "Health checks for your target groups"; seen with nginx 1.22`,
	},
	{
		ID: "tls-client-cert-required", Layer: LayerFirstBytes, Title: "the server wants a client certificate",
		Because: "The port answers only who shows a certificate of its own (mutual TLS), and health checks have none.",
		Source:  "seen with nginx 1.22 and Go 1.26",
	},
	{
		ID: "lb-validates-certificate", Layer: LayerFirstBytes, Title: "the certificate does not stand the prober's test",
		Because: "This prober checks the certificate, and it is expired, for another name, not trusted, or one of the two clocks is wrong.",
		Source:  `ELB guide, target groups; Route 53 guide, "How Route 53 determines whether a health check is healthy"`,
	},
	{
		ID: "http2-only-listener", Layer: LayerFirstBytes, Title: "the port speaks HTTP/2 only",
		Because: "Port {{.Port}} speaks HTTP/2 from the first byte, and the health check asks in HTTP/1.1.",
		Source:  "kubernetes-sigs/aws-load-balancer-controller#2694; kubernetes-sigs/aws-load-balancer-controller#4052",
	},
	{
		ID: "protocol-version-mismatch-464", Layer: LayerFirstBytes, Title: "the target group has the wrong protocol version",
		Because: "The target group's protocol version (HTTP1, HTTP2 or GRPC) is not what the app or its clients speak; the load balancer answers 464.",
		Source:  `ELB guide, "HTTP 464"`,
	},
	{
		ID: "grpc-health-code", Layer: LayerAcceptance, Title: "the gRPC status is not the expected one",
		Because: "The health check calls a gRPC method and expects one status; the server answers with another, as it does for a method that it does not have.",
		Source:  "kubernetes-sigs/aws-load-balancer-controller#1698; kubernetes-sigs/aws-load-balancer-controller#2804; grpc/grpc-node#1764",
	},
	{
		ID: "mesh-mtls-strict", Layer: LayerFirstBytes, Title: "the service mesh lets only its members in",
		Because: "The pod's sidecar wants mutual TLS from every caller (STRICT), and the prober is not part of the mesh.",
		Source:  "istio/istio#53786; istio/istio#41010; istio/istio#16110",
	},
}
