package spread

import (
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"hale/internal/elb"
)

// Cookie is which cookie makes a client's requests stick.
type Cookie int

// Cookies (guide of Application Load Balancers, "Sticky sessions").
const (
	// TargetCookie is AWSALB and AWSALBCORS: a target, for a time.
	TargetCookie Cookie = iota
	// GroupCookie is AWSALBTG and AWSALBTGCORS: a target group, of those that an
	// action forwards to.
	GroupCookie
	// ApplicationCookie is AWSALBAPP-0 to -3: a target, while the client has a
	// cookie of the application.
	ApplicationCookie
	// ClassicCookie is AWSELB and AWSELBCORS, a Classic Load Balancer's: a target, for
	// as long as the client keeps it. It is set once, and its age is not looked at
	// (guide of Classic Load Balancers, "Sticky sessions", duration-based).
	ClassicCookie
)

// Stickiness says how requests stick to a target or a group. A cookie is good for
// Duration after the last answer that came with it: each answer has a new one.
type Stickiness struct {
	Cookie Cookie
	Sealer *Sealer
	// Scope is whose it is: KeyOf the target group's ARN, or of what names the
	// groups' rule. A cookie of another scope says nothing.
	Scope    uint64
	Duration time.Duration
	// Application is the name of the application's own cookie.
	Application string
}

// StickinessOf returns the stickiness of a target group by its attributes, nil if
// its requests stick to no target by cookie. ARN is the group's.
func StickinessOf(sealer *Sealer, arn string, k elb.Kind, attributes elb.Attributes) *Stickiness {
	full := elb.GroupAttributes(k).Full(attributes)
	s := &Stickiness{Sealer: sealer, Scope: KeyOf(arn, 0)}
	switch {
	case !full.Bool("stickiness.enabled"):
		return nil
	case full["stickiness.type"] == "lb_cookie":
		s.Duration = full.Duration("stickiness.lb_cookie.duration_seconds")
	case full["stickiness.type"] == "app_cookie":
		s.Cookie = ApplicationCookie
		s.Application = full["stickiness.app_cookie.cookie_name"]
		s.Duration = full.Duration("stickiness.app_cookie.duration_seconds")
	default:
		return nil
	}
	return s
}

// Classic returns the stickiness as a Classic Load Balancer has it, whose cookie is
// another one. Nil stays nil; that by an application's cookie stays as it is.
func (s *Stickiness) Classic() *Stickiness {
	if s == nil || s.Cookie != TargetCookie {
		return s
	}
	classic := *s
	classic.Cookie = ClassicCookie
	return &classic
}

// forms is how a cookie looks: the names it can come under, the first good one
// counting, and the purpose that its value is sealed for.
var forms = map[Cookie]struct {
	purpose string
	names   []string
}{
	TargetCookie:      {"AWSALB", []string{"AWSALB", "AWSALBCORS"}},
	GroupCookie:       {"AWSALBTG", []string{"AWSALBTG", "AWSALBTGCORS"}},
	ApplicationCookie: {"AWSALBAPP", []string{"AWSALBAPP-0"}},
	ClassicCookie:     {"AWSELB", []string{"AWSELB", "AWSELBCORS"}},
}

// Read returns the key of the target or group that a request sticks to. Headers
// are the values of its Cookie fields. If ok is false there is none: no cookie, one
// that is stale, or one that is none of ours. Then, and if the target may take no
// traffic, a new one is to be chosen.
func (s *Stickiness) Read(headers []string, now time.Time) (key uint64, ok bool) {
	if s.Cookie == ApplicationCookie && !hasCookie(headers, s.Application) {
		return 0, false
	}
	form := forms[s.Cookie]
	for _, name := range form.names {
		for value := range cookies(headers, name) {
			c, ok := s.Sealer.open(form.purpose, value)
			if ok && c.scope == s.Scope && (s.Cookie == ClassicCookie || now.Before(time.Unix(c.issued, 0).Add(s.Duration))) {
				return c.key, true
			}
		}
	}
	return 0, false
}

// cookieLife is the Expires of all cookies, whatever the Duration.
const cookieLife = 7 * 24 * time.Hour

// SetCookies returns the values of the Set-Cookie fields of an answer, by which
// the client's next requests stick to the key. Secure tells that the client came
// by HTTPS: of ApplicationCookie, which has no second one for use across sites,
// that one is then made fit for it (seen of AWS with a browser over HTTPS; what
// decides over it is unconfirmed).
func (s *Stickiness) SetCookies(key uint64, now time.Time, secure bool) []string {
	form := forms[s.Cookie]
	value := s.Sealer.seal(form.purpose, claim{s.Scope, key, now.Unix()})
	switch s.Cookie { //nolint:exhaustive // the others are alike
	case ApplicationCookie:
		return shards(value, now, secure)
	case ClassicCookie: // as pasted by people; of the age, the guide has the meaning
		rest := "=" + value + ";PATH=/;MAX-AGE=" + strconv.Itoa(int(s.Duration.Seconds()))
		return []string{form.names[0] + rest, form.names[1] + rest + ";SECURE;SAMESITE=None"}
	}
	return []string{
		setCookie(form.names[0], value, now, false),
		setCookie(form.names[1], value, now, true),
	}
}

// RemoveCookies returns the values of the Set-Cookie fields of an answer that
// sticks to nothing. They are for ApplicationCookie: when neither the answer sets
// the application's cookie, nor the request was sticky.
func (s *Stickiness) RemoveCookies(now time.Time, secure bool) []string {
	if s.Cookie != ApplicationCookie {
		return nil
	}
	return shards(removed, now, secure)
}

// removed is the value that AWS gives to a cookie that is to be no more.
const removed = "_remove_"

// mostShards: AWS cuts its value into up to four cookies of 4 KiB; ours never
// needs more than the first.
const mostShards = 4

func shards(first string, now time.Time, secure bool) []string {
	lines := make([]string, mostShards)
	value := first
	for i := range lines {
		lines[i] = setCookie("AWSALBAPP-"+strconv.Itoa(i), value, now, secure)
		value = removed
	}
	return lines
}

func setCookie(name, value string, now time.Time, acrossSites bool) string {
	line := name + "=" + value + "; Expires=" + now.Add(cookieLife).UTC().Format(http.TimeFormat) + "; Path=/"
	if acrossSites {
		line += "; SameSite=None; Secure"
	}
	return line
}

// SetsApplicationCookie tells whether an answer, by the values of its Set-Cookie
// fields, sets the application's cookie.
func (s *Stickiness) SetsApplicationCookie(fields []string) bool {
	return slices.ContainsFunc(fields, func(field string) bool {
		pair, _, _ := strings.Cut(field, ";")
		name, _, found := strings.Cut(pair, "=")
		return found && s.Application != "" && strings.TrimSpace(name) == s.Application
	})
}

func hasCookie(headers []string, name string) bool {
	for range cookies(headers, name) {
		return name != ""
	}
	return false
}

// cookies returns the values of a cookie, as clients send them (RFC 6265, 4.2.1).
func cookies(headers []string, name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, header := range headers {
			for pair := range strings.SplitSeq(header, ";") {
				got, value, found := strings.Cut(strings.Trim(pair, " \t"), "=")
				if found && got == name && !yield(value) {
					return
				}
			}
		}
	}
}
