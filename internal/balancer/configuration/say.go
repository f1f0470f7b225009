package configuration

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"hale/internal/balancer/inventory"
	"hale/internal/elb"
	"hale/internal/elb/rule"
)

// The functions below tell what of a thing has changed, with ELB's names.

func differenceOfGroups(was, is *inventory.Group) difference {
	var d difference
	a, b := was.HealthCheck, is.HealthCheck
	d.add("HealthCheckProtocol", string(a.Protocol), string(b.Protocol))
	d.add("HealthCheckPort", sayPort(a.Port), sayPort(b.Port))
	d.add("HealthCheckPath", a.Path, b.Path)
	d.add("HealthCheckIntervalSeconds", saySeconds(a.Interval), saySeconds(b.Interval))
	d.add("HealthCheckTimeoutSeconds", saySeconds(a.Timeout), saySeconds(b.Timeout))
	d.add("HealthyThresholdCount", strconv.Itoa(a.Healthy), strconv.Itoa(b.Healthy))
	d.add("UnhealthyThresholdCount", strconv.Itoa(a.Unhealthy), strconv.Itoa(b.Unhealthy))
	d.add("Matcher", a.Matcher, b.Matcher)
	d.attributes(was.All(), is.All())
	d.tags(was.Tags, is.Tags)
	return d
}

func sayPort(port int) string {
	if port == 0 {
		return "traffic-port"
	}
	return strconv.Itoa(port)
}

func saySeconds(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }

func differenceOfBalancers(was, is *inventory.LoadBalancer) difference {
	var d difference
	d.add("Subnets", sayZones(was.Zones), sayZones(is.Zones))
	d.add("SecurityGroups", strings.Join(was.SecurityGroups, " "), strings.Join(is.SecurityGroups, " "))
	d.add("IpAddressType", was.IPAddressType, is.IPAddressType)
	d.attributes(was.All(), is.All())
	d.tags(was.Tags, is.Tags)
	return d
}

func sayZones(zones []inventory.Zone) string {
	var words []string
	for _, z := range zones {
		words = append(words, strings.TrimSuffix(z.SubnetID+" "+z.Address, " "))
	}
	return strings.Join(words, " ")
}

func (a *application) differenceOfListeners(p *balancerPlan, was, is *inventory.Listener) difference {
	var d difference
	balancer := a.edit.Inventory().LoadBalancers[p.arn]
	d.add("Port", strconv.Itoa(was.Port), strconv.Itoa(is.Port))
	d.add("Protocol", string(was.Protocol), string(is.Protocol))
	d.add("SslPolicy", was.SSLPolicy, is.SSLPolicy)
	d.add("Certificates", sayCertificates(was.Certificates), sayCertificates(is.Certificates))
	d.add("AlpnPolicy", strings.Join(was.ALPN, " "), strings.Join(is.ALPN, " "))
	d.actions(a.edit.Inventory(), "DefaultActions", was.Default, is.Default)
	d.attributes(was.All(balancer), is.All(balancer))
	d.tags(was.Tags, is.Tags)
	return d
}

func sayCertificates(list []inventory.Certificate) string {
	var names []string
	for _, c := range list {
		names = append(names, c.ARN[strings.LastIndexByte(c.ARN, '/')+1:])
	}
	return strings.Join(names, " ")
}

func (a *application) differenceOfRules(was, is *inventory.Rule) difference {
	var d difference
	if from, to := sayConditions(was.Conditions), sayConditions(is.Conditions); from != to {
		d.add("Conditions", from, to)
	} else {
		d.say("Conditions", !reflect.DeepEqual(was.Conditions, is.Conditions))
	}
	d.actions(a.edit.Inventory(), "Actions", was.Actions, is.Actions)
	d.add("Transforms", sayTransforms(was.Transforms), sayTransforms(is.Transforms))
	d.tags(was.Tags, is.Tags)
	return d
}

// attributes adds those that differ; both sides are full.
func (d *difference) attributes(was, is elb.Attributes) {
	for _, key := range slices.Sorted(maps.Keys(is)) {
		d.add(key, was[key], is[key])
	}
}

// tags adds the keys of tags that differ, but for the file's own.
func (d *difference) tags(was, is []inventory.Tag) {
	of := func(tags []inventory.Tag) map[string]string {
		set := make(map[string]string)
		for _, t := range tags {
			if t.Key != MadeTag && t.Key != targetsTag {
				set[t.Key] = t.Value
			}
		}
		return set
	}
	d.say("Tags", !maps.Equal(of(was), of(is)))
}

func (d *difference) actions(v *inventory.Inventory, setting string, was, is []rule.Action) {
	from, to := sayActions(v, was), sayActions(v, is)
	if from == to {
		from, to = from+sayDetails(was), to+sayDetails(is)
	}
	if from != to {
		d.add(setting, from, to)
	} else {
		d.say(setting, !reflect.DeepEqual(was, is))
	}
}

// sayDetails writes what sayActions leaves out of actions.
func sayDetails(actions []rule.Action) string {
	var words strings.Builder
	for _, a := range actions {
		switch {
		case a.ForwardConfig != nil && a.ForwardConfig.TargetGroupStickinessConfig.Enabled:
			fmt.Fprintf(&words, ", stickiness %d s", a.ForwardConfig.TargetGroupStickinessConfig.DurationSeconds)
		case a.FixedResponseConfig != nil:
			fmt.Fprintf(&words, " %s %q", cmp.Or(a.FixedResponseConfig.ContentType, "text/plain"), a.FixedResponseConfig.MessageBody)
		}
	}
	return words.String()
}

// sayTransforms writes transforms as "url-rewrite ^/old to /new".
func sayTransforms(transforms []rule.Transform) string {
	var words []string
	for _, t := range transforms {
		for _, r := range t.Rewrites {
			words = append(words, fmt.Sprintf("%s %s to %s", t.Type, r.Regex, r.Replace))
		}
	}
	return strings.Join(words, ", ")
}

// sayActions writes actions as "forward web 90, green 10".
func sayActions(v *inventory.Inventory, actions []rule.Action) string {
	var words []string
	for _, a := range actions {
		switch {
		case a.ForwardConfig != nil:
			words = append(words, "forward "+sayGroups(v, a.ForwardConfig.TargetGroups))
		case a.RedirectConfig != nil:
			words = append(words, fmt.Sprintf("redirect %d to %s", a.RedirectConfig.Status(), a.RedirectConfig.Location()))
		case a.FixedResponseConfig != nil:
			words = append(words, "fixed-response "+a.FixedResponseConfig.StatusCode)
		}
	}
	return strings.Join(words, ", ")
}

func sayGroups(v *inventory.Inventory, groups []rule.TargetGroup) string {
	var words []string
	for _, g := range groups {
		name := "a group that is gone"
		if group := v.Groups[g.TargetGroupArn]; group != nil {
			name = group.Name
		}
		if len(groups) > 1 {
			name = fmt.Sprintf("%s %d", name, g.Weight)
		}
		words = append(words, name)
	}
	return strings.Join(words, ", ")
}

// sayConditions writes conditions as "path-pattern /api/*, host-header a.example".
func sayConditions(conditions []rule.Condition) string {
	var words []string
	for _, c := range conditions {
		values := slices.Concat(c.Values, c.RegexValues)
		for _, kv := range c.QueryStringValues {
			values = append(values, strings.TrimPrefix(kv.Key+"="+kv.Value, "="))
		}
		words = append(words, strings.TrimSpace(string(c.Field)+" "+c.HTTPHeaderName)+" "+strings.Join(values, " or "))
	}
	return strings.Join(words, ", ")
}
