package yamlfile

import (
	"cmp"
	"encoding"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

var (
	durationType = reflect.TypeFor[time.Duration]()
	prefixType   = reflect.TypeFor[netip.Prefix]()
)

// IsText tells whether v is set from one text.
func IsText(v reflect.Value) bool {
	if _, ok := reflect.TypeAssert[encoding.TextUnmarshaler](v.Addr()); ok {
		return true
	}
	switch v.Kind() {
	case reflect.Struct, reflect.Slice, reflect.Map, reflect.Pointer:
		return false
	default:
		return true
	}
}

// SetText sets v, for which isText holds, from a text. A wrong text of the
// kinds that are read here is a ValueError.
func SetText(v reflect.Value, text string) error {
	switch v.Type() {
	case durationType:
		n, err := time.ParseDuration(text)
		switch {
		case err != nil:
			return ValueError("is not a duration; write 5s, 250ms or 1m30s")
		case n < 0:
			return ValueError("is negative; write a duration such as 5s, 250ms or 1m30s")
		}
		v.SetInt(int64(n))
		return nil
	case prefixType:
		p, err := parsePrefix(text)
		v.Set(reflect.ValueOf(p))
		return err
	}
	if u, ok := reflect.TypeAssert[encoding.TextUnmarshaler](v.Addr()); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		switch text {
		case "true", "True", "TRUE":
			v.SetBool(true)
		case "false", "False", "FALSE":
			v.SetBool(false)
		default:
			return ValueError("is neither true nor false; write one of them")
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, v.Type().Bits())
		v.SetInt(n)
		return wrongNumber(err, "is not a whole number; write one such as 3")
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n, err := strconv.ParseUint(text, 10, v.Type().Bits())
		v.SetUint(n)
		return wrongNumber(err, "is not a whole number from 0; write one such as 3")
	case reflect.Float32, reflect.Float64:
		n, err := strconv.ParseFloat(text, v.Type().Bits())
		if err == nil && n-n != 0 {
			return ValueError("is not a number; write one such as 0.5")
		}
		v.SetFloat(n)
		return wrongNumber(err, "is not a number; write one such as 0.5")
	default:
		return fmt.Errorf("a value of type %s cannot be read", v.Type())
	}
	return nil
}

func wrongNumber(err error, text ValueError) error {
	switch {
	case errors.Is(err, strconv.ErrRange):
		return ValueError("is too large or too small a number")
	case err != nil:
		return text
	}
	return nil
}

// parsePrefix reads a network, or one address as a network of its own.
func parsePrefix(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return p, ValueError("is not a network; write 10.0.0.0/8, fd00::/8 or one address")
	case p != p.Masked():
		return p, ValueError("is an address within a network, not a network; its last bits must be 0 as in 10.0.0.0/8")
	}
	return p, nil
}

// Check says what is wrong with a value that lies outside of b, or "".
func (b Bounds) Check(v reflect.Value) string {
	bound := func(text string) (reflect.Value, bool) {
		if text == "" {
			return reflect.Value{}, false
		}
		w := reflect.New(v.Type()).Elem()
		return w, SetText(w, text) == nil
	}
	if w, ok := bound(ZeroOf(v, b.Above)); ok && compare(v, w) <= 0 {
		if v.Type() == durationType {
			return "is no time at all; write a duration such as 5s, 250ms or 1m30s"
		}
		return "is too small; write more than " + b.Above
	}
	low, hasLow := bound(b.Minimum)
	high, hasHigh := bound(b.Maximum)
	switch {
	case hasLow && hasHigh && (compare(v, low) < 0 || compare(v, high) > 0):
		return "is out of range; write " + b.Minimum + " to " + b.Maximum
	case hasLow && compare(v, low) < 0:
		return "is too small; write " + b.Minimum + " or more"
	case hasHigh && compare(v, high) > 0:
		return "is too large; write " + b.Maximum + " or less"
	}
	return ""
}

// ZeroOf writes a bound of 0 as a duration where v is one.
func ZeroOf(v reflect.Value, text string) string {
	if text == "0" && v.Type() == durationType {
		return "0s"
	}
	return text
}

// compare orders two numbers of one type.
func compare(a, b reflect.Value) int {
	switch {
	case a.CanInt():
		return cmp.Compare(a.Int(), b.Int())
	case a.CanUint():
		return cmp.Compare(a.Uint(), b.Uint())
	case a.CanFloat():
		return cmp.Compare(a.Float(), b.Float())
	}
	return 0
}

// wantedBy names what kind of value belongs to a field, for faults that say
// that a list is none.
func wantedBy(v reflect.Value, f Field) string {
	switch {
	case len(f.Words) > 0:
		return "one of " + strings.Join(f.Words, ", ")
	case v.Type() == durationType:
		return "a duration; write 5s, 250ms or 1m30s"
	case v.Kind() == reflect.Bool:
		return "true or false"
	case v.CanInt() || v.CanUint() || v.CanFloat():
		if _, ok := reflect.TypeAssert[encoding.TextUnmarshaler](v.Addr()); !ok {
			return "a number"
		}
	}
	return "one value; write it on this line as a text"
}

// Seen is how a fault names the value of n: in quotes and shortened, or by its
// variables where the environment had a part in it.
func (d *Decoder) Seen(n *yaml.Node, text string) string {
	e := d.made[n]
	switch {
	case e == nil:
		return strconv.Quote(Brief(withoutPassword(text)))
	case e.Text == "":
		return "the empty value of ${" + strings.Join(e.names, "}${") + "}"
	case len(e.names) == 1 && wholeVariable.MatchString(n.Value):
		return "the value of ${" + e.names[0] + "}"
	}
	return "the value made of ${" + strings.Join(e.names, "} and ${") + "}"
}

