package yamlfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// maxFile is the size above which a file is taken for something else.
const maxFile = 1 << 20

// Read returns the content of a file; title is what such files are called.
func Read(path, title string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer f.Close()
	var data bytes.Buffer
	if _, err := data.ReadFrom(io.LimitReader(f, maxFile+1)); err != nil {
		return nil, unreadable(path, err)
	}
	if data.Len() > maxFile {
		return nil, fmt.Errorf("read configuration: %s is larger than 1 MiB; is it a %s?", path, title)
	}
	return data.Bytes(), nil
}

// unreadable says what to do about a file that cannot be read, and wraps why.
func unreadable(path string, err error) error {
	why := err
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		why = e.Err
	}
	advice := why.Error()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		advice = "there is no such file; name another with -c FILE"
	case errors.Is(err, fs.ErrPermission):
		advice = "the user that hale runs as may not read it; let it, or run hale as another"
	case errors.Is(err, syscall.EISDIR):
		advice = "it is a directory; name the file in it"
	}
	return &fileError{"read configuration " + path + ": " + advice, why}
}

// fileError is why a file cannot be read, in words that say what to do.
type fileError struct {
	text string
	why  error
}

func (e *fileError) Error() string { return e.text }
func (e *fileError) Unwrap() error { return e.why }

// Document reads data as the one YAML document that it should be and returns
// its top node, or nil after a fault that leaves nothing to decode.
func (d *Decoder) Document(data []byte) *yaml.Node {
	if line, column, wrong := badByte(data); wrong != "" {
		d.FaultAt(line, column, "", wrong)
		return nil
	}
	loader, err := yaml.NewLoader(bytes.NewReader(data))
	if err != nil {
		d.syntaxFault(data, err)
		return nil
	}
	var doc yaml.Node
	switch err := loader.Load(&doc); {
	case errors.Is(err, io.EOF) || err == nil && len(doc.Content) == 0:
		return d.empty(1, 1)
	case err != nil:
		d.syntaxFault(data, err)
		return nil
	}
	root := doc.Content[0]
	if IsNull(root) {
		return d.empty(1, 1)
	}
	var second yaml.Node
	switch err := loader.Load(&second); {
	case err == nil:
		d.FaultAt(second.Line, second.Column, "", "a second document begins here; "+d.about.Title+" is one: remove this line and join the two")
	case !errors.Is(err, io.EOF):
		d.syntaxFault(data, err)
	}
	return root
}

func (d *Decoder) empty(line, column int) *yaml.Node {
	d.FaultAt(line, column, "", "the file is empty; begin with \""+d.about.Empty+"\"")
	return nil
}

// IsNull tells whether a key was written without a value.
func IsNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

// badByte finds the first byte that is no UTF-8, or a control character that
// YAML forbids, and says what is wrong with it: the reader reports neither with
// a position.
func badByte(data []byte) (line, column int, wrong string) {
	const notUTF8 = "not a text in UTF-8; save the file as UTF-8"
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return 1, 1, notUTF8 // UTF-16, which YAML would allow
	}
	line, column = 1, 1
	for i := 0; i < len(data); {
		c, size := utf8.DecodeRune(data[i:])
		switch {
		case c == utf8.RuneError && size == 1:
			return line, column, notUTF8
		case c == '\n', c == '\r' && !bytes.HasPrefix(data[i:], []byte("\r\n")):
			line, column = line+1, 0
		case c == '\t', c == '\r', c == 0x85: // allowed (YAML 1.2, rule c-printable)
		case c < ' ', c >= 0x7f && c < 0xa0, c == 0xfffe, c == 0xffff:
			return line, column, fmt.Sprintf("a control character (U+%04X) is no part of a text; take it away", c)
		}
		i += size
		column++
	}
	return 0, 0, ""
}

