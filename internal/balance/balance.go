// Package balance is one `hale balance` from start to end: the balancer and the
// instances behind it, configuration and certificates, the API, the admin address,
// logs, reload, and how one process takes the place of another.
package balance

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"hale/internal/autoscaling/api"
	"hale/internal/autoscaling/host"
	"hale/internal/balancer"
	"hale/internal/balancer/admin"
	"hale/internal/balancer/certificate"
	"hale/internal/balancer/configuration"
	"hale/internal/elbapi"
	"hale/internal/elbapi/query"
	"hale/internal/handover"
	"hale/internal/systemd"
	"hale/internal/yamlfile"
)

// Options are what Run needs from outside.
type Options struct {
	// ConfigFile is the configuration; empty: none, and what an earlier one made
	// stays.
	ConfigFile string
	// StateDir, API and Admin come before what the file says, if they are not empty.
	StateDir, API, Admin string
	// TakeOver takes the place of the balancer that has the state directory, if
	// there is one.
	TakeOver bool

	Env            func(name string) (value string, ok bool)
	Stdout, Stderr io.Writer // of the access log
	Logger         *slog.Logger

	// Stop brings the signals that end, SIGTERM and SIGINT; the second one ends at
	// once. Reload brings SIGHUP.
	Stop, Reload <-chan os.Signal

	// Ready is told the addresses once all is served; admin is nil without one. Nil
	// is fine.
	Ready func(api, admin net.Addr)
}

// inFlight is how long requests in flight have to end.
const inFlight = 30 * time.Second

// Run serves until it is told to stop, or a successor has taken over. Its error
// means that it could not begin, or not go on.
func Run(ctx context.Context, o Options) (err error) {
	s, err := open(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	return s.run(ctx)
}

// server is a hale balance from start to end.
type server struct {
	options  Options
	logger   *slog.Logger
	file     *configuration.File // the one in force
	stateDir string              // empty: nothing is kept

	sockets      handover.Sockets
	predecessor  *handover.Predecessor
	certificates certificate.Store
	accessLog    *accessLog // nil without one
	balancer     *balancer.Balancer
	instances    *host.Host // the balancer's; nil where that is
	down         bool       // both are

	api              *apiHandler  // of apiEnd
	page             http.Handler // of adminEnd
	apiEnd, adminEnd *endpoint
	serving          sync.WaitGroup
	failed           chan error // of a server that ended by itself

	// background is what goes on beside, until cancel: watching certificates, waiting
	// for a successor, ending of endpoints that have moved.
	background sync.WaitGroup
	beside     context.Context //nolint:containedctx // of goroutines that begin later
	cancel     context.CancelFunc
}

// open does all that can fail before anything is served by this process alone.
func open(ctx context.Context, o Options) (_ *server, err error) {
	s := &server{options: o, logger: o.Logger, api: newAPIHandler(), failed: make(chan error, 1)}
	s.beside, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.certificates.Log = o.Logger
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
			s.predecessor.Abandon() // which needs the state directory for itself
		}
	}()
	if s.file, err = s.load(); err != nil {
		return nil, err
	}
	if s.stateDir, err = stateDirectory(s.file, o); err != nil {
		return nil, err
	}
	if err = s.readCertificates(); err != nil {
		return nil, err
	}
	if s.accessLog, err = openAccessLog(s.file.AccessLog, o); err != nil {
		return nil, err
	}
	if err = inherit(&s.sockets); err != nil {
		return nil, err
	}
	if err = s.openBalancer(ctx); err != nil {
		return nil, err
	}
	if err = s.apply(ctx, s.file); err != nil {
		return nil, err
	}
	if err = s.certificates.Use(kept(s.balancer.Inventory(), s.stateDir)); err != nil {
		return nil, err
	}
	return s, s.serve(ctx)
}

