package rule

import (
	"slices"
	"strconv"
	"strings"

	"hale/internal/elb"
)

func (r *Rule) checkActions(l Listener) *elb.Error {
	switch {
	case len(r.Actions) == 0:
		return invalid("A rule must have at least one action")
	case len(r.Actions) > maxActions:
		return elb.Errorf(codeActions, "A rule can have at most %d actions", maxActions)
	}
	for i := range r.Actions {
		if err := r.Actions[i].check(l); err != nil {
			return err
		}
	}
	if len(r.Actions) > 1 {
		return elb.Errorf(codeAction, "A rule must have exactly one action of type '%s', '%s' or '%s'", Forward, Redirect, FixedResponse)
	}
	return nil
}

func (a *Action) check(l Listener) *elb.Error {
	configs := []struct {
		of    ActionType
		name  string
		given bool
	}{
		{Forward, "ForwardConfig", a.ForwardConfig != nil},
		{Redirect, "RedirectConfig", a.RedirectConfig != nil},
		{FixedResponse, "FixedResponseConfig", a.FixedResponseConfig != nil},
	}
	for _, c := range configs {
		switch {
		case c.of == a.Type && !c.given:
			return elb.Errorf(codeAction, "For actions of type '%s', you must specify the following fields: '%s'", a.Type, c.name)
		case c.of != a.Type && c.given:
			return elb.Errorf(codeAction, "For actions of type '%s', you cannot specify the following fields: '%s'", printable(string(a.Type)), c.name)
		}
	}
	switch a.Type {
	case Forward:
		return a.ForwardConfig.check()
	case Redirect:
		return a.RedirectConfig.check(l)
	case FixedResponse:
		return a.FixedResponseConfig.check()
	case AuthenticateOIDC, AuthenticateCognito, JWTValidation:
		return elb.Errorf(codeAction, "The action '%s' is not available in hale balance: it needs a service outside of this machine", a.Type)
	default:
		return invalid("1 validation error detected: Value '%s' at 'actions.1.member.type' failed to satisfy constraint: Member must satisfy enum value set: [%s]", printable(string(a.Type)), join(ActionTypes()))
	}
}

func (c *ForwardConfig) check() *elb.Error {
	switch sticky := c.TargetGroupStickinessConfig; {
	case len(c.TargetGroups) == 0:
		return elb.Errorf(codeAction, "For actions of type '%s', you must specify at least one target group", Forward)
	case len(c.TargetGroups) > MaxGroups: // the code is unconfirmed
		return elb.Errorf(codeTargetGroups, "An action can have at most %d target groups", MaxGroups)
	case sticky.Enabled && sticky.DurationSeconds == 0:
		return elb.Errorf(codeAction, "You must specify a target group stickiness duration when target group stickiness is enabled")
	case sticky.DurationSeconds < 0 || sticky.DurationSeconds > maxStickiness:
		return invalid("Target group stickiness duration '%d' must be between 1 and %d seconds", sticky.DurationSeconds, maxStickiness)
	}
	seen := map[string]bool{}
	for _, g := range c.TargetGroups {
		switch {
		case g.TargetGroupArn == "":
			return invalid("A target group ARN must be specified")
		case seen[g.TargetGroupArn]:
			return elb.Errorf(codeAction, "Target group '%s' is in the action more than once", printable(g.TargetGroupArn))
		case g.Weight < 0 || g.Weight > maxWeight:
			return invalid("Weight '%d' must be between 0 and %d", g.Weight, maxWeight)
		}
		seen[g.TargetGroupArn] = true
	}
	return nil
}

var contentTypes = []string{"text/plain", "text/css", "text/html", "application/javascript", "application/json"}

