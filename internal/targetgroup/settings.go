package targetgroup

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"hale/internal/explain"
)

// mostSettings bounds a file of settings, in bytes.
const mostSettings = 16 << 20

// document is what the aws command prints, of all questions at once: each of
// them fills in one of the lists.
type document struct {
	TargetGroups             []types.TargetGroup
	TargetHealthDescriptions []types.TargetHealthDescription
	LoadBalancers            []types.LoadBalancer
	Listeners                []types.Listener
	Rules                    []types.Rule
	Attributes               []types.TargetGroupAttribute
	TagDescriptions          []types.TagDescription
	Services                 []serviceDocument `json:"services"`
	AutoScalingGroups        []scalingDocument
	SecurityGroups           []securityDocument
	Reservations             []reservationDocument
	NetworkInterfaces        []interfaceDocument
	// TaskDefinitions came one by one.
	TaskDefinitions []taskDocument `json:"-"`
	// BalancerAttributes came as Attributes, too: both are keys and values.
	BalancerAttributes []types.TargetGroupAttribute `json:"-"`
}

// ErrNoGroup is the error of a file that tells of no target group.
var ErrNoGroup = errors.New("no target group in it: write what aws elbv2 describe-target-groups prints into it")

// Settings reads a target group from what aws elbv2 describe-target-groups
// prints, or from one group of it; a group may be written by hand, with ELB's
// defaults for what is left out. Answers of describe-target-health,
// describe-target-group-attributes, describe-load-balancers,
// describe-load-balancer-attributes, describe-listeners, describe-rules and
// describe-tags may stand in the same file, one after the other or as one
// document; those that name no group are taken to be of this one. So may those
// of aws ecs describe-services and describe-task-definition, aws autoscaling
// describe-auto-scaling-groups, and aws ec2 describe-security-groups,
// describe-instances and describe-network-interfaces.
//
// Name is the file's, for messages. Group is the ARN or name of the group that
// is meant; it may be empty where the file has only one. Errors name the file,
// and the line or key.
func Settings(from io.Reader, name, group string) (Group, error) {
	content, err := io.ReadAll(io.LimitReader(from, mostSettings+1))
	switch {
	case err != nil:
		return Group{}, fmt.Errorf("read %s: %s", name, explain.Innermost(err))
	case len(content) > mostSettings:
		return Group{}, fmt.Errorf("%s: longer than %d MiB: is it what aws elbv2 describe-target-groups printed?", name, mostSettings>>20)
	}
	all, err := decode(content)
	if err != nil {
		return Group{}, fmt.Errorf("%s: %w", name, err)
	}
	chosen, err := choose(all.TargetGroups, group)
	if err != nil {
		return Group{}, fmt.Errorf("%s: %w", name, err)
	}
	g, err := groupOf(chosen)
	if err != nil {
		return Group{}, fmt.Errorf("%s: %w", name, err)
	}
	all.fill(&g)
	return g, nil
}

// fill puts what the file has beside settings into the group.
func (d *document) fill(g *Group) {
	if len(d.TargetHealthDescriptions) > 0 {
		g.addTargets(d.TargetHealthDescriptions)
	}
	g.Attributes = values(d.Attributes)
	for _, resource := range d.TagDescriptions {
		if arn := aws.ToString(resource.ResourceArn); arn == g.ARN || g.ARN == "" {
			g.Tags = make(map[string]string)
			for _, tag := range resource.Tags {
				g.Tags[aws.ToString(tag.Key)] = explain.Line(aws.ToString(tag.Value))
			}
		}
	}
	for _, one := range d.LoadBalancers {
		b := balancerOf(one)
		b.Attributes = values(d.BalancerAttributes)
		g.Balancers = append(g.Balancers, b)
	}
	for _, l := range d.Listeners {
		balancer := aws.ToString(l.LoadBalancerArn)
		for _, b := range g.Balancers {
			if b.ARN == balancer {
				balancer = b.Name
			}
		}
		if i := strings.LastIndex(balancer, "loadbalancer/"); i >= 0 {
			balancer = strings.Split(balancer[i:]+"//", "/")[2]
		}
		rules := d.rulesOf(l)
		if len(rules) == 0 {
			rules = []types.Rule{{Priority: aws.String("default"), Actions: l.DefaultActions}}
		}
		g.addRoutes(explain.Line(balancer), l, rules)
	}
	d.fillAround(g)
}

