package guard

// Classes of bytes, as bits of a table.
const (
	isToken  = 1 << iota // RFC 9110, 5.6.2: names and methods
	isTarget             // in a request's target: visible, and no "#"
	isValue              // in a field's value: visible, space, tab or above ASCII
	isHost               // in a name of a host (RFC 3986, 3.2.2), without escapes or commas
	isHex
)

// class holds the classes of each byte.
var class = makeClasses()

func makeClasses() (t [256]uint8) {
	for c := range 256 {
		if 0x20 < c && c != 0x7f {
			t[c] |= isValue
			if c != '#' {
				t[c] |= isTarget
			}
		}
	}
	t[' '] |= isValue
	t['\t'] |= isValue
	const alnum = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	for _, s := range []struct {
		chars string
		class uint8
	}{
		{alnum + "!#$%&'*+-.^_`|~", isToken},
		{alnum + "-._~!$&'()*+;=", isHost},
		{"0123456789ABCDEFabcdef", isHex},
	} {
		for i := range len(s.chars) {
			t[s.chars[i]] |= s.class
		}
	}
	return t
}

// all reports whether every byte of s is of the class.
func all(s []byte, c uint8) bool {
	for _, b := range s {
		if class[b]&c == 0 {
			return false
		}
	}
	return true
}

// foldEqual reports whether s, in any case, is the lower-case ASCII word.
func foldEqual(s []byte, word string) bool {
	if len(s) != len(word) {
		return false
	}
	for i := range len(word) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != word[i] {
			return false
		}
	}
	return true
}
