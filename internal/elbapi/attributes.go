package elbapi

import (
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"

	"hale/internal/elb"
)

// attributesFrom reads attributes to set. Keys and values are looked at by the
// tables of package elb.
func attributesFrom[T any](given []T, pair func(T) (key, value *string)) (elb.Attributes, error) {
	if len(given) == 0 {
		return nil, required("Attributes", false)
	}
	set := make(elb.Attributes, len(given))
	for _, one := range given {
		key, value := pair(one)
		if key == nil {
			return nil, elb.Errorf(elb.CodeValidation, "An attribute has no key")
		}
		if _, twice := set[*key]; twice {
			return nil, elb.Errorf(elb.CodeValidation, "Attribute key '%s' was given more than once", *key)
		}
		set[*key] = aws.ToString(value)
	}
	return set, nil
}

// attributesOf tells attributes, by their keys.
func attributesOf[T any](all elb.Attributes, one func(key, value *string) T) []T {
	list := make([]T, 0, len(all))
	for _, key := range slices.Sorted(maps.Keys(all)) {
		list = append(list, one(&key, new(all[key])))
	}
	return list
}
