// Package config reads hale.yaml. One reading reports every mistake, each with
// its file, line and column, the key, what was seen and the way out.
//
// The structs below are the only place where a key is named: the decoder, the
// JSON schema and the tables of docs/configuration.md are all made from their
// tags and comments. The tag `yaml:"key,off"` says that the word "off" is
// accepted too and means the zero value; `jsonschema` holds the default, the
// allowed words and the bounds.
package config

import (
	"net/netip"
	"time"

	"hale/checks"
	"hale/health"
)

//go:generate go run hale/internal/config/reference/write

// Config is a whole hale.yaml, with defaults filled in. File names in it are
// absolute or relative to the working directory; in hale.yaml they are relative
// to the directory of hale.yaml itself.
type Config struct {
	// File is where the configuration was read from.
	File string `yaml:"-" jsonschema:"-"`

	// Address on which requests from the load balancer and from users are answered, as host:port or :port.
	Listen Address `yaml:"listen" jsonschema:"default=:8080"`
	// Address of metrics, the status page and draining. Keep it on loopback or on a private network: whoever reaches it can take the instance out of service.
	Admin Address `yaml:"admin,off" jsonschema:"default=127.0.0.1:8086"`
	// Where the access log goes, one line of JSON for each request: a file, stdout, stderr or off. Health requests have a log of their own (health.log).
	AccessLog LogTarget `yaml:"access_log,off" jsonschema:"default=stdout"`

	// The app behind Hale, and how to run it.
	App App `yaml:"app"`
	// The names under which the app may be asked for.
	Hosts Hosts `yaml:"hosts"`
	// How plain HTTP is sent on to HTTPS, and who may say that a request came over HTTPS.
	HTTPS HTTPS `yaml:"https"`
	// Security headers that are added to the app's answers.
	Headers Headers `yaml:"headers"`
	// How much and how long a request may take.
	Limits Limits `yaml:"limits"`
	// How an instance leaves the load balancer without losing a request.
	Drain Drain `yaml:"drain"`
	// How Hale learns which instance it runs on.
	Instance Instance `yaml:"instance"`
	// The health answer and the checks behind it.
	Health Health `yaml:"health"`
}

// App is the app behind Hale. Without a URL nothing is proxied: Hale is a
// sidecar that only answers for the app's health.
type App struct {
	// Where the app answers: http://host:port, unix:///path for HTTP on a unix socket, uwsgi://host:port or uwsgi+unix:///path for the uwsgi protocol. Absent: Hale proxies nothing and only answers health requests (sidecar).
	URL AppURL `yaml:"url"`
	// Longest time to wait for a connection to the app; then 504. Where it is refused, 502 at once.
	ConnectTimeout time.Duration `yaml:"connect_timeout" jsonschema:"default=5s,exclusiveMinimum=0"`
	// Longest time from the end of the request to the first byte of the app's answer; then 504. The default is the ELBs' own idle time-out, after which nobody is waiting any more.
	ResponseTimeout time.Duration `yaml:"response_timeout" jsonschema:"default=60s,exclusiveMinimum=0"`
	// Command that runs the app as Hale's child, as a list of words. No shell reads it. Absent: something else runs the app.
	Command []string `yaml:"command"`
	// Commands to run in order before the app starts, such as migrations. The first that fails stops everything.
	Before Steps `yaml:"before"`
	// File of KEY=value lines as a shell would source them. Its variables are given to the app and to the commands before it, and ${NAME} in this file sees them as well.
	EnvFile string `yaml:"env_file"`
	// Variables without which the app must not start. All missing ones are named in one message.
	RequireEnv []string `yaml:"require_env"`
	// User that the app and the commands before it run as. Absent: Hale's own. Needs root.
	User string `yaml:"user"`
	// What to do when the app ends by itself: never means that Hale ends too, with the app's exit code; on-failure starts it again after a failure, with growing pauses.
	Restart string `yaml:"restart" jsonschema:"enum=never,enum=on-failure,default=never"`
	// Time that the app has to end after SIGTERM; then SIGKILL.
	StopTimeout time.Duration `yaml:"stop_timeout" jsonschema:"default=10s,exclusiveMinimum=0"`
}

// Values of App.Restart.
const (
	RestartNever     = "never"
	RestartOnFailure = "on-failure"
)

// Hosts says which Host headers are accepted; others are answered 400.
type Hosts struct {
	// Names, addresses and networks under which the app may be asked for. ".example.com" is example.com and all its subdomains, "*" is any; with a port ("example.com:8443") only that port is allowed. Absent: any.
	Allow []HostPattern `yaml:"allow"`
	// Whether the instance's own addresses are allowed as well, for load balancers that put them into the Host header: auto finds them (EC2 and ECS metadata, network interfaces), file:PATH reads them from a file, off allows none.
	InstanceAddress InstanceAddress `yaml:"instance_address,off" jsonschema:"default=auto"`
}