// openBalancer opens the balancer and the host of its instances, after it has taken
// over what another process has. That one may have begun a moment ago, and not offer
// it yet.
func (s *server) openBalancer(ctx context.Context) error {
	options := balancer.Options{
		StateDir: s.stateDir, Place: s.file.Place(), Certificates: &s.certificates, Log: s.logger, Sockets: &s.sockets,
	}
	for until := time.Now().Add(offering); ; {
		err := s.takeOver(ctx)
		if err != nil {
			return err
		}
		if err := s.readCertificates(); err != nil { // the state may have changed until now
			return err
		}
		if err = s.openBoth(options); err == nil {
			return nil
		}
		if !s.options.TakeOver || s.predecessor != nil || time.Now().After(until) {
			return err
		}
		select {
		case <-time.After(offering / 50):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// offering is how long a process may take from its start until it offers its
// sockets.
const offering = 5 * time.Second

// takeOver takes the sockets of the process that has the state directory.
func (s *server) takeOver(ctx context.Context) (err error) {
	if !s.options.TakeOver {
		return nil
	}
	if s.stateDir == "" {
		return errors.New("--take-over: without a state directory there is nothing to take over; leave --state off out")
	}
	s.predecessor, err = s.sockets.Take(ctx, s.stateDir)
	return err
}

// serve begins to answer at the API's address and the admin address, and to run
// instances once nobody else does.
func (s *server) serve(ctx context.Context) error {
	s.page = withHealth(admin.New(s.balancer, s.instances))
	for _, e := range []struct {
		key     string
		address yamlfile.Address
		handler http.Handler
		end     **endpoint
	}{{"API", s.file.API, s.api, &s.apiEnd}, {"Admin", s.file.Admin, s.page, &s.adminEnd}} {
		l, err := s.listen(ctx, e.key, e.address, nil)
		if err != nil {
			return err
		}
		*e.end = s.begin(e.key, l, e.handler)
	}
	s.sockets.CloseRest()
	if err := s.predecessor.Ready(); err != nil {
		s.logger.Warn("the process before could not be told that it is succeeded", "error", err)
	}
	s.instances.Start(host.Over(s.balancer))
	if err := s.scale(s.file); err != nil {
		return err
	}
	s.api.use(s.newAPI(s.file))
	s.logger.Info("serving", "api", addressText(s.apiEnd.addr()), "admin", addressText(s.adminEnd.addr()), "state", s.stateDir,
		"load_balancers", len(s.balancer.Inventory().LoadBalancers), "target_groups", len(s.balancer.Inventory().Groups))
	if s.options.Ready != nil {
		s.options.Ready(s.apiEnd.addr(), s.adminEnd.addr())
	}
	return nil
}

func addressText(a net.Addr) string {
	if a == nil {
		return "off"
	}
	return a.String()
}

// newAPI returns the handler of the API, with a file's credentials.
func (s *server) newAPI(file *configuration.File) http.Handler {
	secrets := make(map[string]string)
	for _, c := range file.Credentials {
		secrets[c.AccessKeyID] = string(c.SecretAccessKey)
	}
	return elbapi.New(elbapi.Options{
		Balancer: s.balancer, Metrics: s.balancer, Services: []query.Service{api.Service(s.instances)}, Secrets: secrets, Log: s.logger,
	})
}

// run goes on until it is to end.
func (s *server) run(ctx context.Context) error {
	systemd.Notify(s.logger, daemon.SdNotifyReady)
	defer context.AfterFunc(ctx, s.cancel)()
	s.background.Go(func() { systemd.Watchdog(s.beside, s.logger) })
	s.background.Go(func() { s.certificates.Watch(s.beside) })
	succeeded := make(chan struct{})
	if s.stateDir != "" {
		s.background.Go(func() {
			taken, err := s.sockets.Offer(s.beside, s.stateDir, s.pause, s.resume)
			if err != nil {
				s.logger.Warn("no other process can take over from this one", "error", err)
			}
			if taken {
				close(succeeded)
			}
		})
	}
	for {
		select {
		case <-s.options.Reload:
			s.reload(ctx)
		case sig := <-s.options.Stop:
			s.logger.Info("ending", "because", sig.String())
			return s.shutdown(ctx)
		case <-succeeded:
			s.logger.Info("ending", "because", "another process has taken over")
			return s.shutdown(ctx)
		case err := <-s.failed:
			return errors.Join(err, s.shutdown(ctx))
		case <-ctx.Done():
			return s.shutdown(context.WithoutCancel(ctx))
		}
	}
}

// pause has nothing changed from now on, until resume.
func (s *server) pause() error {
	if err := s.balancer.Pause(); err != nil {
		return err
	}
	if err := s.instances.Pause(); err != nil {
		return errors.Join(err, s.balancer.Resume())
	}
	return nil
}

func (s *server) resume() {
	if err := errors.Join(s.instances.Resume(), s.balancer.Resume()); err != nil {
		s.logger.Error("the handing over came to nothing, and changes are refused from now on", "error", err)
	}
}

// shutdown ends all in order. Requests in flight have time to end, and then
// instances that do not go on; a second signal cuts both.
func (s *server) shutdown(ctx context.Context) error {
	systemd.Notify(s.logger, daemon.SdNotifyStopping)
	whole, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	ctx, cancel := context.WithTimeout(whole, inFlight)
	defer cancel()
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-s.options.Stop:
			cut()
		case <-ended:
		}
	}()
	s.apiEnd.shutdown(ctx)
	s.adminEnd.shutdown(ctx)
	s.down = true
	_ = s.instances.Pause() // so they stay for the last requests; refused where a successor has them
	err := s.balancer.Shutdown(ctx)
	defer func() { _ = s.instances.Close(whole) }() // it never fails
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		s.logger.Warn("requests in flight were cut")
		return nil
	}
	return err
}

// close gives back what is left.
func (s *server) close() error {
	s.cancel()
	ended, end := context.WithCancel(context.Background())
	end()
	s.apiEnd.shutdown(ended)
	s.adminEnd.shutdown(ended)
	s.serving.Wait()
	if s.balancer != nil && !s.down {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.instances.Close(ctx)
		_ = s.balancer.Shutdown(ctx) // what it has begun is cut
	}
	s.background.Wait()
	s.sockets.CloseRest()
	return s.accessLog.close()
}
