package demo

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"hale/examples/gosite/site"
	"hale/internal/autoscaling"
	"hale/internal/balancer/admin"
	"hale/internal/proc"
)

// fleet is what the page's buttons do.
type fleet struct {
	files   files
	program string // that instances run
	schema  int    // the version that the code needs
	primary *site.Site
	control *control
	cloud   *cloud

	mu   sync.Mutex // guards what follows
	warn bool       // the failure of what all share only warns
}

// done is what came of a button.
type done struct {
	Said    string // what was done
	Command string // the aws command that does the same; empty: there is none
}

// deed is something that can be done, by the name that a form gives it.
type deed func(f *fleet, ctx context.Context, s *sight, form url.Values) (done, error)

var deeds = map[string]deed{
	"break": func(f *fleet, ctx context.Context, s *sight, form url.Values) (done, error) {
		return f.turn(ctx, s, form, true)
	},
	"mend": func(f *fleet, ctx context.Context, s *sight, form url.Values) (done, error) {
		return f.turn(ctx, s, form, false)
	},
	"kill":    signalled(syscall.SIGKILL, "was killed: its process is gone, as with a power cut"),
	"freeze":  signalled(syscall.SIGSTOP, "stands still: connections are taken by the kernel, and nobody answers"),
	"thaw":    signalled(syscall.SIGCONT, "goes on"),
	"killapp": (*fleet).killApp,
	"drain": func(f *fleet, ctx context.Context, s *sight, form url.Values) (done, error) {
		return f.standby(ctx, s, form, true)
	},
	"return": func(f *fleet, ctx context.Context, s *sight, form url.Values) (done, error) {
		return f.standby(ctx, s, form, false)
	},
	"replace": (*fleet).replace,
	"weights": (*fleet).weights,
	"path":    (*fleet).path,
	"type":    (*fleet).replacing,
	"shared":  (*fleet).sharedFailure,
}

// do does what a form says.
func (f *fleet) do(ctx context.Context, s *sight, form url.Values) (done, error) {
	act := deeds[form.Get("do")]
	if act == nil {
		return done{}, unknown("do", form.Get("do"), deedNames())
	}
	return act(f, ctx, s, form)
}

