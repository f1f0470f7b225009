package web

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"

	"hale/checks"
)

// ValidateMethod refuses a method that is not a token (RFC 9110, 9.1), or has
// no body in its answer to look into.
func ValidateMethod(method, contains string, matches checks.Pattern) error {
	switch {
	case method != "" && !token(method):
		return checks.Optionf("method", "%q is not an HTTP method: write GET or HEAD", method)
	case method == http.MethodHead && (contains != "" || !matches.IsZero()):
		return checks.Optionf("method", "the answer to HEAD has no body for contains or matches: write GET")
	}
	return nil
}

// ValidateHeaders refuses header fields that cannot be sent, of an option with
// that key. Values are not repeated: they may be secret.
func ValidateHeaders(key string, headers map[string]string) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		switch {
		case !token(name):
			errs = append(errs, checks.Optionf(key, "%q is not the name of a header field", name))
		case strings.ContainsFunc(headers[name], func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
			errs = append(errs, checks.Optionf(key, "the value of %s holds a control character", http.CanonicalHeaderKey(name)))
		}
	}
	return errors.Join(errs...)
}

// ValidateFollow refuses numbers of redirects that make no sense.
func ValidateFollow(follow int) error {
	if follow < 0 || follow > 20 {
		return checks.Optionf("follow", "%d is not a number of redirects from 0 to 20", follow)
	}
	return nil
}

// token reports whether s is a token of RFC 9110, 5.6.2.
func token(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}
