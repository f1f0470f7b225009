package rule

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"hale/internal/elb"
)

// Request is what conditions, redirects and transforms see of a request.
type Request struct {
	Method   string
	Host     string // as sent; may have a port
	Path     string // escaped, as sent
	RawQuery string // without the question mark
	Header   Header // may be nil

	// Peer is who is connected: never one from X-Forwarded-For.
	Peer netip.Addr

	// Protocol and Port are the listener's. Redirects alone need them.
	Protocol elb.Protocol
	Port     int
}

// Header gives access to header fields. http.Header is one.
type Header interface {
	Values(name string) []string
}

// Table is the rules of a listener, ready to be matched. It does not change, and
// any number of goroutines may use it.
type Table struct {
	entries []Entry // by priority, the default rule last
}

// Entry is a rule in a Table. Its Rule must not be changed.
type Entry struct {
	Rule

	// Index is its place among the table's Entries, for what a caller keeps
	// beside them.
	Index int

	action     *Action
	conditions []condition
	location   location
	host, url  *rewrite // nil: none
}

// NewTable makes a table of rules in any order, of which exactly one is the
// default rule. They have passed Validate: what it would refuse is refused here
// only where it could not be used. The error is an *elb.Error.
func NewTable(rules []Rule) (*Table, error) {
	t := &Table{entries: make([]Entry, len(rules))}
	for i, r := range rules {
		e := &t.entries[i]
		e.Rule = r
		if err := e.compile(); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(t.entries, func(a, b Entry) int { return order(&a) - order(&b) })
	for i := range t.entries {
		e := &t.entries[i]
		e.Index = i
		if i > 0 && e.Priority == t.entries[i-1].Priority {
			if e.IsDefault() {
				return nil, invalid("A listener must have exactly one default rule")
			}
			return nil, elb.Errorf(codePriority, "The specified priority is in use: %d", e.Priority)
		}
	}
	switch n := len(t.entries); {
	case n == 0 || !t.entries[n-1].IsDefault():
		return nil, invalid("A listener must have exactly one default rule")
	case n-1 > MaxRules:
		return nil, elb.Errorf(codeRules, "A listener can have at most %d rules", MaxRules)
	}
	return t, nil
}

// order is the priority, with the default rule's after all others.
func order(e *Entry) int {
	if e.IsDefault() {
		return MaxPriority + 1
	}
	return e.Priority
}

// Entries returns the rules in the order in which they are tried. They must not
// be changed.
func (t *Table) Entries() []Entry { return t.entries }

// Match returns the first rule whose conditions the request fulfils; that is the
// default rule if there is no other. It allocates nothing, unless the Host has
// upper-case letters or a Header's Values does.
func (t *Table) Match(r *Request) *Entry {
	s := subject{r: r, host: lower(HostName(r.Host))}
	last := len(t.entries) - 1
	for i := range t.entries[:last] {
		if e := &t.entries[i]; e.fulfilledBy(&s) {
			return e
		}
	}
	return &t.entries[last]
}

// Action returns the action that routes the request.
func (e *Entry) Action() *Action { return e.action }

func (e *Entry) fulfilledBy(s *subject) bool {
	for i := range e.conditions {
		if !e.conditions[i].fulfilledBy(s) {
			return false
		}
	}
	return true
}

// compile makes an entry ready.
func (e *Entry) compile() error {
	if e.action = e.Rule.Action(); e.action == nil {
		return invalid("A rule must have at least one action")
	}
	for i := range e.Conditions {
		c, err := newCondition(&e.Conditions[i])
		if err != nil {
			return err
		}
		e.conditions = append(e.conditions, c)
	}
	// What is cheap to look at, or rarely fulfilled, comes first.
	slices.SortStableFunc(e.conditions, func(a, b condition) int { return cost(a.field) - cost(b.field) })
	if e.action.Type == Redirect && e.action.RedirectConfig != nil {
		e.location = newLocation(e.action.RedirectConfig.Filled())
	}
	for _, t := range e.Transforms {
		if len(t.Rewrites) == 0 {
			continue
		}
		w, err := newRewrite(t.Rewrites[0])
		if err != nil {
			return invalid("Regular expression '%s' is not valid: %v", printable(t.Rewrites[0].Regex), err)
		}
		switch t.Type {
		case HostHeaderRewrite:
			e.host = w
		case URLRewrite:
			e.url = w
		}
	}
	return nil
}

func cost(f Field) int {
	return slices.Index([]Field{HTTPRequestMethod, HostHeader, PathPattern, SourceIP, QueryString, HTTPHeader}, f)
}

// subject is a request as it is matched.
type subject struct {
	r    *Request
	host string // in lower case, without the port
}

// condition is a Condition made ready. One of its alternatives is enough.
type condition struct {
	field    Field
	name     string // of http-header
	words    []string
	patterns []wildcard
	regexes  []*regexp.Regexp
	prefixes []netip.Prefix
	pairs    []pair
}

// pair is a KeyValue made ready.
type pair struct {
	anyKey     bool
	key, value wildcard
}

func newCondition(c *Condition) (condition, error) {
	compiled := condition{field: c.Field, name: c.HTTPHeaderName}
	for _, v := range c.Values {
		switch c.Field {
		case HTTPRequestMethod:
			compiled.words = append(compiled.words, v)
		case SourceIP:
			p, err := netip.ParsePrefix(v)
			if err != nil {
				return condition{}, invalid("Condition value '%s' is not a CIDR block, as in 192.0.2.0/24", printable(v))
			}
			compiled.prefixes = append(compiled.prefixes, p.Masked())
		case HostHeader: // in lower case, as the subject
			compiled.patterns = append(compiled.patterns, newWildcard(lower(v), false, false))
		case PathPattern:
			compiled.patterns = append(compiled.patterns, newWildcard(strings.ReplaceAll(v, "&amp;", "&"), false, false))
		case HTTPHeader:
			compiled.patterns = append(compiled.patterns, newWildcard(v, true, false))
		case QueryString:
			return condition{}, invalid("The values of a condition of type '%s' are pairs of 'QueryStringConfig'", c.Field)
		}
	}
	for _, v := range c.RegexValues {
		re, err := regexp.Compile(v)
		if err != nil {
			return condition{}, invalid("Regular expression '%s' is not valid: %v", printable(v), err)
		}
		compiled.regexes = append(compiled.regexes, re)
	}
	for _, v := range c.QueryStringValues {
		compiled.pairs = append(compiled.pairs, pair{
			anyKey: v.Key == "",
			key:    newWildcard(v.Key, true, true),
			value:  newWildcard(v.Value, true, true),
		})
	}
	return compiled, nil
}

func (c *condition) fulfilledBy(s *subject) bool {
	switch c.field {
	case HTTPRequestMethod:
		return slices.Contains(c.words, s.r.Method)
	case HostHeader:
		return c.matches(s.host) || c.matchesHost(s)
	case PathPattern:
		return c.matches(s.r.Path) || c.matchesRegex(s.r.Path)
	case HTTPHeader:
		return c.matchesField(s.r.Header)
	case SourceIP:
		return c.contains(s.r.Peer)
	case QueryString:
		return c.matchesQuery(s.r.RawQuery)
	default:
		return false
	}
}

func (c *condition) matches(value string) bool {
	for i := range c.patterns {
		if c.patterns[i].matches(value) {
			return true
		}
	}
	return false
}

// matchesRegex: an expression matches anywhere unless it is anchored, as in the
// guide's examples of transforms. Unconfirmed for conditions.
func (c *condition) matchesRegex(value string) bool {
	for _, re := range c.regexes {
		if re.MatchString(value) {
			return true
		}
	}
	return false
}

// matchesHost compares expressions with the host as sent, which is how people
// tell ports apart (hashicorp/terraform-provider-aws#49147), and without its port
// (unconfirmed), both in lower case (unconfirmed).
func (c *condition) matchesHost(s *subject) bool {
	if len(c.regexes) == 0 {
		return false
	}
	return c.matchesRegex(s.host) || len(s.host) < len(s.r.Host) && c.matchesRegex(lower(s.r.Host))
}

// matchesField: of a field that is there more than once, each value is tried
// (ELBv2 API, HttpHeaderConditionConfig).
func (c *condition) matchesField(h Header) bool {
	if h == nil {
		return false
	}
	for _, value := range h.Values(c.name) {
		if c.matches(value) || c.matchesRegex(value) {
			return true
		}
	}
	return false
}

func (c *condition) contains(peer netip.Addr) bool {
	peer = peer.Unmap().WithZone("")
	for _, p := range c.prefixes {
		if p.Contains(peer) {
			return true
		}
	}
	return false
}

// matchesQuery compares the query as sent, nothing unescaped (unconfirmed). What
// has no equals sign is a key with an empty value (unconfirmed).
func (c *condition) matchesQuery(query string) bool {
	for query != "" {
		var part string
		part, query, _ = strings.Cut(query, "&")
		if part == "" {
			continue
		}
		key, value, _ := strings.Cut(part, "=")
		for i := range c.pairs {
			p := &c.pairs[i]
			if (p.anyKey || p.key.matches(key)) && p.value.matches(value) {
				return true
			}
		}
	}
	return false
}

// HostName returns a host without its port. That a condition's host name is
// compared so is unconfirmed, but it can hold no colon.
func HostName(host string) string {
	i := strings.LastIndexByte(host, ':')
	if i < 0 || strings.Trim(host[i+1:], digits) != "" { // none, or within an IPv6 address
		return host
	}
	return host[:i]
}
