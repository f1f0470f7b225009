package elbapi

// each tells all of a list. It is never nil: clients get an empty list as one.
func each[T, U any](list []T, tell func(T) U) []U {
	told := make([]U, len(list))
	for i, one := range list {
		told[i] = tell(one)
	}
	return told
}

// text is nil for an empty text, which clients then do not get.
func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// number is a port, a weight, or a count: each fits.
func number(n int) *int32 { return new(int32(n)) } //nolint:gosec // package inventory bounds all of them
