package listen

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"hale/internal/probe"
)

// Likeness is a prober that a visit may be from.
type Likeness struct {
	Prober *probe.Prober
	// Signs are what tells of the prober besides the request, such as where it
	// comes from.
	Signs []string
	// Differs is what the visit has that the prober, as it is known, does not,
	// and the other way round.
	Differs []string
	weight  int
}

// How much differences weigh. What can be configured at a prober weighs little.
const (
	weightProtocol = 4
	weightMethod   = 4
	weightVersion  = 3
	weightAgent    = 3
	weightField    = 2
	weightHost     = 2
	weightForm     = 1 // order, case
	// mostUnnamed is what may differ without a User-Agent that says the same.
	mostUnnamed = 1
)

// A sign is what tells of one prober besides what its row in the table has.
type sign struct {
	prober string
	weight int // negative: more like it
	// alone tells that the sign is enough; explains that what differs is what is
	// configured; differs that it is a difference.
	alone, explains, differs bool
	says                     func(v *Visit) string // "": the sign is not there
}

var signs = []sign{
	// "What is IP address 168.63.129.16?", Azure's documentation.
	{prober: "azure", weight: -100, alone: true, says: from("168.63.129.16/32", "Azure's address for probes")},
	// "Health checks overview", probe IP ranges, Google Cloud's documentation.
	{prober: "gcp", weight: -100, alone: true, says: from("35.191.0.0/16", "a range of Google's probers")},
	{prober: "gcp", weight: -100, alone: true, says: from("130.211.0.0/22", "a range of Google's probers")},
	{prober: "nlb", weight: -weightAgent, says: localHeader},
	{prober: "haproxy", weight: -100, alone: true, explains: true, says: lowerCase},
	{prober: "docker", weight: weightForm, differs: true, says: fromElsewhere},
}

// from is the sign of an address from which one prober alone comes.
func from(network, what string) func(*Visit) string {
	prefix := netip.MustParsePrefix(network)
	return func(v *Visit) string {
		if !prefix.Contains(v.Peer.Addr()) {
			return ""
		}
		return "it comes from " + what
	}
}

// fromElsewhere is the sign of a client outside the container, where no command of
// a HEALTHCHECK runs.
func fromElsewhere(v *Visit) string {
	if v.Peer.Addr() == v.Local.Addr() || v.Peer.Addr().Unmap().IsLoopback() {
		return ""
	}
	return "comes from another machine"
}

// localHeader is the sign of an NLB's PROXY header, which is for no client and
// is filled up to 100 bytes (kubernetes/kubernetes#57250).
func localHeader(v *Visit) string {
	if v.Proxy == nil || !v.Proxy.Local || len(v.Proxy.Extras) == 0 {
		return ""
	}
	return "its PROXY header is for no client"
}

// lowerCase is the sign of HAProxy's "http-check send": it has no User-Agent, and
// writes names in lower case into HTTP/1, where nearly nobody else does; into
// HTTP/2 it writes host, where others write :authority.
func lowerCase(v *Visit) string {
	if v.Kind != Whole || len(v.Request.Fields) == 0 {
		return ""
	}
	for _, f := range v.Request.Fields {
		if f.Name != strings.ToLower(f.Name) || f.Name == "user-agent" || f.Name == ":authority" {
			return ""
		}
	}
	if _, ok := v.Request.Get("host"); v.Request.HTTP2() {
		if !ok {
			return ""
		}
		return "host in the place of :authority, as http-check send writes it"
	}
	return "names in lower case, as http-check send writes them"
}

