package elbapi

import (
	"cmp"
	"encoding/base64"
	"slices"
	"sort"

	"hale/internal/elb"
)

// mostPage is how many items a page has at most (ELBv2 API, PageSize).
const mostPage = 400

// ordered returns a list in the order of its keys, each item once.
func ordered[T any](list []T, key func(T) string) []T {
	list = slices.SortedFunc(slices.Values(list), func(x, y T) int { return cmp.Compare(key(x), key(y)) })
	return slices.CompactFunc(list, func(x, y T) bool { return key(x) == key(y) })
}

// page returns the part of a list that a request asks for, and the marker of the
// next one, nil at the end. The list is in the order of its keys. A marker holds
// the key of the last item before it, so that what is added or removed between
// two requests neither repeats an item nor leaves one out.
func page[T any](all []T, key func(T) string, marker *string, size *int32) ([]T, *string, error) {
	most := int32(mostPage)
	if size != nil {
		if *size < 1 || *size > mostPage {
			return nil, nil, elb.Errorf(elb.CodeValidation, "Page size '%d' is not between 1 and %d", *size, mostPage)
		}
		most = *size
	}
	if marker != nil && *marker != "" {
		after, err := base64.RawURLEncoding.DecodeString(*marker)
		if err != nil {
			return nil, nil, elb.Errorf(elb.CodeValidation, "Invalid marker '%s': use the NextMarker of the answer before, as it is", *marker)
		}
		all = all[sort.Search(len(all), func(i int) bool { return key(all[i]) > string(after) }):]
	}
	if len(all) <= int(most) {
		return all, nil, nil
	}
	next := base64.RawURLEncoding.EncodeToString([]byte(key(all[most-1])))
	return all[:most], &next, nil
}
