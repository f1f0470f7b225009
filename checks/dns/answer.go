package dns

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"

	"hale/internal/explain"
)

// answer is one record.
type answer struct {
	forms []string // in which it can be expected; the first is shown
	ttl   time.Duration
}

// answerOf reads a record of a kind that can be asked for.
func answerOf(record dns.RR) (answer, bool) {
	ttl := time.Duration(record.Header().Ttl) * time.Second
	switch r := record.(type) {
	case *dns.A:
		return answer{[]string{r.A.String()}, ttl}, true
	case *dns.AAAA:
		return answer{[]string{r.AAAA.String()}, ttl}, true
	case *dns.CNAME:
		return answer{[]string{plain(r.Target)}, ttl}, true
	case *dns.NS:
		return answer{[]string{plain(r.Ns)}, ttl}, true
	case *dns.PTR:
		return answer{[]string{plain(r.Ptr)}, ttl}, true
	case *dns.MX:
		host := plain(r.Mx)
		return answer{[]string{fmt.Sprintf("%d %s", r.Preference, host), host}, ttl}, true
	case *dns.SRV:
		host := plain(r.Target)
		return answer{[]string{
			fmt.Sprintf("%d %d %d %s", r.Priority, r.Weight, r.Port, host),
			fmt.Sprintf("%s:%d", host, r.Port), host,
		}, ttl}, true
	case *dns.TXT:
		return answer{[]string{strings.Join(r.Txt, "")}, ttl}, true
	default:
		return answer{}, false
	}
}

// is tells whether an answer is the one that is wanted, or lies in the network
// that is.
func (a answer) is(want string) bool {
	for _, form := range a.forms {
		if strings.EqualFold(form, plain(want)) {
			return true
		}
	}
	address, err := netip.ParseAddr(a.forms[0])
	if err != nil {
		return false
	}
	if network, err := netip.ParsePrefix(want); err == nil {
		return network.Contains(address)
	}
	wanted, err := netip.ParseAddr(want)
	return err == nil && wanted.Unmap() == address
}

func (a answer) String() string { return explain.Line(a.forms[0]) }

// plain is a name without the dot at its end.
func plain(name string) string {
	if len(name) > 1 {
		return strings.TrimSuffix(name, ".")
	}
	return name
}

func isNetwork(text string) bool {
	_, notAddress := netip.ParseAddr(text)
	_, notNetwork := netip.ParsePrefix(text)
	return notAddress == nil || notNetwork == nil
}

// maxListed bounds how many answers a message shows.
const maxListed = 5

func list(found []answer) string {
	var texts []string
	for _, a := range found[:min(len(found), maxListed)] {
		texts = append(texts, a.String())
	}
	if more := len(found) - maxListed; more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(texts, ", ")
}

func counted(found []answer) string {
	if len(found) == 1 {
		return "1 answer"
	}
	return fmt.Sprintf("%d answers", len(found))
}

// shortest is how long the answers may be kept.
func shortest(found []answer) (ttl time.Duration, ok bool) {
	ttl = -1
	for _, a := range found {
		if a.ttl > 0 && (ttl < 0 || a.ttl < ttl) {
			ttl = a.ttl
		}
	}
	return ttl, ttl >= 0
}
