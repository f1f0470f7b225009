package elb

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Attributes are settings of a load balancer, a target group or a listener by
// their keys, in the API's form. Read them from AttributeTable.Full, which has
// one for every key: the readers know no defaults.
type Attributes map[string]string

// Bool tells whether an attribute is true, or on.
func (a Attributes) Bool(key string) bool { return a[key] == "true" || a[key] == "on" }

// Int returns a number; 0 for off, for one that is not there, and for one that
// is none.
func (a Attributes) Int(key string) int {
	n, err := strconv.Atoi(a[key])
	if err != nil {
		return 0
	}
	return n
}

// Duration returns a number of seconds.
func (a Attributes) Duration(key string) time.Duration {
	return time.Duration(a.Int(key)) * time.Second
}

// AttributeTable is the attributes that a thing can have, with their defaults
// and what values they take. Order is the one they are listed in.
type AttributeTable struct {
	of   string // whose, as messages begin: "Target group"
	like string // after "not supported": "load balancers with type 'network'"
	rows []attribute
	// beyond are keys of other things of this sort: known, but not here.
	beyond map[string]bool
	rules  []attributeRule
}

// attribute is one key. Fits are the classes that a row is for; a key may have
// several rows, of different classes.
type attribute struct {
	key, initial string
	takes        values
	fits         class
}

// class is a set of kinds of things whose attributes differ.
type class uint16

func (t AttributeTable) row(key string) (attribute, bool) {
	i := slices.IndexFunc(t.rows, func(row attribute) bool { return row.key == key })
	if i < 0 {
		return attribute{}, false
	}
	return t.rows[i], true
}

// Keys returns all keys, in the order of the table.
func (t AttributeTable) Keys() []string {
	keys := make([]string, len(t.rows))
	for i, row := range t.rows {
		keys[i] = row.key
	}
	return keys
}

// Full returns an attribute for every key: as set, else the default. What is set
// but has no place in the table is left out.
func (t AttributeTable) Full(set Attributes) Attributes {
	full := make(Attributes, len(t.rows))
	for _, row := range t.rows {
		value, ok := set[row.key]
		if !ok {
			value = row.initial
		}
		full[row.key] = value
	}
	return full
}

// SetAttributes returns what is set after a change: those that were, and those
// of the change. It refuses with an *Error, as the API does: a key that nothing
// has (ValidationError), one that this thing does not have
// (InvalidConfigurationRequest), a value that is none for its key, and values
// that do not go together. The arguments stay as they are.
func SetAttributes(t AttributeTable, set, change Attributes) (Attributes, error) {
	for _, key := range slices.Sorted(maps.Keys(change)) {
		if err := t.Check(key, change[key]); err != nil {
			return nil, err
		}
	}
	next := maps.Clone(set)
	if next == nil {
		next = make(Attributes, len(change))
	}
	maps.Copy(next, change)
	before, after := t.Full(set), t.Full(next)
	for _, rule := range t.rules {
		if rule.broken(before, after) {
			return nil, Errorf(codeConfiguration, "%s", rule.message)
		}
	}
	return next, nil
}

const codeConfiguration = "InvalidConfigurationRequest"

// Check refuses an unknown key and a wrong value, whatever the other values are,
// with an *Error. The first two messages are
// AWS's own, by reports (hashicorp/terraform-provider-aws, #34135 and the
// comment in its resource_aws_lb); those about values are in their sense.
func (t AttributeTable) Check(key, value string) error {
	row, ok := t.row(key)
	switch {
	case !ok && t.beyond[key]:
		return Errorf(codeConfiguration, "%s attribute key '%s' is not supported on %s", t.of, key, t.like)
	case !ok:
		return Errorf(CodeValidation, "%s attribute key '%s' is not recognized", t.of, key)
	case row.takes.has(value):
		return nil
	case key == "stickiness.type" && slices.Contains(stickinessTypes, value):
		// AWS's own words (ansible/ansible#67993).
		return Errorf(codeConfiguration, "Stickiness type '%s' is not supported for %s", value, t.like)
	default:
		return Errorf(CodeValidation, "%s attribute '%s' cannot be '%s': %s", t.of, key, value, row.takes.say)
	}
}

// values is what an attribute takes: has decides, say names it for people.
type values struct {
	say string
	has func(value string) bool
}

func oneOf(all ...string) values {
	return values{"it must be " + either(all...), func(value string) bool { return slices.Contains(all, value) }}
}

// either lists what can be had: "a, b or c".
func either(all ...string) string {
	named := slices.Clone(all)
	for i, one := range named {
		named[i] = cmp.Or(one, "empty")
	}
	last := len(named) - 1
	if last == 0 {
		return named[0]
	}
	return strings.Join(named[:last], ", ") + " or " + named[last]
}

