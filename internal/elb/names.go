package elb

import (
	"fmt"
	"strconv"
	"strings"
)

// ARNKind is what an ARN names.
type ARNKind int

// What ARNs name; ARNOther is none of them.
const (
	ARNOther ARNKind = iota
	ARNBalancer
	ARNGroup
	ARNListener
	ARNRule
)

// Resources of ARNs, after the account: what the kinds are called there.
var arnKinds = map[string]ARNKind{
	"loadbalancer": ARNBalancer, "targetgroup": ARNGroup, "listener": ARNListener, "listener-rule": ARNRule,
}

// balancerTypes are the types of load balancers as ARNs have them. AWS's ARNs of
// Classic Load Balancers have no type and no id; ours do, like all others.
var balancerTypes = map[Balancer]string{Application: "app", Network: "net", Gateway: "gwy", Classic: "classic"}

// ARN is a parsed ARN of Elastic Load Balancing (ELBv2 API; "Names and ARNs").
type ARN struct {
	Kind                       ARNKind
	Partition, Region, Account string
	// Balancer and Name are of the load balancer, also of one that a listener or
	// a rule belongs to. For a target group there is the name alone.
	Balancer Balancer
	Name     string
	// ID is of the load balancer or the target group, Listener and Rule are of
	// what belongs to it: 16 hex digits each.
	ID, Listener, Rule string
}

// partsOf is how many parts the resource of an ARN has.
var partsOf = map[ARNKind]int{ARNBalancer: 4, ARNGroup: 3, ARNListener: 5, ARNRule: 6}

// ParseARN reads an ARN. The error is the API's refusal of one that is none.
func ParseARN(text string) (ARN, error) {
	wrong := Errorf(CodeValidation, "'%s' is not a valid ARN of a load balancer, target group, listener or listener rule", text)
	head := strings.SplitN(text, ":", 6)
	if len(head) != 6 || head[0] != "arn" || !strings.HasPrefix(head[1], "aws") || head[2] != "elasticloadbalancing" || head[3] == "" || !isAccount(head[4]) {
		return ARN{}, wrong
	}
	parts := strings.Split(head[5], "/")
	a := ARN{Kind: arnKinds[parts[0]], Partition: head[1], Region: head[3], Account: head[4]}
	if a.Kind == ARNOther || len(parts) != partsOf[a.Kind] {
		return ARN{}, wrong
	}
	rest := parts[1:]
	if a.Kind != ARNGroup {
		for balancer, typ := range balancerTypes {
			if typ == rest[0] {
				a.Balancer = balancer
			}
		}
		if a.Balancer == "" {
			return ARN{}, wrong
		}
		rest = rest[1:]
	}
	a.Name, rest = rest[0], rest[1:]
	for i, id := range []*string{&a.ID, &a.Listener, &a.Rule}[:len(rest)] {
		if !isID(rest[i]) {
			return ARN{}, wrong
		}
		*id = rest[i]
	}
	if a.Name == "" {
		return ARN{}, wrong
	}
	return a, nil
}

// KindOfARN returns what an ARN names, ARNOther for what is none of ours.
func KindOfARN(text string) ARNKind {
	a, err := ParseARN(text)
	if err != nil {
		return ARNOther
	}
	return a.Kind
}

// String returns the ARN as the API writes it.
func (a ARN) String() string {
	partition := a.Partition
	if partition == "" {
		partition = "aws"
	}
	return "arn:" + partition + ":elasticloadbalancing:" + a.Region + ":" + a.Account + ":" + a.resource()
}

func (a ARN) resource() string {
	balancer := balancerTypes[a.Balancer] + "/" + a.Name + "/" + a.ID
	switch a.Kind {
	case ARNBalancer:
		return "loadbalancer/" + balancer
	case ARNGroup:
		return "targetgroup/" + a.Name + "/" + a.ID
	case ARNListener:
		return "listener/" + balancer + "/" + a.Listener
	case ARNRule:
		return "listener-rule/" + balancer + "/" + a.Listener + "/" + a.Rule
	default:
		return ""
	}
}