// recognise compares a visit with each prober of a table, and returns those that
// it is most like; none if it is like none.
func recognise(v *Visit, table []probe.Prober) []Likeness {
	var found []Likeness
	known := v.Kind == Whole && slices.ContainsFunc(table, func(row probe.Prober) bool {
		agent, ok := fieldOf(sentFields(&row, v.Request), "User-Agent")
		sent, _ := v.Request.Get("User-Agent")
		return ok && agent == sent
	})
	for i := range table {
		row := &table[i]
		var l Likeness
		var ok bool
		switch v.Kind {
		case Whole:
			l, ok = compare(v, row, known)
		case Bare:
			ok = slices.Contains(row.Protocols, probe.TCP)
		case Handshake:
			ok = slices.Contains(row.Protocols, probe.TLS) && v.TLS.Version != 0
		default:
		}
		l.Prober = row
		for _, s := range signs {
			if s.prober != row.Name || !ok && !s.alone {
				continue
			}
			text := s.says(v)
			if text == "" {
				continue
			}
			ok = true
			l.weight += s.weight
			switch {
			case s.differs:
				l.Differs = append(l.Differs, text)
				continue
			case s.explains:
				l.Differs = nil
			}
			l.Signs = append(l.Signs, text)
		}
		if ok {
			found = append(found, l)
		}
	}
	slices.SortStableFunc(found, func(a, b Likeness) int { return cmp.Compare(a.weight, b.weight) })
	return slices.DeleteFunc(found, func(l Likeness) bool { return l.weight > found[0].weight })
}

// compare compares a request with what a prober sends. Known tells that a row of
// the table has just this User-Agent.
func compare(v *Visit, row *probe.Prober, known bool) (l Likeness, ok bool) {
	differs := func(weight int, format string, args ...any) {
		l.Differs = append(l.Differs, fmt.Sprintf(format, args...))
		l.weight += weight
	}
	named, strange := false, false
	agent, hasRow := fieldOf(sentFields(row, v.Request), "User-Agent")
	sent, has := v.Request.Get("User-Agent")
	switch {
	case has != hasRow:
		strange = true
	case has && product(agent) != product(sent):
		strange = true
		differs(weightAgent, "User-Agent: %s, not %s", sent, agent)
	case has:
		named = true
		if known && agent != sent {
			differs(weightAgent, "its User-Agent is %s", agent)
		}
	}
	if protocol := spoken(v); !slices.ContainsFunc(row.Protocols, func(p probe.Protocol) bool { return slices.Contains(protocol.as, p) }) {
		differs(weightProtocol, "%s", protocol.name)
	} else if v.TLS != nil {
		compareHello(v.TLS, row, differs)
	}
	if !v.Request.HTTP2() {
		compareLine(v.Request, row, differs)
	}
	compareFields(v, row, differs)
	return l, !strange && (named || l.weight <= mostUnnamed)
}

// spoken is what is spoken in a visit, and which protocols of probers that is.
func spoken(v *Visit) (p struct {
	name string
	as   []probe.Protocol
},
) {
	secure := v.TLS != nil
	switch {
	case v.Request.GRPC() && secure:
		p.name, p.as = "gRPC over TLS", []probe.Protocol{probe.GRPCS}
	case v.Request.GRPC():
		p.name, p.as = "gRPC", []probe.Protocol{probe.GRPC}
	case v.Request.HTTP2() && secure:
		p.name, p.as = "HTTP/2 over TLS", []probe.Protocol{probe.H2, probe.HTTPS}
	case v.Request.HTTP2():
		p.name, p.as = "HTTP/2 without TLS", []probe.Protocol{probe.H2C}
	case secure:
		p.name, p.as = "over TLS", []probe.Protocol{probe.HTTPS}
	default:
		p.name, p.as = "HTTP without TLS", []probe.Protocol{probe.HTTP}
	}
	return p
}

// compareHello compares what a client says before its request over TLS.
func compareHello(h *Hello, row *probe.Prober, differs func(weight int, format string, args ...any)) {
	if h.ServerName != "" && !row.ServerName {
		differs(weightForm, "SNI %s, not none", h.ServerName)
	}
	if !slices.Equal(h.ALPN, row.ALPN) {
		differs(weightForm, "ALPN %s, not %s", list(h.ALPN), list(row.ALPN))
	}
	if row.MaxTLS != 0 && h.Newest > row.MaxTLS {
		differs(weightForm, "up to %s, not %s", versionName(h.Newest), versionName(row.MaxTLS))
	}
}