func (c *FixedResponseConfig) check() *elb.Error {
	status := c.StatusCode
	switch {
	case len(status) != 3 || strings.Trim(status, digits) != "" || !strings.Contains("245", status[:1]):
		return invalid("1 validation error detected: Value '%s' at 'fixedResponseConfig.statusCode' failed to satisfy constraint: Member must satisfy regular expression pattern: ^(2|4|5)\\d\\d$", printable(status))
	case c.ContentType != "" && !slices.Contains(contentTypes, c.ContentType):
		return invalid("Content type '%s' must be one of '%s'", printable(c.ContentType), join(contentTypes))
	case len(c.MessageBody) > maxMessage:
		return invalid("The message body of a fixed response cannot be longer than '%d' bytes", maxMessage)
	}
	return nil
}

// loop is ELB's sentence (kubernetes-sigs/aws-load-balancer-controller#1752: seen
// for HTTPS, port 443, at a listener of HTTPS and port 443).
const loop = "The redirect configuration is not valid because it creates a loop."

func (c *RedirectConfig) check(l Listener) *elb.Error {
	filled := c.Filled()
	switch c.StatusCode {
	case "HTTP_301", "HTTP_302":
	default:
		return invalid("1 validation error detected: Value '%s' at 'redirectConfig.statusCode' failed to satisfy constraint: Member must satisfy enum value set: [HTTP_301, HTTP_302]", printable(c.StatusCode))
	}
	switch filled.Protocol {
	case "#{protocol}", string(elb.HTTPS):
	case string(elb.HTTP):
		if l.Protocol == elb.HTTPS {
			return elb.Errorf(codeAction, "You cannot redirect from HTTPS to HTTP")
		}
	default:
		return invalid("Redirect protocol '%s' must be HTTP, HTTPS or #{protocol}", printable(c.Protocol))
	}
	if port, err := strconv.Atoi(filled.Port); filled.Port != "#{port}" && (err != nil || port < 1 || port > maxPort || filled.Port != strconv.Itoa(port)) {
		return invalid("Redirect port '%s' must be between 1 and %d, or #{port}", printable(c.Port), maxPort)
	}
	for _, part := range redirectParts {
		if err := part.check(part.of(&filled)); err != nil {
			return err
		}
	}
	if filled.Host == "#{host}" && filled.Path == "/#{path}" &&
		(filled.Protocol == "#{protocol}" || filled.Protocol == string(l.Protocol)) &&
		(filled.Port == "#{port}" || filled.Port == strconv.Itoa(l.Port)) {
		return elb.Errorf(codeAction, loop)
	}
	return nil
}

// redirectPart is what one part of a redirect may hold.
type redirectPart struct {
	name     string
	of       func(*RedirectConfig) string
	keywords []string // ELBv2 API, RedirectActionConfig, and the guide, "Redirect actions"
	allowed  string   // characters beside keywords; "": all that are visible, but #
}

var redirectParts = []redirectPart{
	{"host", func(c *RedirectConfig) string { return c.Host }, []string{"#{host}"}, letters + digits + "-."},
	{"path", func(c *RedirectConfig) string { return c.Path }, []string{"#{host}", "#{path}", "#{port}"}, ""},
	{"query", func(c *RedirectConfig) string { return c.Query }, []string{"#{protocol}", "#{host}", "#{port}", "#{path}", "#{query}"}, ""},
}

func (p *redirectPart) check(value string) *elb.Error {
	var gone []string
	for _, keyword := range p.keywords {
		gone = append(gone, keyword, "")
	}
	rest := strings.NewReplacer(gone...).Replace(value)
	switch {
	case len(value) > maxRedirectPart:
		return invalid("Redirect %s '%s' cannot be longer than '%d' characters", p.name, printable(value), maxRedirectPart)
	case p.name == "path" && value[0] != '/':
		return invalid("Redirect path '%s' must begin with '/'", printable(value))
	case strings.Contains(rest, "#{"):
		return invalid("Redirect %s '%s' has a keyword that cannot be used there; the keywords are %s", p.name, printable(value), strings.Join(p.keywords, ", "))
	case p.allowed != "" && strings.Trim(rest, p.allowed) != "",
		strings.ContainsAny(rest, "# ") || checkText(rest) != nil:
		return invalid("Redirect %s '%s' contains a character that is not valid", p.name, printable(value))
	}
	return nil
}
