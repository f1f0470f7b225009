package balancer

import (
	"fmt"
	"strings"
	"time"

	"hale/internal/balancer/inventory"
	"hale/internal/elb"
	"hale/internal/elb/rule"
)

// conditionWords tells what a condition asks for, as a person would say it.
func conditionWords(c rule.Condition) string {
	values := c.Values
	verb := "is"
	if len(c.RegexValues) > 0 {
		values, verb = c.RegexValues, "matches"
	}
	if len(c.QueryStringValues) > 0 {
		values = nil
		for _, pair := range c.QueryStringValues {
			if pair.Key == "" {
				values = append(values, "*="+pair.Value)
			} else {
				values = append(values, pair.Key+"="+pair.Value)
			}
		}
	}
	subject := string(c.Field)
	switch c.Field {
	case rule.HostHeader:
		subject = "host"
	case rule.PathPattern:
		subject = "path"
	case rule.HTTPHeader:
		subject = "header " + c.HTTPHeaderName
	case rule.HTTPRequestMethod:
		subject = "method"
	case rule.QueryString:
		subject, verb = "query", "has"
	case rule.SourceIP:
		subject = "client's address"
	}
	return subject + " " + verb + " " + strings.Join(values, " or ")
}

// transformWords tells what a transform does.
func transformWords(t rule.Transform) string {
	subject := "path"
	if t.Type == rule.HostHeaderRewrite {
		subject = "host"
	}
	var parts []string
	for _, r := range t.Rewrites {
		parts = append(parts, fmt.Sprintf("%s %s becomes %s", subject, r.Regex, r.Replace))
	}
	return strings.Join(parts, ", ")
}

// actionWords tells what is done with a request.
func actionWords(a *rule.Action, v *inventory.Inventory) string {
	switch {
	case a == nil:
		return "nothing"
	case a.ForwardConfig != nil:
		return forwardWords(a.ForwardConfig, v)
	case a.RedirectConfig != nil:
		return fmt.Sprintf("redirect with %d to %s", a.RedirectConfig.Status(), a.RedirectConfig.Location())
	case a.FixedResponseConfig != nil:
		words := fmt.Sprintf("answer %d", a.FixedResponseConfig.Status())
		if body := a.FixedResponseConfig.MessageBody; body != "" {
			words += ": " + shortened(body, 100)
		}
		return words
	default:
		return string(a.Type)
	}
}

func forwardWords(c *rule.ForwardConfig, v *inventory.Inventory) string {
	total := 0
	for _, g := range c.TargetGroups {
		total += g.Weight
	}
	var parts []string
	for _, g := range c.TargetGroups {
		name := g.TargetGroupArn
		if known := v.Groups[name]; known != nil {
			name = known.Name
		}
		if len(c.TargetGroups) > 1 {
			name += fmt.Sprintf(" %s", share(g.Weight, total))
		}
		parts = append(parts, name)
	}
	words := "forward to " + strings.Join(parts, ", ")
	if s := c.TargetGroupStickinessConfig; s.Enabled {
		words += fmt.Sprintf(", a client stays for %v", time.Duration(s.DurationSeconds)*time.Second)
	}
	return words
}

func share(weight, total int) string {
	if total == 0 {
		return "0 %"
	}
	return fmt.Sprintf("%.3g %%", 100*float64(weight)/float64(total))
}

// checkWords tells how a group's targets are asked.
func checkWords(g *inventory.Group) string {
	c := g.HealthCheck
	var b strings.Builder
	b.WriteString(string(c.Protocol))
	if c.Path != "" && c.Protocol != elb.TCP {
		b.WriteString(" " + c.Path)
	}
	if c.Port != 0 {
		fmt.Fprintf(&b, " at port %d", c.Port)
	}
	fmt.Fprintf(&b, " each %v, time-out %v, healthy after %d, unhealthy after %d", c.Interval, c.Timeout, c.Healthy, c.Unhealthy)
	if c.Matcher != "" && c.Protocol != elb.TCP {
		b.WriteString(", wants " + c.Matcher)
	}
	return b.String()
}

func shortened(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}
