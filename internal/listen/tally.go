package listen

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Summary is what has come until Serve ended.
type Summary struct {
	Visits, Connections int
	// TurnedAway is how many connections there was no room for.
	TurnedAway int
	Took       time.Duration
	// By are the visitors, those who came most often first.
	By []Visitors
}

// Visitors are visits of one kind.
type Visitors struct {
	// Name is a prober's name ("alb"), or what else came, in words.
	Name   string
	Visits int
	// Addresses is how many they came from.
	Addresses int
	// Every is how long after its last visit each address came again, on
	// average; 0: none came twice.
	Every time.Duration
}

// maxAddresses bounds how many addresses of one kind are told apart.
const maxAddresses = 1024

// tally counts visits.
type tally struct {
	began                           time.Time
	visits, connections, turnedAway int
	by                              map[string]*count
}

// count counts visits of one kind.
type count struct {
	visits    int
	addresses map[netip.Addr]*span
}

// span is from an address's first visit to its last.
type span struct {
	visits      int
	first, last time.Time
}

func (t *tally) connected(room bool) {
	t.connections++
	if !room {
		t.turnedAway++
	}
}

func (t *tally) add(v *Visit) {
	t.visits++
	if t.by == nil {
		t.by = make(map[string]*count)
	}
	name := v.visitor()
	c := t.by[name]
	if c == nil {
		c = &count{addresses: make(map[netip.Addr]*span)}
		t.by[name] = c
	}
	c.visits++
	s := c.addresses[v.Peer.Addr()]
	if s == nil {
		if len(c.addresses) == maxAddresses {
			return
		}
		s = &span{first: v.Time}
		c.addresses[v.Peer.Addr()] = s
	}
	s.visits++
	s.last = v.Time
}

// visitor names who a visit is from, by names of which there are not many.
func (v *Visit) visitor() string {
	switch v.Kind {
	case Bare:
		return "bare connections"
	case Silent:
		return "silent connections"
	case Handshake:
		return "TLS handshakes"
	case Cut:
		return "requests without an end"
	case Broken:
		return "broken beginnings"
	case Foreign:
		if v.TLS != nil {
			return "TLS on the plain port"
		}
		return "not HTTP"
	case Whole:
	}
	client := clientOf(v)
	switch {
	case len(v.Looks) == 0:
		return cmp.Or(client, "no prober that is known")
	case client != "":
		return names(v.Looks, " or ") + " or " + client
	}
	return names(v.Looks, " or ")
}

func names(looks []Likeness, between string) string {
	all := make([]string, len(looks))
	for i, l := range looks {
		all[i] = l.Prober.Name
	}
	return strings.Join(all, between)
}

func (t *tally) summary() Summary {
	s := Summary{Visits: t.visits, Connections: t.connections, TurnedAway: t.turnedAway, Took: time.Since(t.began)}
	for _, name := range slices.Sorted(maps.Keys(t.by)) {
		c := t.by[name]
		by := Visitors{Name: name, Visits: c.visits, Addresses: len(c.addresses)}
		var sum time.Duration
		times := 0
		for _, a := range c.addresses {
			sum += a.last.Sub(a.first)
			times += a.visits - 1
		}
		if times > 0 {
			by.Every = sum / time.Duration(times)
		}
		s.By = append(s.By, by)
	}
	slices.SortStableFunc(s.By, func(a, b Visitors) int { return cmp.Compare(b.Visits, a.Visits) })
	return s
}

// Write writes it for people.
func (s Summary) Write(w io.Writer) error {
	if s.Visits == 0 {
		_, err := fmt.Fprintf(w, "nothing came in %s\n", shortly(s.Took))
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "%s on %s in %s", plural(s.Visits, "visit"), plural(s.Connections, "connection"), shortly(s.Took))
	if s.TurnedAway > 0 {
		fmt.Fprintf(t, "; %d turned away, being more than %d at once", s.TurnedAway, maxConnections)
	}
	fmt.Fprintln(t)
	for _, by := range s.By {
		line := fmt.Sprintf("  %s\t%d\tfrom %s", by.Name, by.Visits, plural(by.Addresses, "address"))
		if by.Every > 0 {
			line += ", each about every " + shortly(by.Every)
		}
		fmt.Fprintln(t, line)
	}
	return t.Flush()
}

func plural(n int, word string) string {
	switch {
	case n == 1:
	case strings.HasSuffix(word, "s"):
		word += "es"
	default:
		word += "s"
	}
	return fmt.Sprintf("%d %s", n, word)
}
