package balance

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/coreos/go-systemd/v22/daemon"

	"hale/internal/balancer/configuration"
	"hale/internal/balancer/inventory"
	"hale/internal/systemd"
)

// reload reads the configuration again, and reopens the logs. What is wrong leaves
// all as it was.
func (s *server) reload(ctx context.Context) {
	systemd.NotifyReloading(s.logger)
	defer systemd.Notify(s.logger, daemon.SdNotifyReady)
	if err := s.accessLog.reopen(); err != nil {
		s.logger.Error("the access log could not be reopened: the old file is written on", "error", err)
	}
	s.certificates.Look()
	if s.options.ConfigFile == "" {
		return
	}
	file, err := s.load()
	if err == nil {
		err = s.change(ctx, file)
	}
	if err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			s.logger.Error("the configuration could not be reloaded: the one before stays", "error", line)
		}
		return
	}
	s.logger.Info("configuration reloaded", "file", s.options.ConfigFile)
}

// change puts a file in force.
func (s *server) change(ctx context.Context, file *configuration.File) error {
	if s.file.Region != file.Region || s.file.Account != file.Account {
		return fmt.Errorf("%s: Region and Account are part of every ARN, and stay while it runs: restart with another state directory", s.options.ConfigFile)
	}
	if s.file.StateDirectory != file.StateDirectory {
		s.logger.Warn("a change is in force after a restart alone", "key", "StateDirectory")
	}
	move, err := s.prepare(ctx, file)
	if err != nil {
		return err
	}
	if err := s.put(ctx, file); err != nil {
		move.abandon()
		return err
	}
	move.finish()
	s.file = file
	return s.certificates.Use(kept(s.balancer.Inventory(), s.stateDir))
}

// put makes all be as a file says, but for where this process itself is.
func (s *server) put(ctx context.Context, file *configuration.File) error {
	// A listener has its certificate before it comes, and until it is gone.
	is := named(file, s.stateDir)
	was := kept(s.balancer.Inventory(), s.stateDir)
	if err := s.certificates.Use(union(is, was)); err != nil {
		return err
	}
	if err := s.apply(ctx, file); err != nil {
		return errors.Join(err, s.certificates.Use(was))
	}
	if err := s.scale(file); err != nil {
		return errors.Join(err, s.certificates.Use(union(is, was)))
	}
	return nil
}

// apply makes the balancer be as a file says, unless the file's Auto Scaling groups
// would be refused then.
func (s *server) apply(ctx context.Context, file *configuration.File) error {
	if s.options.ConfigFile == "" {
		return nil
	}
	next, err := s.balancer.Try(func(e *inventory.Edit) error {
		_, err := file.Apply(e)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", s.options.ConfigFile, err)
	}
	if _, err := planScaling(file, s.instances.State(), next); err != nil {
		return fmt.Errorf("%s: %w", s.options.ConfigFile, err)
	}
	var steps []configuration.Step
	err = s.balancer.Change(ctx, func(e *inventory.Edit) (err error) {
		steps, err = file.Apply(e)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", s.options.ConfigFile, err)
	}
	s.tell(steps)
	return nil
}

// tell logs what was done.
func (s *server) tell(steps []configuration.Step) {
	for _, step := range steps {
		s.logger.Info("configuration applied", "step", step.String())
	}
}
