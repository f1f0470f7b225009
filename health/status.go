package health

import "fmt"

// Status is the answer of a check or of a verdict. The zero value is Unknown:
// nothing has been asked yet.
type Status uint8

const (
	Unknown Status = iota // not asked yet
	Pass                  // all is well
	Warn                  // works, but somebody should look
	Fail                  // does not work
)

var statusNames = [...]string{Unknown: "unknown", Pass: "pass", Warn: "warn", Fail: "fail"}

// String returns "pass", "warn", "fail" or "unknown", the words of
// draft-inadarei-api-health-check.
func (s Status) String() string { return nameOf(statusNames[:], s) }

// MarshalText implements encoding.TextMarshaler.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText accepts the words that String returns.
func (s *Status) UnmarshalText(b []byte) error {
	v, err := parseName[Status](statusNames[:], string(b))
	*s = v
	return err
}

// Impact is what a failing check does to the verdict. The zero value is Critical.
type Impact uint8

const (
	Critical Impact = iota // a failure fails the verdict
	Degraded               // a failure only warns
)

var impactNames = [...]string{Critical: "critical", Degraded: "degraded"}

func (i Impact) String() string { return nameOf(impactNames[:], i) }

// MarshalText implements encoding.TextMarshaler.
func (i Impact) MarshalText() ([]byte, error) { return []byte(i.String()), nil }

// UnmarshalText accepts "critical" and "degraded".
func (i *Impact) UnmarshalText(b []byte) error {
	v, err := parseName[Impact](impactNames[:], string(b))
	*i = v
	return err
}

// Scope is whom a failing check is about. The zero value is Instance.
type Scope uint8

const (
	Instance Scope = iota // this machine alone
	Shared                // something that every instance uses, a database for one
)

var scopeNames = [...]string{Instance: "instance", Shared: "shared"}

func (s Scope) String() string { return nameOf(scopeNames[:], s) }

// MarshalText implements encoding.TextMarshaler.
func (s Scope) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText accepts "instance" and "shared".
func (s *Scope) UnmarshalText(b []byte) error {
	v, err := parseName[Scope](scopeNames[:], string(b))
	*s = v
	return err
}

// SharedFailure is what the failure of a critical check with scope Shared does
// to the verdict. If a database that every instance uses is down, failing the
// verdict takes all instances out of the load balancer at once, which helps
// nobody where the app can still serve something. The zero value is SharedFails.
type SharedFailure uint8

const (
	SharedFails SharedFailure = iota // fails the verdict, like any other
	SharedWarns                      // only warns
)

var sharedFailureNames = [...]string{SharedFails: "fail", SharedWarns: "warn"}

func (s SharedFailure) String() string { return nameOf(sharedFailureNames[:], s) }

// MarshalText implements encoding.TextMarshaler.
func (s SharedFailure) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText accepts "fail" and "warn".
func (s *SharedFailure) UnmarshalText(b []byte) error {
	v, err := parseName[SharedFailure](sharedFailureNames[:], string(b))
	*s = v
	return err
}

func nameOf[T ~uint8](names []string, v T) string {
	if int(v) < len(names) {
		return names[v]
	}
	return fmt.Sprintf("%T(%d)", v, uint8(v))
}

func parseName[T ~uint8](names []string, s string) (T, error) {
	for i, n := range names {
		if n == s {
			return T(i), nil
		}
	}
	return 0, fmt.Errorf("%q is none of %q", s, names)
}
