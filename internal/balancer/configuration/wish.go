package configuration

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"hale/internal/balancer/inventory"
	"hale/internal/elb"
	"hale/internal/elb/rule"
)

// MadeTag is the tag of what a file made. Its value tells one wish from another:
// what the file says of a thing, without its name or place. While that stays the
// same, the thing is left alone, so that what the API changed of it meanwhile
// stands.
const MadeTag = "hale:file"

// targetsTag is the tag of a group that names the targets which the file
// registered.
const targetsTag = "hale:targets"

// fingerprint tells what is said of a thing from anything else.
func fingerprint(of any) string {
	text, _ := json.Marshal(of) // plain structs can be
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:6])
}

// tagsOf returns the tags of a wish, in order, the file's own last.
func tagsOf(said map[string]string, own ...inventory.Tag) []inventory.Tag {
	var tags []inventory.Tag
	for _, key := range slices.Sorted(maps.Keys(said)) {
		tags = append(tags, inventory.Tag{Key: key, Value: said[key]})
	}
	return append(tags, own...)
}

// tag returns the value of a tag; ok tells whether it is there.
func tag(tags []inventory.Tag, key string) (value string, ok bool) {
	i := slices.IndexFunc(tags, func(t inventory.Tag) bool { return t.Key == key })
	if i < 0 {
		return "", false
	}
	return tags[i].Value, true
}

// made tells whether a file made a thing with those tags.
func made(tags []inventory.Tag) bool {
	_, ok := tag(tags, MadeTag)
	return ok
}

// stands tells whether a thing is there as a file last said, and says now.
func stands(tags []inventory.Tag, says string) bool {
	was, ok := tag(tags, MadeTag)
	return ok && was == says
}

// kind is what the group is made for.
func (g *TargetGroup) kind() elb.Kind {
	k := elb.Kind{Protocol: g.Protocol, Version: g.ProtocolVersion, Targets: cmp.Or(g.TargetType, elb.Instances)}
	if k.Balancer() == elb.Application {
		k.Version = cmp.Or(k.Version, elb.HTTP1)
	}
	return k
}

