package elbapi

import (
	"fmt"
	"slices"
	"strings"

	"hale/internal/balancer/inventory"
	"hale/internal/elb"
)

// violation is a refusal of one member, in the words that AWS's services have for
// what their models do not allow. At is the member's name.
func violation(value, at, constraint string) error {
	return elb.Errorf(elb.CodeValidation, "1 validation error detected: Value %s at '%s' failed to satisfy constraint: %s", value, lowerFirst(at), constraint)
}

// required refuses what is not there.
func required(at string, there bool) error {
	if there {
		return nil
	}
	return violation("null", at, "Member must not be null")
}

// among refuses a value that an enumeration does not have. One that is not there
// is left to others.
func among[E interface {
	~string
	Values() []E
}](at string, value E,
) error {
	if value == "" || slices.Contains(value.Values(), value) {
		return nil
	}
	return violation("'"+string(value)+"'", at, "Member must satisfy enum value set: "+strings.ReplaceAll(fmt.Sprint(value.Values()), " ", ", "))
}

// atLeast refuses a number that is too small. One that is not there is left to
// others.
func atLeast(at string, value *int32, least int32) error {
	if value == nil || *value >= least {
		return nil
	}
	return violation(fmt.Sprintf("'%d'", *value), at, fmt.Sprintf("Member must have value greater than or equal to %d", least))
}

// first returns the first error there is.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// notOffered refuses what AWS has and one machine has not.
func notOffered(what string, there bool) error {
	if !there {
		return nil
	}
	return elb.Errorf("InvalidConfigurationRequest", "%s is not offered here", what)
}

// find returns what an ARN names, which has to be there.
func find[T any](things map[string]*T, at string, given *string, kind elb.ARNKind) (*T, error) {
	arn, err := arnAt(at, given, kind)
	if err != nil {
		return nil, err
	}
	if things[arn] == nil {
		return nil, inventory.NotFound(arn)
	}
	return things[arn], nil
}

// arnNames are what messages call the things that ARNs name.
var arnNames = map[elb.ARNKind]string{
	elb.ARNBalancer: "load balancer",
	elb.ARNGroup:    "target group",
	elb.ARNListener: "listener",
	elb.ARNRule:     "listener rule",
}

// arnAt returns an ARN that has to be there and to be of one kind. Whether
// anything has it is not decided here.
func arnAt(at string, given *string, kind elb.ARNKind) (string, error) {
	if given == nil {
		return "", required(at, false)
	}
	return *given, checkARN(*given, kind)
}

func checkARN(arn string, kind elb.ARNKind) error {
	if elb.KindOfARN(arn) != kind {
		return elb.Errorf(elb.CodeValidation, "'%s' is not a valid %s ARN", arn, arnNames[kind])
	}
	return nil
}

func checkARNs(arns []string, kind elb.ARNKind) error {
	for _, arn := range arns {
		if err := checkARN(arn, kind); err != nil {
			return err
		}
	}
	return nil
}

func lowerFirst(name string) string { return strings.ToLower(name[:1]) + name[1:] }
