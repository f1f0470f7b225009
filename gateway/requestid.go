package gateway

import "math/rand/v2"

// randomID makes a request id of 128 random bits. The runtime's generator is
// ChaCha8 with a random seed for each thread: fast, without a lock, and not to
// be foretold; yet an id is no secret.
func randomID() string {
	const digits = "0123456789abcdef"
	var b [32]byte
	for half := range 2 {
		n := rand.Uint64() //nolint:gosec // see above
		for i := range 16 {
			b[half*16+i] = digits[n&15]
			n >>= 4
		}
	}
	return string(b[:])
}

// saneID tells whether an id that was sent can be kept: it goes to logs,
// headers and perhaps a shell.
func saneID(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return 0 < len(s) && len(s) <= 128
}
