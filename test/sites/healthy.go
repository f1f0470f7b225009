package sites

import "testing"

// healthy are sites without a fault: they stay open for longer than a load
// balancer leaves a connection idle, answer 404 to what they do not know, and
// do not mind how they are called.
func healthy() []Case {
	return []Case{
		{Name: "healthy-go", Row: "healthy", Start: func(t testing.TB) Site {
			return site(serve(t, Private, app()))
		}},
	}
}
