// Gosite runs the guest book of package site with all that a load balancer
// wants of it in the same process: the health answer, the check of hosts, the
// redirect to https and draining. There is no proxy in front.
//
//	go run ./examples/gosite -hosts mysite.com
//	curl -i -H 'Host: 10.0.1.23:8080' 127.0.0.1:8080/health
//	curl -i -H 'Host: mysite.com' -H 'X-Forwarded-Proto: https' 127.0.0.1:8080/
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"hale/examples/gosite/site"
	"hale/gateway"
	"hale/health"
)

type options struct {
	listen string
	dir    string
	hosts  []string
	notice time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.listen, "listen", "127.0.0.1:8080", "`address` to listen on")
	flag.StringVar(&o.dir, "dir", "guestbook", "`directory` of the database and the journal")
	hosts := flag.String("hosts", "mysite.com,.mysite.com", "public `names` of the site, comma separated")
	flag.DurationVar(&o.notice, "notice", 25*time.Second,
		"`time` to go on serving after SIGTERM: the load balancer's unhealthy threshold x interval, plus one interval")
	flag.Parse()
	o.hosts = strings.Split(*hosts, ",")

	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	ready := func(a net.Addr) { log.Info("serving", "address", a.String()) }
	if err := run(ctx, o, log, ready); err != nil {
		fmt.Fprintln(os.Stderr, "gosite:", err)
		os.Exit(1)
	}
}

// run serves until ctx is done, and then until the site has drained.
func run(ctx context.Context, o options, log *slog.Logger, ready func(net.Addr)) (err error) {
	app, err := site.New(ctx, site.Options{Dir: o.dir, Logger: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, app.Close()) }()

	// The health answer: the app's checks run in the background, and a request
	// reads what they found.
	monitor, err := health.NewMonitor(health.Options{Logger: log}, app.Checks()...)
	if err != nil {
		return err
	}
	answer, err := health.NewHandler(monitor, health.HandlerOptions{Details: health.DetailsPrivate})
	if err != nil {
		return err
	}

	// The gateway: /health is answered whatever the Host and the scheme, all
	// else has to name a public host and come by https.
	gate, err := gateway.New(gateway.Settings{
		Hosts:        o.hosts,
		HostsSetting: "-hosts",
		Redirect:     http.StatusMovedPermanently,
		HSTS:         gateway.HSTS{MaxAge: time.Minute},
		NoSniff:      true,
		FrameOptions: "DENY",
	})
	if err != nil {
		return err
	}

	// The checks go on until the last request is answered.
	checking, stopChecks := context.WithCancel(context.WithoutCancel(ctx))
	checked := make(chan error, 1)
	go func() { checked <- monitor.Run(checking) }()
	defer func() {
		stopChecks()
		err = errors.Join(err, <-checked)
	}()
	return serve(ctx, o, gate.Middleware(answer, app), monitor, ready)
}

// serve answers requests until ctx is done. Then it fails the health answer,
// goes on while the load balancer notices, and finishes what is in flight.
func serve(ctx context.Context, o options, h http.Handler, monitor *health.Monitor, ready func(net.Addr)) error {
	var open net.ListenConfig
	listener, err := open.Listen(ctx, "tcp", o.listen)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       75 * time.Second, // longer than the load balancer keeps a connection
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	ready(listener.Addr())

	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	monitor.Drain("the process was told to stop")
	time.Sleep(o.notice)
	finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return server.Shutdown(finish)
}