func deedNames() []string {
	var names []string
	for name := range deeds {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// unasked is the error of a form that says nothing that can be done.
type unasked struct{ error }

func unknown(key, value string, known []string) error {
	return unasked{fmt.Errorf("%s=%q: write one of %s", key, value, strings.Join(known, ", "))}
}

// sharedInstance is what a form names in the place of an instance for what all of
// them share.
const sharedInstance = "shared"

// turn breaks or mends.
func (f *fleet) turn(ctx context.Context, s *sight, form url.Values, on bool) (done, error) {
	fault := site.Fault(form.Get("fault"))
	title := faultWords[fault][0]
	if title == "" {
		return done{}, unasked{fmt.Errorf("fault=%q: there is no such fault; write one of %s", fault, faultNames(site.Faults()))}
	}
	where, act := "the database that all share", f.primary.Mend
	if on {
		act = f.primary.Break
	}
	if form.Get("instance") == sharedInstance {
		if !slices.Contains(sharedFaults, fault) {
			return done{}, unasked{fmt.Errorf("fault=%s is nothing that all share; write one of %s", fault, faultNames(sharedFaults))}
		}
	} else {
		i, err := f.instance(s, form)
		if err != nil {
			return done{}, err
		}
		where = i.ID
		act = func(ctx context.Context, fault site.Fault) error {
			return f.control.tell(ctx, i.ID, order{fault, on})
		}
	}
	if err := act(ctx, fault); err != nil {
		return done{}, err
	}
	verb := "mended"
	if on {
		verb = "there is"
	}
	return done{Said: fmt.Sprintf("%s: %s %s.", where, verb, strings.ToLower(title))}, nil
}

// faultWords are a title for each fault, and what happens.
var faultWords = map[site.Fault][2]string{
	site.DatabaseGone:     {"Database gone", "The way to the database's file is gone."},
	site.MigrationsBehind: {"Migration missing", "The last migration is not there: the home page works, the archive does not."},
	site.PageBroken:       {"Page broken", "The home page's template asks for something that the code does not have: 500."},
	site.PageSlow:         {"Page slow", fmt.Sprintf("The home page takes %v; the check waits for 2s.", site.SlowPage)},
	site.DiskFull:         {"Disk full", "The journal of visits is on a full device: each write fails with ENOSPC."},
	site.AppHangs:         {"App hangs", "The app takes requests, and answers none."},
}

// sharedFaults are those that what all instances share can have.
var sharedFaults = []site.Fault{site.DatabaseGone, site.MigrationsBehind}

func faultNames(faults []site.Fault) string {
	var names []string
	for _, f := range faults {
		names = append(names, string(f))
	}
	return strings.Join(names, ", ")
}

// instance finds the one that a form names: by its id, or as the first one of a
// group that is in service.
func (f *fleet) instance(s *sight, form url.Values) (*admin.ScalingInstance, error) {
	name := form.Get("instance")
	for g := range s.status.AutoScaling {
		group := &s.status.AutoScaling[g]
		for n := range group.Instances {
			i := &group.Instances[n]
			if i.ID == name || group.Name == name && i.State == autoscaling.InService {
				return i, nil
			}
		}
	}
	return nil, unasked{fmt.Errorf("instance=%q: there is no such instance any more; write an id, or the name of a group", name)}
}

// process returns the number of an instance's hale serve.
func (f *fleet) process(i *admin.ScalingInstance) (int, error) {
	if i.PID <= 1 || !slices.Contains((proc.FS{}).Environment(i.PID), instanceVariable+"="+i.ID) {
		return 0, fmt.Errorf("%s has no process any more", i.ID)
	}
	return i.PID, nil
}

// signalled returns the deed that sends a signal to an instance's hale serve.
func signalled(sig syscall.Signal, said string) deed {
	return func(f *fleet, _ context.Context, s *sight, form url.Values) (done, error) {
		i, err := f.instance(s, form)
		if err != nil {
			return done{}, err
		}
		pid, err := f.process(i)
		if err != nil {
			return done{}, err
		}
		if err := syscall.Kill(pid, sig); err != nil {
			return done{}, fmt.Errorf("send %v to process %d: %w", sig, pid, err)
		}
		return done{Said: i.ID + " " + said + ".", Command: fmt.Sprintf("kill -%d %d", int(sig), pid)}, nil
	}
}

func (f *fleet) killApp(_ context.Context, s *sight, form url.Values) (done, error) {
	i, err := f.instance(s, form)
	if err != nil {
		return done{}, err
	}
	pid := f.control.pid(i.ID)
	if pid <= 1 {
		return done{}, fmt.Errorf("the app of %s does not run", i.ID)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return done{}, fmt.Errorf("kill process %d: %w", pid, err)
	}
	return done{Said: "The app of " + i.ID + " was killed; hale serve starts it again.", Command: "kill -9 " + strconv.Itoa(pid)}, nil
}

func (f *fleet) standby(ctx context.Context, s *sight, form url.Values, on bool) (done, error) {
	i, err := f.instance(s, form)
	if err != nil {
		return done{}, err
	}
	command, err := f.cloud.standby(ctx, s.groupOf(i.ID), i.ID, on)
	if err != nil {
		return done{}, err
	}
	said := " comes back into service."
	if on {
		said = " is being drained: what it has begun it ends, and nothing new comes."
	}
	return done{i.ID + said, command}, nil
}

func (f *fleet) replace(ctx context.Context, s *sight, form url.Values) (done, error) {
	i, err := f.instance(s, form)
	if err != nil {
		return done{}, err
	}
	command, err := f.cloud.replace(ctx, i.ID)
	if err != nil {
		return done{}, err
	}
	return done{i.ID + " is being drained and ended, and another one launched.", command}, nil
}

// mostWeight is the most that ELB takes (API, TargetGroupTuple).
const mostWeight = 999

func (f *fleet) weights(ctx context.Context, s *sight, form url.Values) (done, error) {
	weights, words := make(map[string]int32), []string(nil)
	for _, name := range groups {
		n, err := strconv.ParseInt(form.Get(name), 10, 32)
		if err != nil || n < 0 || n > mostWeight {
			return done{}, unasked{fmt.Errorf("%s=%q: a weight is a number from 0 to %d", name, form.Get(name), mostWeight)}
		}
		weights[name] = int32(n)
		words = append(words, fmt.Sprintf("%s %d", name, n))
	}
	command, err := f.cloud.weights(ctx, s, weights)
	if err != nil {
		return done{}, err
	}
	return done{"Requests go to " + strings.Join(words, ", ") + ".", command}, nil
}

// Paths of the health answer: of all checks, and of none.
const (
	deepPath    = "/health"
	shallowPath = "/health/live"
)

func (f *fleet) path(ctx context.Context, s *sight, form url.Values) (done, error) {
	path := form.Get("path")
	if path != deepPath && path != shallowPath {
		return done{}, unknown("path", path, []string{deepPath, shallowPath})
	}
	command, err := f.cloud.healthPath(ctx, s, path)
	if err != nil {
		return done{}, err
	}
	return done{"Targets are asked for " + path + ".", command}, nil
}

// Types of an Auto Scaling group's health check.
const (
	typeEC2 = "EC2"
	typeELB = "ELB"
)

func (f *fleet) replacing(ctx context.Context, _ *sight, form url.Values) (done, error) {
	kind := form.Get("type")
	if kind != typeEC2 && kind != typeELB {
		return done{}, unknown("type", kind, []string{typeEC2, typeELB})
	}
	command, err := f.cloud.healthType(ctx, kind)
	if err != nil {
		return done{}, err
	}
	said := "Auto Scaling replaces instances whose process has ended, and no others."
	if kind == typeELB {
		said = "Auto Scaling replaces instances that the load balancer holds for unhealthy, too."
	}
	return done{said, command}, nil
}

// Values of health.shared_failure.
const (
	sharedFail = "fail"
	sharedWarn = "warn"
)

// sharedFailure writes another hale.yaml, and has each hale serve read it again.
func (f *fleet) sharedFailure(_ context.Context, s *sight, form url.Values) (done, error) {
	value := form.Get("value")
	if value != sharedFail && value != sharedWarn {
		return done{}, unknown("value", value, []string{sharedFail, sharedWarn})
	}
	if err := f.configure(value == sharedWarn); err != nil {
		return done{}, err
	}
	var errs []error
	for g := range s.status.AutoScaling {
		for n := range s.status.AutoScaling[g].Instances {
			if pid, err := f.process(&s.status.AutoScaling[g].Instances[n]); err == nil {
				errs = append(errs, syscall.Kill(pid, syscall.SIGHUP))
			}
		}
	}
	return done{Said: "hale.yaml says shared_failure: " + value + " now, and each hale serve has read it again (SIGHUP)."}, errors.Join(errs...)
}

// configure writes hale.yaml.
func (f *fleet) configure(warn bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	value := sharedFail
	if warn {
		value = sharedWarn
	}
	b, err := text("hale.yaml", struct {
		Program, Host, SharedFailure, Database, URL string
		Schema                                      int
	}{f.program, PublicHost, value, filepath.Join(f.files.database(), site.DatabaseFile), strings.Replace(quoted("unix://"+f.files.socket("@")), "@.sock", "${"+instanceVariable+"}.sock", 1), f.schema})
	if err != nil {
		return err
	}
	// Whole at any moment: an instance that is being launched may read it now.
	next := f.files.haleYAML() + ".next"
	if err := os.WriteFile(next, b, 0o600); err != nil {
		return err
	}
	f.warn = warn
	return os.Rename(next, f.files.haleYAML())
}

// warns tells whether the failure of what all share only warns.
func (f *fleet) warns() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.warn
}