var wholeVariable = regexp.MustCompile(`^\$\{[^{}]*\}$`)

// Describe names what kind of thing n is.
func (d *Decoder) Describe(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case IsNull(n):
		return "nothing"
	}
	return strconv.Quote(Brief(withoutPassword(n.Value)))
}

var (
	plainWord  = regexp.MustCompile(`^[A-Za-z0-9_./-][A-Za-z0-9_./:=@%+-]*$`)
	shellWords = regexp.MustCompile("[|&;<>$*`\"'~]")
)

// asList writes a text as the list that it should have been.
func asList(text string) string {
	text = Brief(withoutPassword(text))
	words := strings.FieldsFunc(text, func(c rune) bool { return c == ' ' || c == ',' })
	if len(words) == 0 {
		words = []string{text}
	}
	return flowList(words)
}

// AsCommand outlines the list of words that a line for a shell should have been.
func AsCommand(line string) string {
	if shellWords.MatchString(line) {
		return `[sh, -c, "..."]`
	}
	return Outline(strings.Fields(line))
}

var (
	programName = regexp.MustCompile(`^[A-Za-z0-9_./-]+$`)
	optionName  = regexp.MustCompile(`^(--[A-Za-z][A-Za-z0-9-]*=?|-[A-Za-z])`)
)

// Outline writes the words of a command as a YAML list: the program and the
// names of options, but nothing of what they are given, which may be a password.
func Outline(words []string) string {
	const left = "..."
	var shown []string
	leave := func() {
		if len(shown) == 0 || shown[len(shown)-1] != left {
			shown = append(shown, left)
		}
	}
	for i, word := range words {
		option := optionName.FindString(word)
		switch {
		case i == 0 && programName.MatchString(word), option != "" && option == word:
			shown = append(shown, Brief(word))
		case option != "":
			shown = append(shown, option+left)
		default:
			leave()
		}
	}
	return "[" + strings.Join(shown, ", ") + "]"
}

// flowList writes words as a YAML list on one line.
func flowList(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = w
		if !plainWord.MatchString(w) || strings.HasSuffix(w, ":") || w == "-" {
			quoted[i] = strconv.Quote(w)
		}
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// Alternatives writes "a, b or c".
func Alternatives(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// VariableName is what a variable is called.
var VariableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

var userInfo = regexp.MustCompile(`(://[^:/@\s]*):\S*@`)

// withoutPassword hides the password of a URL.
func withoutPassword(s string) string {
	return userInfo.ReplaceAllString(s, "$1:...@")
}

// WithoutSecrets takes the environment's part in the value of n, and of what is
// below n, out of a message that another package made.
func (d *Decoder) WithoutSecrets(n *yaml.Node, message string) string {
	for _, e := range d.below(n) {
		for i, name := range e.names {
			message = hide(message, e.values[i], "${"+name+"}")
		}
	}
	return OneLine(withoutPassword(message))
}

var (
	quotedText = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	// A word that is more than letters: a number, an address, a path.
	oddWord = regexp.MustCompile("[^\\s\"'`,;()]*[0-9@:/.%=\\\\][^\\s\"'`,;()]*")
	// Words of the program's own messages that values may well have too, and that
	// tell nothing: schemes, names of parameters, an escaped character, examples of
	// addresses.
	ownWord = regexp.MustCompile(`^(?:(?:postgres|postgresql|mysql|mariadb|sqlite|http|https|unix|uwsgi|uwsgi\+unix)(?:://)?` +
		`|ssl[-_]?mode|sslnegotiation|sslinline|sslsni|(?:ssl_)?(?:min|max)_protocol_version|target_session_attrs|load_balance_hosts|client_encoding|datestyle|connect_timeout` +
		`|%[0-9A-F]{2}|http://127\.0\.0\.1:8000|127\.0\.0\.1:6379|\[::1\]:6379|10\.0\.0\.0/8|fd00::/8)$`)
)

// hide takes a value out of a message, which may have all of it, or parts: those
// that it quotes, and those that are more than words of a language.
func hide(message, value, name string) string {
	if value == "" {
		return message
	}
	message = strings.ReplaceAll(message, strconv.Quote(value), "the value of "+name)
	if len(value) > 2 && !ownWord.MatchString(value) {
		message = strings.ReplaceAll(message, value, name)
	}
	message = quotedText.ReplaceAllStringFunc(message, func(quoted string) string {
		if part, err := strconv.Unquote(quoted); err == nil && part != "" && isPart(part, value) {
			return `"..."`
		}
		return quoted
	})
	return oddWord.ReplaceAllStringFunc(message, func(word string) string {
		bare := strings.TrimRight(word, ".:")
		if len(bare) > 2 && isPart(bare, value) {
			return "..." + word[len(bare):]
		}
		return word
	})
}

// isPart tells whether a text was taken from a value, as far as can be told.
func isPart(text, value string) bool {
	return strings.Contains(value, text) && !ownWord.MatchString(text)
}

// below returns the expansions of n and of what is in it.
func (d *Decoder) below(n *yaml.Node) []*Expansion {
	n = Target(n)
	if e := d.made[n]; e != nil {
		return []*Expansion{e}
	}
	var all []*Expansion
	for _, c := range n.Content {
		if c.Kind != yaml.AliasNode || len(c.Alias.Content) == 0 { // no endless descent
			all = append(all, d.below(c)...)
		}
	}
	return all
}