// HTTPS says how requests that reached the load balancer over plain HTTP are
// sent on to HTTPS.
type HTTPS struct {
	// Status with which a plain HTTP request is sent to the https address: GET and HEAD get this one, other methods the one of 307 and 308 that keeps the method. off sends nobody on. Health requests are never sent on.
	Redirect int `yaml:"redirect,off" jsonschema:"enum=301,enum=302,enum=307,enum=308"`
	// Networks whose X-Forwarded-For, X-Forwarded-Proto and Forwarded headers are believed; from all other peers they are removed. The default is loopback, the private networks of RFC 1918 and RFC 4193, the shared space of RFC 6598 and the link-local ones: a load balancer in the same network.
	TrustedProxies []netip.Prefix `yaml:"trusted_proxies" jsonschema:"default=127.0.0.0/8,default=10.0.0.0/8,default=172.16.0.0/12,default=192.168.0.0/16,default=100.64.0.0/10,default=169.254.0.0/16,default=::1/128,default=fc00::/7,default=fe80::/10"`
	// Strict-Transport-Security (RFC 6797): how long browsers shall use https alone. Sent over https only. Begin with 60s; a year is 8760h.
	HSTS time.Duration `yaml:"hsts,off" jsonschema:"minimum=1s"`
}

// Headers are the security headers added to answers that lack them.
type Headers struct {
	// Adds X-Content-Type-Options: nosniff, so that browsers do not guess the type of a file.
	NoSniff bool `yaml:"nosniff" jsonschema:"default=true"`
	// Adds X-Frame-Options, which says who may show the site in a frame: nobody (DENY) or the site itself (SAMEORIGIN).
	FrameOptions string `yaml:"frame_options,off" jsonschema:"enum=DENY,enum=SAMEORIGIN"`
	// Adds Referrer-Policy, which says how much of an address browsers tell other sites, such as same-origin.
	ReferrerPolicy ReferrerPolicy `yaml:"referrer_policy,off"`
}

// Limits bound what one client can take.
type Limits struct {
	// Largest request line and headers together; then 431. A request line over 16 KiB alone is 414. An Application Load Balancer passes 64 KiB at most.
	HeaderSize checks.Size `yaml:"header_size" jsonschema:"default=64KiB,minimum=4KiB,maximum=16MiB"`
	// Largest request body; then 413. off sets no bound.
	BodySize checks.Size `yaml:"body_size,off" jsonschema:"default=1GiB"`
	// Longest time from the first byte of a request's headers to their last; then 408. A connection on which nothing was sent yet is idle (idle_timeout).
	HeaderTimeout time.Duration `yaml:"header_timeout" jsonschema:"default=10s,exclusiveMinimum=0"`
	// Longest pause within a request's body; then 408.
	BodyTimeout time.Duration `yaml:"body_timeout" jsonschema:"default=60s,exclusiveMinimum=0"`
	// How long an idle connection is kept. Longer than the load balancer keeps it (60 s for ELB), or it will send a request into a connection that is being closed, and answer 502.
	IdleTimeout time.Duration `yaml:"idle_timeout" jsonschema:"default=75s,exclusiveMinimum=0"`
}

// Drain says how long leaving takes: SIGTERM fails the health answer at once,
// serving goes on for Notice, then what is in flight has Finish to end.
type Drain struct {
	// How long to go on serving after the health answer turned to fail, so that the load balancer notices: its unhealthy threshold x interval, plus one interval.
	Notice time.Duration `yaml:"notice" jsonschema:"default=25s"`
	// How long requests in flight may then take to end.
	Finish time.Duration `yaml:"finish" jsonschema:"default=30s"`
}

// Instance says how Hale learns which instance it runs on.
type Instance struct {
	// Whether the metadata services of EC2 and ECS are asked; off looks at the network interfaces alone.
	Metadata string `yaml:"metadata" jsonschema:"enum=auto,enum=off,default=auto"`
	// How often the answer is refreshed, since addresses may change.
	Refresh time.Duration `yaml:"refresh" jsonschema:"default=60s,minimum=1s"`
}

// Values of Instance.Metadata.
const (
	MetadataAuto = "auto"
	MetadataOff  = "off"
)

// Health is the health answer and the checks behind it.
type Health struct {
	// Path of the health answer, with and without a slash at its end. It is exempt from hosts and https; below it are /live, /ready, /startup, /checks/NAME and the profiles of checks.
	Path HealthPath `yaml:"path" jsonschema:"default=/health"`
	// Status of a failing health answer.
	FailStatus int `yaml:"fail_status" jsonschema:"default=503,minimum=400,maximum=599"`
	// Where health requests are logged: a file, stdout, stderr or off.
	Log LogTarget `yaml:"log,off" jsonschema:"default=stderr"`
	// Who may see the names and the outputs of checks: never, loopback (requests from this machine), private (from private networks), always, or else a token of at least 16 characters that a request must bring as "Authorization: Bearer TOKEN".
	Details Details `yaml:"details" jsonschema:"default=private"`
	// What the failure of a check with scope shared does: fail takes the instance out of service as any failure does, warn only warns, so that a database that is down for everybody does not take every instance out.
	SharedFailure health.SharedFailure `yaml:"shared_failure" jsonschema:"enum=fail,enum=warn,default=fail"`
	// Keys that several checks have in common, by a name that the key template of a check gives.
	Templates Templates `yaml:"templates"`
	// What must work for this instance to be healthy.
	Checks []Check `yaml:"checks"`
}
