package instance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"
)

// DefaultTimeout bounds Discover where Options.Timeout is zero.
const DefaultTimeout = 2 * time.Second

// ErrNoAddress means that no source knew an address of this machine.
var ErrNoAddress = errors.New("no address of this machine found")

// Mode says whether a source is asked. The zero value is Auto.
type Mode uint8

const (
	Auto Mode = iota // asked wherever it may be
	Off              // not asked
)

// String returns "auto" or "off".
func (m Mode) String() string {
	if m == Off {
		return "off"
	}
	return "auto"
}

// MarshalText implements encoding.TextMarshaler.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText accepts "auto" and "off".
func (m *Mode) UnmarshalText(b []byte) error {
	switch string(b) {
	case "auto":
		*m = Auto
	case "off":
		*m = Off
	default:
		return fmt.Errorf("%q is neither auto nor off", b)
	}
	return nil
}

// Options says which sources are asked. The zero value asks the metadata
// services and the network interfaces.
type Options struct {
	// Metadata is for EC2's and ECS's metadata. EC2's is also off where the
	// environment's AWS_EC2_METADATA_DISABLED is "true"; ECS's is asked only
	// where ECS_CONTAINER_METADATA_URI_V4 names it.
	Metadata Mode

	// Interfaces is for the machine's network interfaces. Their addresses come
	// last; loopback and link-local ones are left out.
	Interfaces Mode

	// File is the path of a file of addresses, one a line, such as
	// /etc/aws/ipv4; blank lines and what follows a # are skipped. Its
	// addresses come first. Empty means none.
	File string

	// Endpoint is the EC2 metadata service's address. Empty means the
	// environment's AWS_EC2_METADATA_SERVICE_ENDPOINT, else
	// http://169.254.169.254, or http://[fd00:ec2::254] where
	// AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE is "IPv6".
	Endpoint string

	// TaskEndpoint is the ECS task metadata endpoint. Empty means the
	// environment's ECS_CONTAINER_METADATA_URI_V4.
	TaskEndpoint string

	// Timeout bounds the whole of Discover; zero means DefaultTimeout.
	Timeout time.Duration

	dial       func(ctx context.Context, network, address string) (net.Conn, error) // tests: nil = TCP
	interfaces func() ([]netip.Addr, error)                                         // tests: nil = this machine's
}

// Discover asks all sources at once and returns what they know, after
// Options.Timeout at the latest. A source that does not answer is no error, a
// Report says so. An error means that File cannot be used, or that no address
// was found at all (ErrNoAddress); the Instance holds what is known all the
// same.
func Discover(ctx context.Context, o Options) (Instance, error) {
	ctx, cancel := context.WithTimeout(ctx, o.timeout())
	defer cancel()
	return merge(ask(ctx, o.sources()))
}

func (o Options) timeout() time.Duration {
	if o.Timeout > 0 {
		return o.Timeout
	}
	return DefaultTimeout
}

// source is one place to ask. Ask returns what it knows also beside an error,
// which then tells what is odd.
type source interface {
	ask(ctx context.Context) (answer, error)
}

// sources returns whom to ask, in the order in which their facts count.
func (o Options) sources() []source {
	var all []source
	if o.File != "" {
		all = append(all, addressFile{o.File})
	}
	if o.Metadata == Auto {
		if url := firstNonEmpty(o.TaskEndpoint, os.Getenv(taskEndpointVariable)); url != "" {
			all = append(all, newTask(url, o.dial))
		}
		all = append(all, newEC2(o.Endpoint, o.dial))
	}
	if o.Interfaces == Auto {
		list := o.interfaces
		if list == nil {
			list = interfaceAddrs
		}
		all = append(all, interfaces{list})
	}
	return append(all, kernel{})
}

// answer is what one source knows. Empty strings are "not known".
type answer struct {
	source Source
	time   time.Time
	took   time.Duration

	found   bool
	err     error // why nothing was found; with found, what is odd
	partial bool  // some of what the source knows was not learnt this time
	fatal   bool  // err is Discover's, not only a report's

	id, zone, region, kind, hostname string
	task, taskID                     string // an ECS task's ARN, and the id at its end
	private, public                  []netip.Addr
	behind                           bool // the addresses are behind the host's, which come first
}

// ask asks all sources at the same time and returns when all have answered;
// each keeps to ctx.
func ask(ctx context.Context, sources []source) []answer {
	answers := make([]answer, len(sources))
	var wg sync.WaitGroup
	for i, s := range sources {
		wg.Go(func() {
			start := time.Now()
			a, err := s.ask(ctx)
			a.time = time.Now()
			a.took = a.time.Sub(start)
			a.err = err
			answers[i] = a
		})
	}
	wg.Wait()
	return answers
}

// merge makes one Instance of the answers: the first source that knows a fact
// counts, and addresses are listed once, in the sources' order.
func merge(answers []answer) (Instance, error) {
	var in Instance
	var errs []error
	ordered := slices.Clone(answers)
	// A bridged container's own address is nothing that a load balancer knows:
	// the host's, which EC2's metadata gives, comes before it.
	slices.SortStableFunc(ordered, func(a, b answer) int { return rank(a) - rank(b) })
	for _, a := range ordered {
		if a.fatal {
			errs = append(errs, a.err)
		}
		if a.source != Kernel {
			in.Reports = append(in.Reports, a.report())
		}
		if !a.found {
			continue
		}
		learn := func(f *Fact, value string) {
			if f.Value == "" && value != "" {
				*f = Fact{value, a.source, a.time}
			}
		}
		learn(&in.ID, a.id)
		learn(&in.Zone, a.zone)
		learn(&in.Region, a.region)
		learn(&in.Type, a.kind)
		learn(&in.Hostname, a.hostname)
		learn(&in.Task, a.task)
		in.add(a.private, false, a)
		in.add(a.public, true, a)
	}
	for _, a := range ordered { // a task's id names the machine only where nothing else does (Fargate)
		if a.found && in.ID.Value == "" && a.taskID != "" {
			in.ID = Fact{a.taskID, a.source, a.time}
		}
	}
	if len(in.Addresses) == 0 && len(errs) == 0 {
		errs = append(errs, ErrNoAddress)
	}
	return in, errors.Join(errs...)
}

// add appends the addresses that are not known yet.
func (i *Instance) add(addrs []netip.Addr, public bool, a answer) {
	for _, addr := range addrs {
		if !slices.ContainsFunc(i.Addresses, func(known Address) bool { return known.Addr == addr }) {
			i.Addresses = append(i.Addresses, Address{addr, public, a.source, a.time})
		}
	}
}

// rank orders sources by how likely a load balancer knows this machine by their
// addresses; those of one rank stay as they are.
func rank(a answer) int {
	switch {
	case a.source == Kernel:
		return 3
	case a.source == Interfaces:
		return 2
	case a.behind:
		return 1
	default:
		return 0
	}
}

func (a answer) report() Report {
	r := Report{Source: a.source, Found: a.found, Took: a.took}
	if a.err != nil {
		r.Detail = a.err.Error()
	}
	return r
}

func firstNonEmpty(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
