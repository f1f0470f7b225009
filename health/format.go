package health

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// format is how an answer is written.
type format uint8

const (
	formatPlain format = iota
	formatHealthJSON
	formatJSON // the same document under the name that most tools ask for
	formatHTML
	formatMetrics
)

// chooseFormat decides by ?format= if it is there, else by the Accept header.
func chooseFormat(rawQuery, accept string, t target) (format, error) {
	if rawQuery == "" {
		return negotiate(accept), nil
	}
	name, ok := queryValue(rawQuery, "format")
	if !ok {
		return negotiate(accept), nil
	}
	switch name {
	case "plain":
		return formatPlain, nil
	case "json":
		return formatHealthJSON, nil
	case "html":
		return formatHTML, nil
	case "openmetrics":
		if t != targetReady {
			return 0, errors.New("format openmetrics is answered at the health path alone; known here: plain, json, html")
		}
		return formatMetrics, nil
	}
	return 0, fmt.Errorf("unknown format %.40q; known: plain, json, html, openmetrics", name)
}

// queryValue returns the first value of key in a raw query. Parts that cannot be
// unescaped are passed over: a load balancer's odd query is no reason to fail.
func queryValue(rawQuery, key string) (string, bool) {
	for part := range strings.SplitSeq(rawQuery, "&") {
		k, v, _ := strings.Cut(part, "=")
		if k, err := url.QueryUnescape(k); err != nil || k != key {
			continue
		}
		if v, err := url.QueryUnescape(v); err == nil {
			return v, true
		}
	}
	return "", false
}

// offers are the media types that can be negotiated, in our order of preference.
var offers = [...]struct {
	format        format
	kind, subtype string
}{
	{formatPlain, "text", "plain"},
	{formatHealthJSON, "application", "health+json"},
	{formatJSON, "application", "json"},
	{formatHTML, "text", "html"},
}

// match is the media range of an Accept header that fits an offer best.
type match struct {
	precision int // 0 none, 1 */*, 2 text/*, 3 text/plain
	quality   int // in thousandths
	position  int // in the header
}

// negotiate chooses a format by an Accept header (RFC 9110, section 12.5.1). Of
// equally welcome ones it takes what the client names first, then ours. If
// nothing is acceptable the answer is plain: a 406 would be one more way for a
// well instance to look ill. Parameters other than q do not matter.
func negotiate(accept string) format {
	if accept == "" || accept == "*/*" { // load balancers
		return formatPlain
	}
	var matches [len(offers)]match
	for position := 0; accept != ""; position++ {
		var element string
		element, accept = cutElement(accept)
		mediaRange, quality, ok := parseElement(element)
		if !ok {
			continue
		}
		for i := range offers {
			m := match{mediaRange.precision(offers[i].kind, offers[i].subtype), quality, position}
			if m.precision > matches[i].precision {
				matches[i] = m
			}
		}
	}
	best, chosen := match{}, formatPlain
	for i, m := range matches {
		if m.quality > best.quality || m.quality == best.quality && m.quality > 0 && m.position < best.position {
			best, chosen = m, offers[i].format
		}
	}
	return chosen
}

// mediaRange is a media range such as text/*.
type mediaRange struct{ kind, subtype string }

// precision says how closely the range describes a media type; 0 is not at all.
func (r mediaRange) precision(kind, subtype string) int {
	switch {
	case strings.EqualFold(r.kind, kind) && strings.EqualFold(r.subtype, subtype):
		return 3
	case strings.EqualFold(r.kind, kind) && r.subtype == "*":
		return 2
	case r.kind == "*" && r.subtype == "*":
		return 1
	}
	return 0
}

// cutElement cuts a list at its first comma that is not in a quoted string.
func cutElement(list string) (element, rest string) {
	return cutOutsideQuotes(list, ',')
}

func cutOutsideQuotes(s string, separator byte) (before, after string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case !quoted && s[i] == separator:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// parseElement reads a media range with its weight.
func parseElement(element string) (r mediaRange, quality int, ok bool) {
	name, parameters := cutOutsideQuotes(element, ';')
	r.kind, r.subtype, ok = strings.Cut(strings.Trim(name, " \t"), "/")
	if !ok {
		return r, 0, false
	}
	quality = 1000
	for parameters != "" {
		var parameter string
		parameter, parameters = cutOutsideQuotes(parameters, ';')
		key, value, _ := strings.Cut(strings.Trim(parameter, " \t"), "=")
		if strings.EqualFold(key, "q") {
			quality, ok = parseQuality(value)
			return r, quality, ok
		}
	}
	return r, quality, true
}

// parseQuality reads a qvalue (RFC 9110, section 12.4.2) in thousandths.
func parseQuality(s string) (int, bool) {
	whole, fraction, _ := strings.Cut(s, ".")
	if whole != "0" && whole != "1" || len(fraction) > 3 {
		return 0, false
	}
	quality, unit := 0, 100
	for _, c := range []byte(fraction) {
		if c < '0' || c > '9' {
			return 0, false
		}
		quality += int(c-'0') * unit
		unit /= 10
	}
	if whole == "1" {
		quality += 1000
	}
	return min(quality, 1000), quality <= 1000
}
