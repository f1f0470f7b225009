package inventory

import (
	"crypto/rand"
	"encoding/hex"
	"maps"
	"net/netip"
	"slices"
	"time"

	"hale/internal/elb"
)

// Place is where an inventory is, and what it can name.
type Place struct {
	Region, Account string // of ARNs
	// HasCertificate tells whether a certificate of that ARN can be had. Nil: none.
	HasCertificate func(arn string) bool
	// Instance returns the address of the instance of that ID; ok is false if none
	// runs here. Nil: none does.
	Instance func(id string) (address netip.Addr, ok bool)
	// MostTargets raises how many targets a group can have; 0: as many as ELB.
	MostTargets int
	// FastChecks lets health checks ask more often than ELB's would, with
	// time-outs shorter and as long as the interval.
	FastChecks bool
}

// Edit is the next inventory in the making. Its methods change it, or refuse and
// leave it as it was; a refusal is an *elb.Error. It belongs to one goroutine.
type Edit struct {
	place Place
	now   time.Time
	next  Inventory
}

// Begin begins an edit at the time now.
func (v *Inventory) Begin(place Place, now time.Time) *Edit {
	return &Edit{place: place, now: now.UTC(), next: Inventory{
		LoadBalancers: cloned(v.LoadBalancers),
		Listeners:     cloned(v.Listeners),
		Rules:         cloned(v.Rules),
		Groups:        cloned(v.Groups),
		Certificates:  cloned(v.Certificates),
	}}
}

func cloned[T any](m map[string]*T) map[string]*T {
	if m == nil {
		return make(map[string]*T)
	}
	return maps.Clone(m)
}

// Inventory returns what the edit has come to. It changes with the edit, until that
// is used no more.
func (e *Edit) Inventory() *Inventory { return &e.next }

// hex16 returns 16 hex digits, the last part of ARNs.
func hex16() string {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

// checkHealth refuses the settings of a health check that ELB would not take.
func (p Place) checkHealth(k elb.Kind, check elb.HealthCheck) error {
	for _, f := range check.Faults(k) {
		times := f.Setting == "HealthCheckIntervalSeconds" || f.Setting == "HealthCheckTimeoutSeconds"
		if p.FastChecks && times && check.Interval >= 0 && check.Timeout >= 0 {
			continue
		}
		return elb.Errorf(elb.CodeValidation, "%s", f.Error())
	}
	return nil
}

// sameTags reports whether two sets of tags are the same in any order.
func sameTags(a, b []Tag) bool {
	of := func(tags []Tag) map[Tag]bool {
		set := make(map[Tag]bool)
		for _, t := range tags {
			set[t] = true
		}
		return set
	}
	return maps.Equal(of(a), of(b))
}

// mostTags is how many tags a thing can have (ELBv2 API, TooManyTags).
const mostTags = 50

func checkTags(tags []Tag) error {
	if len(tags) > mostTags {
		return elb.Errorf("TooManyTags", "A resource can have %d tags at most", mostTags)
	}
	for i, t := range tags {
		if slices.ContainsFunc(tags[:i], func(o Tag) bool { return o.Key == t.Key }) {
			return elb.Errorf("DuplicateTagKeys", "Tag key '%s' was given more than once", t.Key)
		}
	}
	return nil
}