func list(items []string) string { return cmp.Or(strings.Join(items, " "), "none") }

// compareLine compares the request line of HTTP/1.
func compareLine(r *Request, row *probe.Prober, differs func(weight int, format string, args ...any)) {
	if r.Method != row.Method {
		differs(weightMethod, "%s, not %s", r.Method, row.Method)
	}
	if r.Version != row.Version {
		differs(weightVersion, "%s, not %s", r.Version, row.Version)
	}
}

// compareFields compares the header.
func compareFields(v *Visit, row *probe.Prober, differs func(weight int, format string, args ...any)) {
	sent, known := fieldsOf(v.Request), sentFields(row, v.Request)
	var order, knownOrder []string // of the fields that both have
	for _, f := range known {
		at := slices.IndexFunc(sent, func(g probe.Field) bool { return strings.EqualFold(g.Name, f.Name) })
		if at < 0 {
			differs(weightField, "no %s", f.Name)
			continue
		}
		knownOrder = append(knownOrder, strings.ToLower(f.Name))
		switch {
		case f.Name == "Host", f.Name == "User-Agent":
		case sent[at].Value != f.Value:
			differs(weightField, "%s: %s, not %s", f.Name, sent[at].Value, f.Value)
		}
		if sent[at].Name != f.Name && !v.Request.HTTP2() {
			differs(weightForm, "writes %s, not %s", sent[at].Name, f.Name)
		}
	}
	for _, f := range sent {
		switch _, ok := fieldOf(known, f.Name); {
		case !ok:
			differs(weightField, "also %s: %s", f.Name, f.Value)
		case !slices.Contains(order, strings.ToLower(f.Name)):
			order = append(order, strings.ToLower(f.Name))
		}
	}
	if !slices.Equal(order, knownOrder) && !v.Request.HTTP2() {
		differs(weightForm, "another order of the header")
	}
	if _, ok := fieldOf(known, "Host"); !ok {
		return
	}
	if host, ok := v.Request.Host(); ok {
		if weight, text := hostDiffers(row.Host, host, v); text != "" {
			differs(weight, "Host %s", text)
		}
	}
}

// sentFields are the fields that a prober sends with a request of that kind.
func sentFields(row *probe.Prober, r *Request) []probe.Field {
	fields := row.Fields
	if r.GRPC() && len(row.GRPCFields) > 0 {
		fields = row.GRPCFields
	}
	if !r.HTTP2() {
		return fields
	}
	return slices.DeleteFunc(slices.Clone(fields), func(f probe.Field) bool { return f.Name == "Connection" }) // HTTP/2 has none
}

// fieldsOf are the fields of a request, as HTTP/1 has them: Host for HTTP/2's
// :authority, and none of its other pseudo-fields.
func fieldsOf(r *Request) []probe.Field {
	if !r.HTTP2() {
		return r.Fields
	}
	var fields []probe.Field
	for _, f := range r.Fields {
		switch {
		case f.Name == ":authority":
			fields = append(fields, probe.Field{Name: "Host", Value: f.Value})
		case !strings.HasPrefix(f.Name, ":"):
			fields = append(fields, f)
		}
	}
	return fields
}

// fieldOf returns the first value of a field, and whether there is one.
func fieldOf(fields []probe.Field, name string) (value string, ok bool) {
	for _, f := range fields {
		if strings.EqualFold(f.Name, name) {
			return f.Value, true
		}
	}
	return "", false
}