// values are attributes by their keys, nil if there are none.
func values(attributes []types.TargetGroupAttribute) map[string]string {
	if len(attributes) == 0 {
		return nil
	}
	all := make(map[string]string)
	for _, a := range attributes {
		all[aws.ToString(a.Key)] = explain.Line(aws.ToString(a.Value))
	}
	return all
}

// rulesOf returns a listener's rules: their ARNs begin alike.
func (d *document) rulesOf(l types.Listener) []types.Rule {
	listener := strings.Replace(aws.ToString(l.ListenerArn), ":listener/", ":listener-rule/", 1) + "/"
	return slices.DeleteFunc(slices.Clone(d.Rules), func(r types.Rule) bool { return !strings.HasPrefix(aws.ToString(r.RuleArn), listener) })
}

// ofBalancer tells whether attributes are a load balancer's: some of its keys are
// none of a group's.
func ofBalancer(attributes []types.TargetGroupAttribute) bool {
	return slices.ContainsFunc(attributes, func(a types.TargetGroupAttribute) bool {
		return slices.ContainsFunc(balancerKeys, func(prefix string) bool { return strings.HasPrefix(aws.ToString(a.Key), prefix) })
	})
}

var balancerKeys = []string{
	"access_logs.", "client_keep_alive.", "connection_logs.", "deletion_protection.", "dns_record.", "health_check_logs.",
	"idle_timeout.", "ipv6.", "routing.", "secondary_ips.", "waf.", "zonal_shift.",
}

// choose returns the group that is meant.
func choose(groups []types.TargetGroup, group string) (types.TargetGroup, error) {
	var names []string
	for _, g := range groups {
		if group != "" && (aws.ToString(g.TargetGroupArn) == group || aws.ToString(g.TargetGroupName) == group) {
			return g, nil
		}
		names = append(names, explain.Line(aws.ToString(g.TargetGroupName)))
	}
	switch {
	case len(groups) == 0:
		return types.TargetGroup{}, ErrNoGroup
	case len(groups) == 1 && (group == "" || groups[0].TargetGroupArn == nil && groups[0].TargetGroupName == nil):
		return groups[0], nil
	case group != "":
		return types.TargetGroup{}, fmt.Errorf("no target group %s in it, but %s", explain.Line(group), strings.Join(names, ", "))
	default:
		return types.TargetGroup{}, fmt.Errorf("%d target groups in it (%s): name the one that is meant with --target-group", len(groups), explain.Line(strings.Join(names, ", ")))
	}
}

// decode reads the documents of a file, one after the other, into one.
func decode(content []byte) (document, error) {
	var all document
	content = bytes.TrimPrefix(content, []byte("\ufeff"))
	if len(bytes.TrimSpace(content)) == 0 {
		return all, errors.New("the file is empty: write what aws elbv2 describe-target-groups prints into it")
	}
	in := json.NewDecoder(bytes.NewReader(content))
	for {
		var raw json.RawMessage
		err := in.Decode(&raw)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		start := int(in.InputOffset()) - len(raw)
		if err == nil {
			err = all.add(raw)
		}
		if err != nil {
			return all, atLine(content, start, err)
		}
	}
}

