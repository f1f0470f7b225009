package serve

import (
	"reflect"
	"slices"
	"strings"

	"github.com/coreos/go-systemd/v22/daemon"

	"hale/internal/config"
	"hale/internal/systemd"
)

// reload is a new generation of the configuration on its way: its checks run,
// and when each has answered once it takes the old one's place. So a reload
// never shows as "starting".
type reload struct {
	site  *site
	ready chan struct{}
}

// settled is closed when the new generation may take over. A nil reload never is.
func (r *reload) settled() <-chan struct{} {
	if r == nil {
		return nil
	}
	return r.ready
}

// giveUp ends a new generation that will not take over. A nil reload has none.
func (r *reload) giveUp(s *server) {
	if r != nil {
		s.logger.Warn("a configuration that was about to be taken over is given up")
		s.retire(r.site)
	}
}

// beginReload reopens the logs and reads the configuration again. A broken one
// changes nothing. A reload that is still under way is given up for the new one.
func (s *server) beginReload(before *reload) *reload {
	systemd.NotifyReloading(s.logger)
	s.closeOldLogs()
	s.reopenLogs()
	next, err := s.nextSite()
	s.policy.metrics.reloadBad.Store(err != nil)
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			s.logger.Error("configuration not taken over, the old one stays", "error", strings.TrimSpace(line))
		}
		if before == nil {
			systemd.Notify(s.logger, daemon.SdNotifyReady)
		}
		return before
	}
	before.giveUp(s)
	current := s.policy.site.Load()
	if err := next.monitor.Adopt(current.monitor, unchangedChecks(current.config, next.config)...); err != nil {
		s.logger.Warn("checks begin anew", "error", err)
	}
	next.start(s.logger)
	r := &reload{site: next, ready: make(chan struct{})}
	go func() {
		defer close(r.ready)
		select {
		case <-next.monitor.Settled():
		case <-next.ended:
		}
	}()
	return r
}

func (s *server) nextSite() (*site, error) {
	c, err := s.load()
	if err != nil {
		return nil, err
	}
	return newSite(c, s.surroundings())
}

// finishReload puts the new generation in the old one's place.
func (s *server) finishReload(r *reload) {
	for _, key := range restartOnly(s.config, r.site.config) {
		s.logger.Warn("configuration: this change takes effect at the next start", "key", key)
	}
	old := s.policy.site.Swap(r.site)
	s.engine.Configure(engineSettings(r.site.config))
	if old.app != r.site.app {
		s.engine.Forget(old.app)
	}
	s.retire(old)
	s.policy.metrics.reloads.Add(1)
	systemd.Notify(s.logger, daemon.SdNotifyReady)
	s.logger.Info("configuration taken over", "file", r.site.config.File, "checks", len(r.site.config.Health.Checks))
}

// retire ends a generation that nobody asks any more, in the background: signals
// do not wait for its checks.
func (s *server) retire(t *site) {
	s.retiring.Go(func() {
		if err := t.stop(); err != nil {
			s.logger.Warn("checks of the old configuration did not end well", "error", err)
		}
	})
}

// closeOldLogs closes the logs that the current generation does not write to:
// those of older ones, whose last requests have long been answered.
func (s *server) closeOldLogs() {
	now := s.policy.site.Load().config
	for target, f := range s.logs {
		if target == now.AccessLog || target == now.Health.Log {
			continue
		}
		if err := f.Close(); err != nil {
			s.logger.Warn("log did not close well", "error", err)
		}
		delete(s.logs, target)
	}
}

func (s *server) reopenLogs() {
	for target, f := range s.logs {
		if err := f.Reopen(); err != nil {
			s.logger.Error("log not reopened, the old file stays", "log", string(target), "error", err)
		}
	}
}

// unchangedChecks are the names of the checks that both have alike: their
// standing goes on through a reload.
func unchangedChecks(old, now *config.Config) []string {
	before := map[string]*config.Check{}
	each(old.Health.Checks, func(c *config.Check) { before[c.Name] = c })
	var names []string
	each(now.Health.Checks, func(c *config.Check) {
		if was := before[c.Name]; was != nil && sameCheck(was, c) {
			names = append(names, c.Name)
		}
	})
	return names
}

// each calls f with each check and each member of a group.
func each(checks []config.Check, f func(*config.Check)) {
	for i := range checks {
		f(&checks[i])
		each(checks[i].Any, f)
		each(checks[i].All, f)
	}
}

// sameCheck compares two checks, or two groups with their members.
func sameCheck(a, b *config.Check) bool {
	return sameSettings(a, b) && slices.EqualFunc(a.Any, b.Any, sameMember) && slices.EqualFunc(a.All, b.All, sameMember)
}

func sameMember(a, b config.Check) bool { return sameCheck(&a, &b) }

func sameSettings(a, b *config.Check) bool {
	x, y := *a, *b
	x.Any, x.All, y.Any, y.All = nil, nil, nil, nil
	if !sameFields(reflect.ValueOf(x), reflect.ValueOf(y)) || (a.Options == nil) != (b.Options == nil) {
		return false
	}
	return a.Options == nil || sameFields(reflect.ValueOf(a.Options).Elem(), reflect.ValueOf(b.Options).Elem())
}

// sameFields compares two structs by the fields that hale.yaml sets, and not by
// what a check keeps between runs.
func sameFields(a, b reflect.Value) bool {
	if a.Type() != b.Type() {
		return false
	}
	for i := range a.NumField() {
		f := a.Type().Field(i)
		if !f.IsExported() || f.Tag.Get("yaml") == "-" {
			continue
		}
		if !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			return false
		}
	}
	return true
}

// restartOnly are the keys that differ and that a running hale cannot change.
func restartOnly(old, now *config.Config) []string {
	var keys []string
	for _, k := range []struct {
		name     string
		old, now any
	}{
		{"listen", old.Listen, now.Listen},
		{"admin", old.Admin, now.Admin},
		{"app.env_file", old.App.EnvFile, now.App.EnvFile},
		{"app.require_env", old.App.RequireEnv, now.App.RequireEnv},
		{"app.command", old.App.Command, now.App.Command},
		{"app.before", old.App.Before, now.App.Before},
		{"app.user", old.App.User, now.App.User},
		{"app.restart", old.App.Restart, now.App.Restart},
		{"app.stop_timeout", old.App.StopTimeout, now.App.StopTimeout},
		{"instance", old.Instance, now.Instance},
		{"hosts.instance_address", old.Hosts.InstanceAddress, now.Hosts.InstanceAddress},
	} {
		if !reflect.DeepEqual(k.old, k.now) {
			keys = append(keys, k.name)
		}
	}
	return keys
}
