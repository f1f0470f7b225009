// Package instance finds out who and where this machine is: its id, zone,
// region, type, host name and every address that a load balancer may know it
// by.
//
// Discover asks all sources at once and takes at most two seconds, also where
// there is no metadata service: the EC2 metadata service (version 2 with
// version 1 as fall-back), the ECS task metadata endpoint (version 4), a file
// of addresses, and the machine's network interfaces. Each fact carries its
// Source and the time when it was learnt, and each source that did not answer
// says why in a Report.
//
// A Watcher keeps the facts fresh, and tells of a Spot interruption or of an
// Auto Scaling group that takes the machine away, in time to drain.
//
// Nothing but the metadata addresses and the given file is touched, and no
// credential is ever asked for.
package instance

import (
	"encoding/json"
	"net/netip"
	"time"
)

// Source is where a fact was learnt. A file's is "file:" and its path.
type Source string

// The sources other than a file.
const (
	EC2v2      Source = "ec2-metadata v2" // with a session token
	EC2v1      Source = "ec2-metadata v1" // without one
	ECS        Source = "ecs"             // task metadata endpoint version 4
	Interfaces Source = "interfaces"      // this machine's network interfaces
	Kernel     Source = "kernel"          // the host name that this machine has set
)

// Instance is what is known of this machine.
type Instance struct {
	ID       Fact `json:"id,omitzero"`       // EC2 instance id; on Fargate the task's id
	Zone     Fact `json:"zone,omitzero"`     // availability zone, "eu-central-1a"
	Region   Fact `json:"region,omitzero"`   // "eu-central-1"
	Type     Fact `json:"type,omitzero"`     // EC2 instance type, or "fargate"
	Hostname Fact `json:"hostname,omitzero"` // as the VPC's DNS knows it, else as the machine does
	Task     Fact `json:"task,omitzero"`     // ARN of the ECS task

	// Addresses holds each address once. The first private IPv4 is the primary
	// one: what an Application Load Balancer writes into a health check's Host.
	Addresses []Address `json:"addresses"`

	// Reports has one entry for each source that was asked.
	Reports []Report `json:"sources"`
}

// Fact is a value, and where and when it was learnt. Its zero value is "not
// known".
type Fact struct {
	Value  string    `json:"value"`
	Source Source    `json:"source"`
	Time   time.Time `json:"time"`
}

func (f Fact) String() string { return f.Value }

// Address is one of the machine's addresses.
type Address struct {
	Addr   netip.Addr `json:"address"`
	Public bool       `json:"public"` // reached from outside by translation; no interface has it
	Source Source     `json:"source"`
	Time   time.Time  `json:"time"`
}

// Report tells how asking one source went.
type Report struct {
	Source Source
	Found  bool
	Took   time.Duration

	// Detail explains what was not found, what to do about it, or, with Found,
	// what is odd about the answer. It is empty where there is nothing to say.
	Detail string
}

// MarshalJSON writes the time that it took in milliseconds, as "time_ms".
func (r Report) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Source Source  `json:"source"`
		Found  bool    `json:"found"`
		TimeMS float64 `json:"time_ms"`
		Detail string  `json:"detail,omitempty"`
	}{r.Source, r.Found, float64(r.Took.Microseconds()) / 1000, r.Detail})
}

// Primary returns the primary private IPv4 address: the file's first, else
// what the metadata says, else the first interface's. It is false where none
// is known, on an IPv6-only machine for one.
func (i Instance) Primary() (netip.Addr, bool) {
	for _, a := range i.Addresses {
		if a.Addr.Is4() && !a.Public {
			return a.Addr, true
		}
	}
	return netip.Addr{}, false
}

// Addrs returns all addresses, in the order of Addresses.
func (i Instance) Addrs() []netip.Addr {
	addrs := make([]netip.Addr, len(i.Addresses))
	for n, a := range i.Addresses {
		addrs[n] = a.Addr
	}
	return addrs
}
