package detect

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// value is what is known of a Python expression without running it.
type value struct {
	kind   valueKind
	text   string
	list   []string
	number int
	truth  bool

	env     string // the environment variable that it is read from; "" = none
	partial bool   // of a list: there is more, which is not known
	line    int
}

type valueKind uint8

const (
	unknownValue valueKind = iota
	textValue
	listValue
	numberValue
	truthValue
)

// evaluate tells what it can of an expression. Of one that reads an environment
// variable it returns the variable, and the default as the value.
func evaluate(tokens []token) value {
	v := literal(tokens)
	if len(tokens) > 0 {
		v.line = tokens[0].line
	}
	if v.kind != unknownValue && !v.partial {
		return v
	}
	if refs := environmentRefs(tokens); len(refs) > 0 {
		if v.kind == unknownValue {
			v = literal(refs[0].fallback)
			v.line = tokens[0].line
		}
		v.env = refs[0].name
	}
	return v
}

func literal(tokens []token) value {
	if len(tokens) == 0 {
		return value{}
	}
	if n, ok := integer(tokens); ok {
		return value{kind: numberValue, number: n}
	}
	if text, ok := stringsOf(tokens); ok {
		return value{kind: textValue, text: text}
	}
	first := tokens[0]
	if len(tokens) == 1 && (first.text == "True" || first.text == "False") {
		return value{kind: truthValue, truth: first.text == "True"}
	}
	if terms := split(tokens, "+"); len(terms) > 1 {
		return sum(terms)
	}
	if first.is("[") || first.is("(") || first.is("{") {
		inner, end := bracketed(tokens, 0)
		if end != len(tokens)-1 {
			return value{}
		}
		return sequence(first, inner)
	}
	return value{}
}

// stringsOf joins the literals of "a" "b".
func stringsOf(tokens []token) (string, bool) {
	var b strings.Builder
	for _, t := range tokens {
		if t.kind != stringToken {
			return "", false
		}
		b.WriteString(t.text)
	}
	return b.String(), true
}

// sequence is a list, a tuple or a set of strings, or a bracketed expression.
func sequence(open token, inner []token) value {
	items := split(inner, ",")
	if open.is("(") && len(items) == 1 && (len(inner) == 0 || !inner[len(inner)-1].is(",")) {
		return literal(inner)
	}
	v := value{kind: listValue}
	for _, item := range items {
		text, ok := stringsOf(item)
		switch {
		case ok && len(item) > 0:
			v.list = append(v.list, text)
		case len(items) == 1 && len(item) > 0: // a comprehension, or one unknown item
			return value{}
		case len(item) > 0:
			v.partial = true
		}
	}
	return v
}

// sum joins lists; what is no known list makes it partial.
func sum(terms [][]token) value {
	v := value{kind: listValue}
	for _, term := range terms {
		part := literal(term)
		if part.kind != listValue {
			v.partial = true
			continue
		}
		v.list = append(v.list, part.list...)
		v.partial = v.partial || part.partial
	}
	if len(v.list) == 0 && v.partial {
		return value{}
	}
	return v
}

// environmentRef is one reading of an environment variable.
type environmentRef struct {
	name     string
	line     int
	required bool // there is no default: unset is an error
	fallback []token
}