// between takes whole numbers, or one of the words.
func between(least, most int, words ...string) values {
	number := fmt.Sprintf("an integer between %d and %d", least, most)
	return values{"it must be " + either(append([]string{number}, words...)...), func(value string) bool {
		n, err := strconv.Atoi(value)
		plain := err == nil && value == strconv.Itoa(n)
		return plain && least <= n && n <= most || slices.Contains(words, value)
	}}
}

// text takes anything without control characters.
func text() values {
	return values{fmt.Sprintf("it must be at most %d characters, none of them a control character", mostText), func(value string) bool {
		return len(value) <= mostText && !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f })
	}}
}

// fieldName takes the name of a header field.
func fieldName() values {
	return values{fmt.Sprintf("it must be the name of a header field, of letters, digits, - and _, at most %d characters", mostFieldName), func(value string) bool {
		return value != "" && len(value) <= mostFieldName && !strings.ContainsFunc(value, func(r rune) bool {
			return !isAlphanumeric(r) && r != '-' && r != '_'
		})
	}}
}

func isAlphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

// cookieName takes a name as cookies can have one (RFC 6265, 4.1.1), but none of
// the load balancer's own.
func cookieName() values {
	return values{"it must be the name of a cookie, and must not begin with AWSALB, AWSALBAPP or AWSALBTG, which are the load balancer's", func(value string) bool {
		return len(value) <= mostCookieName && !strings.HasPrefix(value, "AWSALB") && !strings.ContainsFunc(value, func(r rune) bool {
			return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r)
		})
	}}
}

// Lengths that no document gives.
const (
	mostFieldName  = 40
	mostCookieName = 512
	mostText       = 1024
)

// attributeRule is what holds between attributes. Before and after are full sets.
type attributeRule struct {
	broken  func(before, after Attributes) bool
	message string
}

// pick returns the rows of a class, and the keys that only others have.
func pick(all []attribute, c class) (rows []attribute, beyond map[string]bool) {
	beyond = make(map[string]bool)
	for _, row := range all {
		beyond[row.key] = true
	}
	for _, row := range all {
		if row.fits&c != 0 {
			rows = append(rows, row)
			delete(beyond, row.key)
		}
	}
	return rows, beyond
}

// BalancerAttributes returns the attributes of a load balancer. Internal is one
// that cannot be reached from the internet.
func BalancerAttributes(b Balancer, internal bool) AttributeTable {
	rows, beyond := pick(balancerAttributes(internal), classOf(b))
	if b == Classic {
		// It speaks HTTP/1.1 alone, over TLS as well; else it is given here what an
		// Application Load Balancer has.
		i := slices.IndexFunc(rows, func(row attribute) bool { return row.key == keyHTTP2 })
		rows[i].initial, rows[i].takes = "false", oneOf("false")
	}
	return AttributeTable{
		of: "Load balancer", like: fmt.Sprintf("load balancers with type '%s'", cmp.Or(b, Application)),
		rows: rows, beyond: beyond, rules: balancerRules,
	}
}

// GroupAttributes returns the attributes of a target group.
func GroupAttributes(k Kind) AttributeTable {
	rows, beyond := pick(groupAttributes(), k.class())
	like := fmt.Sprintf("target groups with the %s protocol", cmp.Or(k.Protocol, HTTP))
	if k.Targets == Lambda {
		like = "target groups with the lambda target type"
	}
	return AttributeTable{of: "Target group", like: like, rows: rows, beyond: beyond, rules: groupRules}
}

// ListenerAttributes returns the attributes of the listeners of a load balancer.
func ListenerAttributes(b Balancer) AttributeTable {
	rows, beyond := pick(listenerAttributes(), classOf(b))
	return AttributeTable{
		of: "Listener", like: fmt.Sprintf("listeners of load balancers with type '%s'", cmp.Or(b, Application)),
		rows: rows, beyond: beyond,
	}
}

// Classes of load balancers and listeners.
const (
	application class = 1 << iota
	network
	gateway
)

func classOf(b Balancer) class {
	switch b {
	case Network:
		return network
	case Gateway:
		return gateway
	default:
		return application
	}
}

// Classes of target groups.
const (
	routed    class = 1 << iota // of an Application Load Balancer, instances or addresses
	lambda                      // functions
	streams                     // TCP and TLS of a Network Load Balancer, instances
	toAddress                   // the same, addresses
	datagrams                   // UDP, TCP_UDP, QUIC, TCP_QUIC
	toALB                       // an Application Load Balancer behind a Network Load Balancer
	geneve                      // of a Gateway Load Balancer

	ofNLB = streams | toAddress | datagrams | toALB
)

func (k Kind) class() class {
	switch balancer := k.Balancer(); {
	case k.Targets == Lambda:
		return lambda
	case k.Targets == Balancers:
		return toALB
	case balancer == Gateway:
		return geneve
	case balancer == Application:
		return routed
	case k.Protocol != TCP && k.Protocol != TLS:
		return datagrams
	case k.Targets == Addresses:
		return toAddress
	default:
		return streams
	}
}