// add takes one document: an answer of the aws command, a group, or several.
func (d *document) add(raw json.RawMessage) error {
	if raw[0] == '[' {
		var several []json.RawMessage
		if err := json.Unmarshal(raw, &several); err != nil {
			return err
		}
		for _, one := range several {
			if err := d.add(bytes.TrimSpace(one)); err != nil {
				return err
			}
		}
		return nil
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(raw, &keys); err != nil {
		return err
	}
	if task, ok := keys["taskDefinition"]; ok {
		var one taskDocument
		if err := json.Unmarshal(task, &one); err != nil {
			return err
		}
		d.TaskDefinitions = append(d.TaskDefinitions, one)
		return nil
	}
	lists := fieldNames(reflect.TypeFor[document]())
	for key := range keys {
		if slices.Contains(lists, key) {
			return d.merge(raw, keys)
		}
	}
	if err := looksLikeGroup(keys); err != nil {
		return err
	}
	var g types.TargetGroup
	if err := json.Unmarshal(raw, &g); err != nil {
		return err
	}
	d.TargetGroups = append(d.TargetGroups, g)
	return nil
}

// merge appends the lists of one answer.
func (d *document) merge(raw json.RawMessage, keys map[string]json.RawMessage) error {
	var groups []map[string]json.RawMessage
	if err := json.Unmarshal(keys["TargetGroups"], &groups); err == nil {
		for _, g := range groups {
			if err := looksLikeGroup(g); err != nil {
				return err
			}
		}
	}
	var one document
	if err := json.Unmarshal(raw, &one); err != nil {
		return err
	}
	if ofBalancer(one.Attributes) {
		one.Attributes, one.BalancerAttributes = nil, one.Attributes
	}
	into, from := reflect.ValueOf(d).Elem(), reflect.ValueOf(one)
	for i := range into.NumField() {
		into.Field(i).Set(reflect.AppendSlice(into.Field(i), from.Field(i)))
	}
	return nil
}

// looksLikeGroup refuses an object that has nothing of a target group, and keys
// that are close to one of a group's but not the same. Other keys that are not
// known are a newer aws command's, and left out.
func looksLikeGroup(keys map[string]json.RawMessage) error {
	known := fieldNames(reflect.TypeFor[types.TargetGroup]())
	some := false
	for key := range keys {
		if slices.ContainsFunc(known, func(name string) bool { return strings.EqualFold(name, key) }) {
			some = true
			continue
		}
		for _, name := range known {
			if len(key) <= len(name)+2 && distance(strings.ToLower(key), strings.ToLower(name)) <= 2 {
				return fmt.Errorf("unknown key %q: do you mean %s?", explain.Line(key), name)
			}
		}
	}
	if !some {
		return errors.New("nothing of a target group in it: write what aws elbv2 describe-target-groups prints into the file")
	}
	return nil
}

func fieldNames(of reflect.Type) []string {
	var names []string
	for f := range of.Fields() {
		if f.IsExported() {
			names = append(names, cmp.Or(f.Tag.Get("json"), f.Name))
		}
	}
	return names
}

// distance is how many letters have to be changed, added or removed to make b of
// a (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := before
			if a[i] != b[j] {
				cost = 1 + min(before, row[j], row[j+1])
			}
			before, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}

// atLine puts the line in front of an error of the JSON decoder, in plain words.
func atLine(content []byte, start int, err error) error {
	offset := start
	text := err.Error()
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		offset = int(syntax.Offset)
		text = "not JSON as the aws command prints it: " + explain.Line(syntax.Error()) + "; add --output json to it"
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		offset += int(wrong.Offset)
		field := cmp.Or(explain.Line(wrong.Field), "the document")
		text = fmt.Sprintf("%s is a %s, not %s", field, wrong.Value, jsonType(wrong.Type))
		if large, ok := strings.CutPrefix(wrong.Value, "number "); ok {
			text = fmt.Sprintf("%s is %s, which is too large, or no whole number", field, explain.Line(large))
		}
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		offset = len(content)
		text = "the file ends in the middle of the JSON"
	}
	offset = max(0, min(offset, len(content)))
	return fmt.Errorf("line %d: %s", 1+bytes.Count(content[:offset], []byte("\n")), text)
}

func jsonType(of reflect.Type) string {
	switch of.Kind() {
	case reflect.Pointer:
		return jsonType(of.Elem())
	case reflect.Slice:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	default:
		return "a number"
	}
}