var variableName = regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`)

// readerName matches functions that read a variable: env of django-environ,
// config of python-decouple, and an app's own such as require or get_env.
var readerName = regexp.MustCompile(`(?i)^(env|environ|config|getenv|get_?env.*|env_.*|.*_env|require.*|must_.*|get_?secret.*|get_?setting.*)$`)

// environmentRefs finds the readings in an expression:
//
//	os.environ["X"]   os.environ.get("X", default)   os.getenv("X")
//	env("X")   env.bool("X", default=False)   config("X", cast=int)   require("X")
func environmentRefs(tokens []token) []environmentRef {
	var refs []environmentRef
	for i, t := range tokens {
		if t.kind != stringToken || !variableName.MatchString(t.text) || i < 2 {
			continue
		}
		open, callee := tokens[i-1], tokens[i-2]
		if callee.kind != nameToken {
			continue
		}
		inner, end := bracketed(tokens, i-1)
		if end < 0 {
			continue
		}
		ref := environmentRef{name: t.text, line: t.line}
		switch object := objectOf(tokens, i-2); {
		case open.is("[") && callee.text == "environ":
			if end+1 < len(tokens) && tokens[end+1].is("=") && (end+2 >= len(tokens) || !tokens[end+2].is("=")) {
				continue // it is set here
			}
			ref.required = true
		case open.is("(") && callee.text == "get" && object == "environ", open.is("(") && callee.text == "getenv":
			ref.fallback = argument(inner)
		case open.is("(") && (readerName.MatchString(callee.text) || object == "env"):
			ref.fallback = argument(inner)
			ref.required = ref.fallback == nil
		default:
			continue
		}
		refs = append(refs, ref)
	}
	return refs
}

// objectOf returns the name before ".name" at tokens[i].
func objectOf(tokens []token, i int) string {
	if i >= 2 && tokens[i-1].is(".") && tokens[i-2].kind == nameToken {
		return tokens[i-2].text
	}
	return ""
}

// argument returns the second argument, or the one named default.
func argument(inner []token) []token {
	for i, arg := range split(inner, ",") {
		if len(arg) > 2 && arg[0].kind == nameToken && arg[1].is("=") {
			if arg[0].text == "default" {
				return arg[2:]
			}
			continue
		}
		if i == 1 {
			return arg
		}
	}
	return nil
}

// module is what a Python module assigns.
type module struct {
	files   []string // all that were read, in order
	values  map[string]assigned
	needs   []need
	unknown []string // modules that it imports everything from, and that are not here
}

// assigned is an assignment.
type assigned struct {
	tokens []token
	file   string
	line   int
}

// need is an environment variable that a module reads.
type need struct {
	environmentRef
	file  string
	maybe bool // under a condition
}

// loadModule reads a module, and those that it takes everything from. Base is
// the directory that modules are looked for in.
func loadModule(t *tree, base, dotted string) (*module, bool) {
	m := &module{values: make(map[string]assigned)}
	return m, m.load(t, base, dotted, 0)
}

// moduleFile returns the file of a module, or of a package.
func moduleFile(t *tree, base, dotted string) (string, bool) {
	name := path.Join(base, strings.ReplaceAll(dotted, ".", "/"))
	return t.first(name+".py", name+"/__init__.py")
}

func (m *module) load(t *tree, base, dotted string, depth int) bool {
	file, ok := moduleFile(t, base, dotted)
	if !ok || depth > 5 {
		return false
	}
	src, ok := t.read(file)
	if !ok {
		return false
	}
	pkg := dotted
	if path.Base(file) != "__init__.py" {
		pkg = parentOf(dotted)
	}
	m.files = append(m.files, file)
	var blocks blocks
	for _, s := range pythonStatements(src) {
		mode := blocks.enter(s)
		if mode == skipped {
			continue
		}
		if from, ok := importAll(s.tokens, pkg); ok {
			if !m.load(t, base, from, depth+1) {
				m.unknown = append(m.unknown, from)
			}
			continue
		}
		m.assign(s.tokens, file)
		for _, ref := range environmentRefs(s.tokens) {
			m.needs = append(m.needs, need{ref, file, mode == maybe})
		}
	}
	return true
}

// assign remembers NAME = ..., NAME: type = ... and NAME += [...].
func (m *module) assign(tokens []token, file string) {
	if len(tokens) < 3 || tokens[0].kind != nameToken {
		return
	}
	name, line := tokens[0].text, tokens[0].line
	switch {
	case tokens[1].is("=") && !tokens[2].is("="):
		m.values[name] = assigned{tokens[2:], file, line}
	case tokens[1].is("+") && tokens[2].is("="):
		before := m.values[name]
		if len(before.tokens) == 0 {
			before = assigned{file: file, line: line}
		}
		joined := append(slices.Clone(before.tokens), token{operatorToken, "+", line})
		m.values[name] = assigned{append(joined, tokens[3:]...), before.file, before.line}
	case tokens[1].is(":"):
		if parts := split(tokens[2:], "="); len(parts) == 2 {
			m.values[name] = assigned{parts[1], file, line}
		}
	}
}

// importAll recognises "from X import *"; pkg is the package that a leading dot
// stands for.
func importAll(tokens []token, pkg string) (string, bool) {
	n := len(tokens)
	if n < 4 || tokens[0].text != "from" || tokens[n-2].text != "import" || !tokens[n-1].is("*") {
		return "", false
	}
	var dots int
	var name strings.Builder
	for _, t := range tokens[1 : n-2] {
		if t.is(".") && name.Len() == 0 {
			dots++
			continue
		}
		name.WriteString(t.text)
	}
	if dots == 0 {
		return name.String(), true
	}
	for range dots - 1 {
		pkg = parentOf(pkg)
	}
	return strings.Trim(pkg+"."+name.String(), "."), true
}

func parentOf(dotted string) string {
	if i := strings.LastIndexByte(dotted, '.'); i >= 0 {
		return dotted[:i]
	}
	return ""
}

// mode says whether a statement counts in production.
type mode uint8

const (
	counts  mode = iota
	maybe        // under a condition that is not known
	skipped      // while debugging, or within a function
)

// blocks follows the indentation of a module.
type blocks struct{ open []block }

type block struct {
	indent    int
	mode      mode
	otherwise mode // of an else
}

// enter returns the mode of a statement, and opens the block that it begins.
func (b *blocks) enter(s statement) mode {
	var closed block
	for len(b.open) > 0 && b.open[len(b.open)-1].indent >= s.indent {
		closed = b.open[len(b.open)-1]
		b.open = b.open[:len(b.open)-1]
	}
	m := counts
	if len(b.open) > 0 {
		m = b.open[len(b.open)-1].mode
	}
	if len(s.tokens) < 2 || !s.tokens[len(s.tokens)-1].is(":") {
		return m
	}
	inner, otherwise := counts, maybe
	switch s.tokens[0].text {
	case "if":
		inner, otherwise = condition(s.tokens)
	case "elif":
		inner = maybe
	case "else":
		inner = closed.otherwise
	case "except", "for", "while":
		inner = maybe
	case "def", "class", "async":
		inner = skipped
	}
	b.open = append(b.open, block{s.indent, max(m, inner), max(m, otherwise)})
	return m
}

// condition reads "if DEBUG:" and "if not DEBUG:", the one condition whose
// answer in production is known.
func condition(tokens []token) (then, otherwise mode) {
	switch {
	case len(tokens) == 3 && tokens[1].text == "DEBUG":
		return skipped, counts
	case len(tokens) == 4 && tokens[1].text == "not" && tokens[2].text == "DEBUG":
		return counts, skipped
	}
	return maybe, maybe
}