// OfBalancer returns the ARN of the load balancer that a listener or a rule
// belongs to.
func (a ARN) OfBalancer() ARN {
	a.Kind, a.Listener, a.Rule = ARNBalancer, "", ""
	return a
}

// OfListener returns the ARN of the listener that a rule belongs to.
func (a ARN) OfListener() ARN {
	a.Kind, a.Rule = ARNListener, ""
	return a
}

// Dimension returns the tail of a load balancer's or target group's ARN, which
// metrics and access logs name it by: app/site/50dc6c495c0c9188,
// targetgroup/blue/73e2d6bc24d8a067 (guide, "CloudWatch metrics").
func (a ARN) Dimension() string {
	if a.Kind == ARNGroup {
		return a.resource()
	}
	return strings.TrimPrefix(a.OfBalancer().resource(), "loadbalancer/")
}

// BalancerARN returns a load balancer's ARN.
func BalancerARN(region, account string, b Balancer, name, id string) string {
	return ARN{Kind: ARNBalancer, Region: region, Account: account, Balancer: b, Name: name, ID: id}.String()
}

// GroupARN returns a target group's ARN.
func GroupARN(region, account, name, id string) string {
	return ARN{Kind: ARNGroup, Region: region, Account: account, Name: name, ID: id}.String()
}

// ListenerARN returns the ARN of a listener of a load balancer, given by its ARN.
func ListenerARN(balancer, id string) string {
	return strings.Replace(balancer, ":loadbalancer/", ":listener/", 1) + "/" + id
}

// RuleARN returns the ARN of a rule of a listener, given by its ARN.
func RuleARN(listener, id string) string {
	return strings.Replace(listener, ":listener/", ":listener-rule/", 1) + "/" + id
}

// ID returns a number as the last part of ARNs: 16 hex digits.
func ID(number uint64) string { return fmt.Sprintf("%016x", number) }

func isID(text string) bool {
	return len(text) == 16 && strings.Trim(text, "0123456789abcdef") == ""
}

func isAccount(text string) bool {
	return len(text) == 12 && strings.Trim(text, "0123456789") == ""
}

// DNSName returns the name that a load balancer has in DNS. An Application or a
// Classic Load Balancer's has a decimal number, which is made of its id.
func DNSName(region string, b Balancer, internal bool, name, id string) string {
	if b == Network || b == Gateway {
		return name + "-" + id + ".elb." + region + ".amazonaws.com"
	}
	number, _ := strconv.ParseUint(id, 16, 64) // of an id that is none, 0
	name += "-" + strconv.FormatUint(number%1e10, 10)
	if internal {
		name = "internal-" + name
	}
	return name + "." + region + ".elb.amazonaws.com"
}

// mostName is how long a name may be (ELBv2 API, CreateLoadBalancer,
// CreateTargetGroup).
const mostName = 32

// CheckBalancerName refuses a name that a load balancer cannot have.
func CheckBalancerName(name string) error {
	if strings.HasPrefix(name, "internal-") {
		return Errorf(CodeValidation, "The load balancer name '%s' cannot begin with 'internal-'", name)
	}
	return checkName("The load balancer name", name)
}

// CheckGroupName refuses a name that a target group cannot have.
func CheckGroupName(name string) error { return checkName("Target group name", name) }

// checkName refuses in AWS's words, as reports and moto have them.
func checkName(whose, name string) error {
	switch {
	case name == "":
		return Errorf(CodeValidation, "%s '' cannot be empty", whose)
	case len(name) > mostName:
		return Errorf(CodeValidation, "%s '%s' cannot be longer than '%d' characters", whose, name, mostName)
	case strings.ContainsFunc(name, func(r rune) bool { return !isAlphanumeric(r) && r != '-' }):
		return Errorf(CodeValidation, "%s '%s' can only contain characters that are alphanumeric characters or hyphens(-)", whose, name)
	case name[0] == '-' || name[len(name)-1] == '-':
		return Errorf(CodeValidation, "%s '%s' cannot begin or end with '-'", whose, name)
	}
	return nil
}
