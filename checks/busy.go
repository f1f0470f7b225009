package checks

import (
	"cmp"
	"errors"
	"time"
)

// Defaults of BusyLimits' zero fields.
const (
	DefaultWarnQueue = Percent(50)
	DefaultMaxQueue  = Percent(90)
	DefaultMaxStuck  = time.Minute
)

// BusyLimits are the options that tell busy from broken, of the checks of
// servers whose requests wait in a queue until one of a number of workers is
// free. Zero fields mean the defaults.
type BusyLimits struct {
	WarnBusy  Percent       `yaml:"warn_busy" jsonschema_description:"Warn when more of the workers are busy than this; in any case when all are and requests wait."`
	MaxBusy   Percent       `yaml:"max_busy" jsonschema_description:"Fail when more of the workers are busy than this; without it, never for that alone."`
	WarnQueue Percent       `yaml:"warn_queue" jsonschema:"default=50%" jsonschema_description:"Warn when more of the queue for waiting requests is taken than this."`
	MaxQueue  Percent       `yaml:"max_queue" jsonschema:"default=90%" jsonschema_description:"Fail when more of the queue is taken than this: once it is full, connections are refused."`
	MaxStuck  time.Duration `yaml:"max_stuck" jsonschema:"default=1m" jsonschema_description:"Fail when for this long requests have waited, and not one was finished."`
}

// Validate refuses a warning that would come after the failure, and a negative
// time.
func (l BusyLimits) Validate() error {
	var errs []error
	for _, pair := range []struct {
		warnKey, maxKey string
		warn, most      Percent
	}{
		{"warn_busy", "max_busy", l.WarnBusy, cmp.Or(l.MaxBusy, 100)},
		{"warn_queue", "max_queue", l.WarnQueue, cmp.Or(l.MaxQueue, DefaultMaxQueue)},
	} {
		if pair.warn > pair.most {
			errs = append(errs, Optionf(pair.warnKey, "%v is more than %s (%v): the check would fail before it warns", pair.warn, pair.maxKey, pair.most))
		}
	}
	if l.MaxStuck < 0 {
		errs = append(errs, Optionf("max_stuck", "%v is negative", l.MaxStuck))
	}
	return errors.Join(errs...)
}