func (g *TargetGroup) healthCheck() elb.HealthCheck {
	return elb.HealthCheck{
		Protocol: g.HealthCheckProtocol, Port: int(g.HealthCheckPort),
		Path: g.HealthCheckPath, Matcher: cmp.Or(g.Matcher.HTTPCode, g.Matcher.GRPCCode),
		Interval: seconds(g.HealthCheckIntervalSeconds), Timeout: seconds(g.HealthCheckTimeoutSeconds),
		Healthy: g.HealthyThresholdCount, Unhealthy: g.UnhealthyThresholdCount,
	}
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

// wish returns the group as it is asked for, without its targets.
func (g *TargetGroup) wish() inventory.NewGroup {
	return inventory.NewGroup{
		Name: g.Name, Kind: g.kind(), Port: g.Port, VPC: g.VpcID, IPAddressType: g.IPAddressType,
		HealthCheck: g.healthCheck(), Attributes: elb.Attributes(g.Attributes),
		Tags: tagsOf(g.Tags, inventory.Tag{Key: MadeTag, Value: fingerprint(g)}),
	}
}

// target returns one of a group's targets.
func (g *TargetGroup) target(t Target) inventory.Target {
	return inventory.Target{TargetID: inventory.TargetID{ID: t.ID, Port: cmp.Or(t.Port, g.Port)}, Zone: t.AvailabilityZone}
}

func (b *LoadBalancer) wish() inventory.NewLoadBalancer {
	n := inventory.NewLoadBalancer{
		Name: b.Name, Type: cmp.Or(b.Type, elb.Application), Scheme: cmp.Or(b.Scheme, inventory.InternetFacing),
		IPAddressType: cmp.Or(b.IPAddressType, "ipv4"), SecurityGroups: b.SecurityGroups, Attributes: elb.Attributes(b.Attributes),
		Tags: tagsOf(b.Tags, inventory.Tag{Key: MadeTag, Value: fingerprint(b)}),
	}
	for _, id := range b.Subnets {
		n.Subnets = append(n.Subnets, inventory.Subnet{ID: id})
	}
	for _, m := range b.SubnetMappings {
		n.Subnets = append(n.Subnets, inventory.Subnet{ID: m.SubnetID, Address: m.PrivateIPv4Address})
	}
	return n
}

// names finds what others refer to by its name.
type names struct {
	certificate func(name string) (arn string)
	group       func(name string) (arn string)
}

// wish returns the listener as it is asked for, with its default certificate
// alone: others lists those beside it.
func (l *Listener) wish(n names) (settings inventory.ListenerSettings, others []string) {
	settings = inventory.ListenerSettings{
		Protocol: l.Protocol, Port: l.Port, SSLPolicy: l.SslPolicy, ALPN: l.AlpnPolicy,
		Default: actions(l.DefaultActions, n), Attributes: elb.Attributes(l.Attributes),
		Tags: tagsOf(l.Tags, inventory.Tag{Key: MadeTag, Value: fingerprint(l)}),
	}
	if settings.SSLPolicy == "" && (l.Protocol == elb.HTTPS || l.Protocol == elb.TLS) {
		settings.SSLPolicy = elb.DefaultSSLPolicy
	}
	for i, name := range l.Certificates {
		if i == 0 {
			settings.Certificates = []string{n.certificate(name)}
		} else {
			others = append(others, n.certificate(name))
		}
	}
	return settings, others
}

func (r *Rule) wish(n names) (rule.Rule, []inventory.Tag) {
	wished := rule.Rule{Priority: r.Priority, Actions: actions(r.Actions, n)}
	for i := range r.Conditions {
		wished.Conditions = append(wished.Conditions, r.Conditions[i].wish())
	}
	for i := range r.Transforms {
		wished.Transforms = append(wished.Transforms, r.Transforms[i].wish())
	}
	return wished, tagsOf(r.Tags, inventory.Tag{Key: MadeTag, Value: fingerprint(r)})
}

func (c *Condition) wish() rule.Condition {
	wished := rule.Condition{Field: rule.Field(c.Field), Values: c.Values, RegexValues: c.RegexValues}
	for _, s := range c.sections() {
		if s.there {
			wished.Values, wished.RegexValues = append(wished.Values, s.values...), append(wished.RegexValues, s.regexes...)
		}
	}
	if c.HTTPHeaderConfig != nil {
		wished.HTTPHeaderName = c.HTTPHeaderConfig.HTTPHeaderName
	}
	if c.QueryStringConfig != nil {
		for _, v := range c.QueryStringConfig.Values {
			wished.QueryStringValues = append(wished.QueryStringValues, rule.KeyValue{Key: v.Key, Value: v.Value})
		}
	}
	return wished
}

// section is a part of a condition that belongs to one field.
type section struct {
	key             string
	field           rule.Field
	there           bool
	values, regexes []string
}

func (c *Condition) sections() []section {
	var all []section
	add := func(key string, field rule.Field, there bool, values, regexes []string) {
		all = append(all, section{key, field, there, values, regexes})
	}
	host, path, header := c.HostHeaderConfig, c.PathPatternConfig, c.HTTPHeaderConfig
	method, source := c.HTTPRequestMethodConfig, c.SourceIPConfig
	if host == nil {
		host = new(Values)
	}
	if path == nil {
		path = new(Values)
	}
	if header == nil {
		header = new(HeaderValues)
	}
	if method == nil {
		method = new(PlainValues)
	}
	if source == nil {
		source = new(PlainValues)
	}
	add("HostHeaderConfig", rule.HostHeader, c.HostHeaderConfig != nil, host.Values, host.RegexValues)
	add("PathPatternConfig", rule.PathPattern, c.PathPatternConfig != nil, path.Values, path.RegexValues)
	add("HttpHeaderConfig", rule.HTTPHeader, c.HTTPHeaderConfig != nil, header.Values, header.RegexValues)
	add("HttpRequestMethodConfig", rule.HTTPRequestMethod, c.HTTPRequestMethodConfig != nil, method.Values, nil)
	add("QueryStringConfig", rule.QueryString, c.QueryStringConfig != nil, nil, nil)
	add("SourceIpConfig", rule.SourceIP, c.SourceIPConfig != nil, source.Values, nil)
	return all
}

func (t *Transform) wish() rule.Transform {
	wished := rule.Transform{Type: rule.TransformType(t.Type)}
	for _, config := range []*RewriteConfig{t.HostHeaderRewriteConfig, t.URLRewriteConfig} {
		if config == nil {
			continue
		}
		for _, r := range config.Rewrites {
			wished.Rewrites = append(wished.Rewrites, rule.Rewrite{Regex: r.Regex, Replace: r.Replace})
		}
	}
	return wished
}

func actions(said []Action, n names) []rule.Action {
	wished := make([]rule.Action, len(said))
	for i := range said {
		wished[i] = said[i].wish(n)
	}
	return wished
}

func (a *Action) wish(n names) rule.Action {
	wished := rule.Action{Type: rule.ActionType(a.Type), Order: a.Order}
	if a.TargetGroup != "" {
		wished.ForwardConfig = rule.ForwardTo(n.group(a.TargetGroup)).ForwardConfig
	}
	if f := a.ForwardConfig; f != nil {
		wished.ForwardConfig = &rule.ForwardConfig{TargetGroupStickinessConfig: rule.TargetGroupStickinessConfig(f.TargetGroupStickinessConfig)}
		for _, g := range f.TargetGroups {
			wished.ForwardConfig.TargetGroups = append(wished.ForwardConfig.TargetGroups, rule.TargetGroup{TargetGroupArn: n.group(g.TargetGroup), Weight: g.Weight})
		}
	}
	if a.RedirectConfig != nil {
		wished.RedirectConfig = new(rule.RedirectConfig(*a.RedirectConfig))
	}
	if a.FixedResponseConfig != nil {
		wished.FixedResponseConfig = new(rule.FixedResponseConfig(*a.FixedResponseConfig))
	}
	return wished
}
