// Package checktype is the table of the check types that hale.yaml knows. A
// new type is a package under checks/ and a row here.
package checktype

import (
	"hale/checks"
	"hale/checks/amqp"
	"hale/checks/celery"
	"hale/checks/certificate"
	"hale/checks/clock"
	"hale/checks/credentials"
	"hale/checks/disk"
	"hale/checks/dns"
	"hale/checks/elasticsearch"
	"hale/checks/env"
	"hale/checks/exec"
	"hale/checks/file"
	"hale/checks/files"
	"hale/checks/grpc"
	"hale/checks/gunicorn"
	"hale/checks/http"
	"hale/checks/kafka"
	"hale/checks/ldap"
	"hale/checks/load"
	"hale/checks/memcached"
	"hale/checks/memory"
	"hale/checks/migrations"
	"hale/checks/mongodb"
	"hale/checks/nats"
	"hale/checks/nginx"
	"hale/checks/page"
	"hale/checks/phpfpm"
	"hale/checks/port"
	"hale/checks/process"
	"hale/checks/redis"
	"hale/checks/smtp"
	"hale/checks/sql"
	"hale/checks/ssh"
	"hale/checks/storage"
	"hale/checks/systemd"
	"hale/checks/tcp"
	"hale/checks/uwsgi"
	"hale/checks/websocket"
)

// Type is one row: a type of check.
type Type struct {
	Name    string // as written in hale.yaml
	Summary string // what it asks, in a sentence

	// New returns a pointer to the type's options with the site's defaults in
	// place, for the configuration to fill in by their yaml tags. What Validate
	// says of a value, it says in double quotes: a value from the environment is
	// found by them and hidden.
	New func(Site) checks.Check
}

// Site is what a check may take for granted about the app it is to check.
type Site struct {
	AppURL string // where the app answers, as app.url; empty for a sidecar
	Host   string // the app's public name, from hosts.allow; may be empty
	Dir    string // directory of hale.yaml, to which relative file names relate

	// Lookup finds a variable of the app's environment; nil means that of this
	// process.
	Lookup func(name string) (value string, ok bool)

	// Environ returns the variables, as NAME=value, that the app has beside those
	// of this process; nil means none.
	Environ func() []string

	User string // that the app runs as, as app.user; empty for this process's
}