// hostDiffers tells how a Host differs from those that a prober makes, "" if it
// does not.
func hostDiffers(form probe.HostForm, host string, v *Visit) (weight int, text string) {
	name, port := splitHost(host)
	ip, err := netip.ParseAddr(name)
	isIP := err == nil
	usual := v.Local.Port() == 80 || v.Local.Port() == 443
	switch form {
	case probe.HostAddress, probe.HostAddressPort, probe.HostUsualPort:
		switch {
		case !isIP:
			return weightHost, "is a name, not an address"
		case form == probe.HostAddress && port != "":
			return weightHost, "has a port"
		case form == probe.HostAddressPort && port == "", form == probe.HostUsualPort && port == "" && !usual:
			return weightHost, "has no port"
		case form == probe.HostUsualPort && (port == "80" || port == "443"):
			return weightHost, "has port " + port
		case ip.Unmap() != v.Local.Addr() && v.Local.IsValid():
			return weightForm, fmt.Sprintf("is not the address that was connected to, %s", v.Local.Addr())
		}
	case probe.HostNode:
		switch {
		case !isIP:
			return weightHost, "is a name, not an address"
		case ip.Unmap() == v.Peer.Addr():
		case ip.Unmap() == v.Local.Addr():
			return weightHost, "is this machine's address, not the load balancer's"
		default:
			return weightForm, fmt.Sprintf("is not the address that it comes from, %s", v.Peer.Addr())
		}
	case probe.HostURL:
		if port == "80" || port == "443" {
			return weightHost, "has port " + port
		}
	case probe.HostURLPort:
		if port == "" {
			return weightHost, "has no port"
		}
	case probe.HostNone:
	}
	return 0, ""
}

// splitHost takes a Host apart; the port is "" if there is none.
func splitHost(host string) (name, port string) {
	if rest, ok := strings.CutPrefix(host, "["); ok {
		name, port, _ = strings.Cut(rest, "]")
		return name, strings.TrimPrefix(port, ":")
	}
	if strings.Count(host, ":") > 1 { // an IPv6 address without its brackets
		return host, ""
	}
	name, port, _ = strings.Cut(host, ":")
	return name, port
}

// product is the program in a User-Agent, without its version and remarks.
func product(agent string) string {
	if i := strings.IndexAny(agent, "/;("); i >= 0 {
		agent = agent[:i]
	}
	return strings.TrimSpace(agent)
}

// clients are the programs, no probers of the table, that send probes or are
// taken for them, by a part of their User-Agent.
var clients = []struct{ agent, name string }{
	{"Amazon Route 53 Health Check Service", "Route 53, as it once wrote its name"},
	{"GoogleStackdriverMonitoring-UptimeChecks", "uptime checks of Google Cloud Monitoring"},
	{"Envoy/HC", "Envoy's health check"},
	{"kamal-proxy", "kamal-proxy's health check"},
	{"Blackbox Exporter", "Prometheus' blackbox exporter"},
	{"Prometheus/", "Prometheus, which collects metrics"},
	{"check_http/", "check_http of Nagios or Icinga"},
	{"UptimeRobot", "UptimeRobot"},
	{"Pingdom", "Pingdom"},
	{"StatusCake", "StatusCake"},
	{"zgrab", "a scanner of the internet (zgrab)"},
	{"masscan", "a scanner of the internet (masscan)"},
	{"CensysInspect", "a scanner of the internet (Censys)"},
	{"curl/", "curl by hand"},
	{"Wget", "wget, by hand or as a container's HEALTHCHECK"},
	{"Go-http-client/", "a program in Go"},
	{"python-requests/", "a program in Python (requests)"},
	{"Python-urllib/", "a program in Python (urllib)"},
	{"Apache-HttpClient/", "a program in Java (Apache HttpClient)"},
	{"Java/", "a program in Java"},
	{"Mozilla/", "a browser, or what calls itself one"},
}

// clientOf names the client by its User-Agent, "" if it says nothing that is
// known.
func clientOf(v *Visit) string {
	if v.Request == nil {
		return ""
	}
	agent, _ := v.Request.Get("User-Agent")
	for _, c := range clients {
		if strings.Contains(agent, c.agent) {
			return c.name
		}
	}
	return ""
}