// syntaxFault reports what the YAML parser stumbled over. The parser's messages
// are those of a parser; where it is known what people do to get one, the fault
// says that instead.
func (d *Decoder) syntaxFault(data []byte, err error) {
	load, ok := errors.AsType[*yaml.LoadError](err)
	if !ok {
		d.FaultAt(1, 1, "", "not YAML: "+OneLine(err.Error()))
		return
	}
	at, text := load.Mark, ""
	src := source(lineBreak.Split(string(data), -1))
	switch msg := load.Message; {
	case strings.Contains(msg, "tab character") || src.char(at) == '\t':
		text = "a tab indents this line; YAML wants spaces"
	case strings.Contains(msg, "unexpected end of stream") && strings.Contains(load.ContextMsg, "quoted scalar"):
		at, text = load.ContextMark, "the quote that begins here never ends; add the closing one"
	case src.before(at, 1) == "$" && src.char(at) == '{',
		src.before(at, 2) == "${":
		text = `a ${NAME} within { } or [ ] must be quoted; write "${NAME}"`
	case strings.Contains(msg, "expected ',' or ']'"):
		text = fmt.Sprintf("the list that begins on line %d, column %d goes wrong here; a comma or the closing ] is missing", load.ContextMark.Line, load.ContextMark.Column)
	case strings.Contains(msg, "expected ',' or '}'"):
		text = fmt.Sprintf("the mapping that begins on line %d, column %d goes wrong here; a comma or the closing } is missing", load.ContextMark.Line, load.ContextMark.Column)
	case strings.Contains(msg, "expected node content"):
		text = "a value is missing here, or a bracket too many or too few"
	case strings.Contains(load.ContextMsg, "scanning an alias") || strings.Contains(msg, "unknown anchor"):
		if strings.Contains(load.ContextMsg, "alias") {
			at = load.ContextMark
		}
		text = src.unknownAlias(at)
	case strings.Contains(msg, "cannot start any token") && unicode.IsPrint(src.char(at)):
		text = fmt.Sprintf("a value cannot begin with %c; put it into quotes", src.char(at))
	case strings.Contains(msg, "mapping values are not allowed"):
		text = `a key is not expected here; indent it like the keys beside it, and quote a value that has ": " in it`
		if line := src.colonWithoutSpace(at.Line); line > 0 {
			text = fmt.Sprintf("a key is not expected here; line %d wants a space after its colon", line)
		}
	case strings.Contains(msg, "expected key"), strings.Contains(msg, "expected '-' indicator"):
		text = "this line does not fit what is above it; indent it like the keys or dashes that it belongs to"
	case strings.Contains(msg, "unknown escape"):
		text = `no such escape in "..."; write \\ for a backslash, or put the value into '...'`
	case strings.Contains(msg, "max depth"):
		text = "too many brackets within brackets"
	default:
		text = "not YAML: " + OneLine(msg)
	}
	d.FaultAt(at.Line, at.Column, "", text)
}

// source is a file's lines, to look at what is around a position.
type source []string

// lineBreak is what the YAML reader counts as one.
var lineBreak = regexp.MustCompile(`\r\n|[\r\n\x{85}\x{2028}\x{2029}]`)

// char returns the character at a position, or 0.
func (s source) char(at yaml.Mark) rune {
	if line := s.line(at.Line); at.Column >= 1 && at.Column <= len(line) {
		return line[at.Column-1]
	}
	return 0
}

// before returns the n characters before a position.
func (s source) before(at yaml.Mark, n int) string {
	if line := s.line(at.Line); at.Column > n && at.Column <= len(line)+1 {
		return string(line[at.Column-1-n : at.Column-1])
	}
	return ""
}

var (
	aliasHere  = regexp.MustCompile(`^\*([A-Za-z0-9_-]+)(?:[\s,\]}]|$)`)
	anchorMark = regexp.MustCompile(`(?:^|[\s\[{,])&([A-Za-z0-9_-]+)`)
)

// unknownAlias says what is wrong with what YAML takes for an alias.
func (s source) unknownAlias(at yaml.Mark) string {
	const quote = `a value that begins with * must be quoted`
	line := s.line(at.Line)
	alias := aliasHere.FindStringSubmatch(string(line[min(max(at.Column-1, 0), len(line)):]))
	if alias == nil {
		return quote + `; write "*"`
	}
	var anchors []string
	for _, anchor := range anchorMark.FindAllStringSubmatch(strings.Join(s, "\n"), -1) {
		anchors = append(anchors, anchor[1])
	}
	switch near := Nearest(alias[1], anchors); {
	case slices.Contains(anchors, alias[1]):
		return fmt.Sprintf("*%[1]s: the anchor &%[1]s is not above this line; move it there", alias[1])
	case near != "":
		return fmt.Sprintf("*%[1]s: there is no anchor &%[1]s; did you mean *%[2]s?", alias[1], near)
	}
	return fmt.Sprintf("*%[1]s: there is no anchor &%[1]s; mark what is meant with it, or quote the value if it is no alias", alias[1])
}

func (s source) line(number int) []rune {
	if number < 1 || number > len(s) {
		return nil
	}
	return []rune(s[number-1])
}

var colonWithoutSpace = regexp.MustCompile(`^\s*[A-Za-z_-]+:[^\s/:]`)

// colonWithoutSpace returns the number of the line before the given one, or of
// that one, if it looks like key:value; else 0.
func (s source) colonWithoutSpace(number int) int {
	for _, n := range []int{number - 1, number} {
		if colonWithoutSpace.MatchString(string(s.line(n))) {
			return n
		}
	}
	return 0
}

// Child returns the value of a key of a mapping, or nil.
func Child(n *yaml.Node, key string) *yaml.Node {
	n = Target(n)
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return Target(n.Content[i+1])
		}
	}
	return nil
}

// Target returns what an alias stands for, or n itself.
func Target(n *yaml.Node) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}