// Types returns the table, in the order in which it is to be shown.
func Types() []Type {
	return []Type{
		{"sql", "A database answers a query, as it should where that is said: PostgreSQL, MySQL, MariaDB, SQLite.", func(s Site) checks.Check { return &sql.Check{Dir: s.Dir} }},
		{"page", "The app answers for a page as it should, asked in the way of a user behind the load balancer.", func(s Site) checks.Check { return &page.Check{URL: s.AppURL, Host: s.Host} }},
		{"http", "Another service answers over HTTP as it should.", func(s Site) checks.Check { return &http.Check{Dir: s.Dir} }},
		{"tcp", "A TCP port, or a unix socket, takes connections, and says what is expected.", func(Site) checks.Check { return &tcp.Check{} }},
		{"exec", "A program ends with exit code 0; 1 warns, as Nagios plugins do.", func(s Site) checks.Check { return &exec.Check{Dir: s.Dir} }},
		{"env", "Environment variables are set, and look as they should.", func(s Site) checks.Check { return &env.Check{Lookup: s.Lookup} }},
		{"file", "A file is there, or is not; holds what it should; is not too old.", func(s Site) checks.Check { return &file.Check{Dir: s.Dir} }},
		{"disk", "A file system has room and inodes, and can be written to.", func(Site) checks.Check { return &disk.Check{} }},
		{"memory", "The machine, or the control group that this process is in, has memory left; swap and pressure, too.", func(Site) checks.Check { return &memory.Check{} }},
		{"migrations", "No migration of the database is unapplied: Django, Rails, Alembic, Flyway, Liquibase, Prisma and others.", func(s Site) checks.Check {
			return &migrations.Check{Dir: s.Dir, Lookup: s.Lookup, Environ: s.Environ, User: s.User}
		}},
		{"redis", "A Redis or Valkey server answers, takes a key, and has the role and the memory that it should.", func(s Site) checks.Check { return &redis.Check{Dir: s.Dir} }},
		{"memcached", "A memcached server answers, takes an item, and has connections left.", func(s Site) checks.Check { return &memcached.Check{Dir: s.Dir} }},
		{"celery", "Enough Celery workers answer; their queues are consumed, and move; a periodic task has succeeded lately.", func(s Site) checks.Check { return &celery.Check{Dir: s.Dir} }},
		{"amqp", "RabbitMQ, or another AMQP 0-9-1 broker, takes messages; its queues are there, not too long, and consumed.", func(s Site) checks.Check { return &amqp.Check{Dir: s.Dir} }},
		{"kafka", "A Kafka cluster has its brokers, topics and leaders, and a group of consumers keeps up.", func(s Site) checks.Check { return &kafka.Check{Dir: s.Dir} }},
		{"nats", "A NATS server answers; its streams are there, and their consumers keep up.", func(s Site) checks.Check { return &nats.Check{Dir: s.Dir} }},
		{"mongodb", "A MongoDB member with the right role answers; enough members do, and secondaries keep up.", func(s Site) checks.Check { return &mongodb.Check{Dir: s.Dir} }},
		{"elasticsearch", "An Elasticsearch or OpenSearch cluster, or an index of it, is green, and large enough.", func(s Site) checks.Check { return &elasticsearch.Check{Dir: s.Dir} }},
		{"storage", "A bucket that speaks the S3 API, or a directory, can be listed, or takes, returns and deletes an object.", func(s Site) checks.Check { return &storage.Check{Dir: s.Dir, Lookup: s.Lookup} }},
		{"smtp", "A mail server talks, encrypts, and takes the login; no mail is sent.", func(s Site) checks.Check { return &smtp.Check{Dir: s.Dir} }},
		{"ldap", "A directory accepts the login, and has an entry.", func(s Site) checks.Check { return &ldap.Check{Dir: s.Dir} }},
		{"ssh", "An SSH server greets, and has the host key that it should.", func(Site) checks.Check { return &ssh.Check{} }},
		{"grpc", "A gRPC server calls itself, or one of its services, healthy.", func(s Site) checks.Check { return &grpc.Check{Dir: s.Dir} }},
		{"websocket", "A server, or the app as a user asks for it, opens a WebSocket and answers.", func(s Site) checks.Check { return &websocket.Check{App: s.AppURL, AppHost: s.Host, Dir: s.Dir} }},
		{"dns", "A name resolves, to what it should, by the system's resolver or a given name server.", func(Site) checks.Check { return &dns.Check{} }},
		{"certificate", "A TLS certificate, of a server or in a file, is good for its names, trusted, and does not end soon.", func(s Site) checks.Check { return &certificate.Check{Dir: s.Dir} }},
		{"clock", "The machine's clock is right, by NTP servers, or kept right by a time service.", func(Site) checks.Check { return &clock.Check{} }},
		{"load", "The processors keep up: load, time stolen by the hypervisor, the container's CPU limit.", func(Site) checks.Check { return &load.Check{} }},
		{"files", "Files and connections can still be opened: those of the machine and of a program against their limits.", func(s Site) checks.Check { return &files.Check{Dir: s.Dir} }},
		{"process", "A program runs, as often as it should: by name, command line or pid file.", func(s Site) checks.Check { return &process.Check{Dir: s.Dir} }},
		{"systemd", "Units of systemd are active, and were not restarted a moment ago; timers have run.", func(s Site) checks.Check { return &systemd.Check{Lookup: s.Lookup} }},
		{"port", "Something listens on a port or unix socket of this machine, on the right address, and accepts what comes.", func(Site) checks.Check { return &port.Check{} }},
		{"uwsgi", "uWSGI has workers and an app, and the queue in front of them has room; busy warns first.", func(Site) checks.Check { return &uwsgi.Check{} }},
		{"gunicorn", "gunicorn has its workers, and the queue in front of them has room; busy warns first.", func(s Site) checks.Check { return &gunicorn.Check{Dir: s.Dir} }},
		{"phpfpm", "A pool of PHP-FPM has workers left, and the queue in front of them has room; busy warns first.", func(s Site) checks.Check { return &phpfpm.Check{Dir: s.Dir} }},
		{"nginx", "nginx answers, drops no connection, and serves no more of them than it should.", func(s Site) checks.Check { return &nginx.Check{Dir: s.Dir} }},
		{"credentials", "AWS credentials are there, of the right role, and good for long enough.", func(s Site) checks.Check { return &credentials.Check{Lookup: s.Lookup} }},
	}
}
