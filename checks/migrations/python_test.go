package migrations

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestReadAssignments(t *testing.T) {
	t.Parallel()
	text := func(s string) literal { return literal{kind: textLiteral, text: s} }
	listOf := func(items ...literal) literal { return literal{kind: listLiteral, items: items} }
	other := literal{}
	for _, test := range []struct {
		name, source string
		want         []assignment
	}{
		{"nothing", "", nil},
		{"a string", "revision = 'ab12'\n", []assignment{{"", "revision", text("ab12")}}},
		{"with a type", "revision: str = \"ab12\"", []assignment{{"", "revision", text("ab12")}}},
		{"with a type in brackets", "down: Union[str, None] = None", []assignment{{"", "down", other}}},
		{"a type alone", "revision: str\n", nil},
		{"strings side by side", "a = 'x' \"y\" 'z'", []assignment{{"", "a", text("xyz")}}},
		{"a long string", "a = '''x\n'y'\n'''", []assignment{{"", "a", text("x\n'y'\n")}}},
		{"escapes", `a = 'it\'s \\ \n' r'\n'`, []assignment{{"", "a", text("it's \\ \n\\n")}}},
		{"bytes and f-strings are no texts", "a = b'x'\nb = f'x'", []assignment{{"", "a", other}, {"", "b", other}}},
		{"a tuple", "a = ('x', 'y')", []assignment{{"", "a", listOf(text("x"), text("y"))}}},
		{"a tuple of one", "a = ('x',)", []assignment{{"", "a", listOf(text("x"))}}},
		{"a bare tuple", "a = 'x', 'y'", []assignment{{"", "a", listOf(text("x"), text("y"))}}},
		{"parentheses", "a = ('x')", []assignment{{"", "a", text("x")}}},
		{"an empty list", "a = []", []assignment{{"", "a", listOf()}}},
		{"a list of pairs", "a = [\n  ('x', 'y'), # why\n  ('z', 'w'),\n]", []assignment{{"", "a", listOf(listOf(text("x"), text("y")), listOf(text("z"), text("w")))}}},
		{"what is computed", "a = [f('x', 'y'), 'z', g.h, 1]", []assignment{{"", "a", listOf(other, text("z"), other, other)}}},
		{"a sum", "a = 'x' + 'y'\nb = ['x'] + ['y']", []assignment{{"", "a", other}, {"", "b", other}}},
		{"a longer list", "A = ['x']\nA += ['y']", []assignment{{"", "A", listOf(text("x"))}, {"", "A", listOf(text("y"))}}},
		{"no assignments", "a == 'x'\na.b = 'x'\na['b'] = 'x'\nf(a='x')\nif a:\n  b = 'x'\n", nil},
		{"two in a line", "a = 'x'; b = 'y'", []assignment{{"", "a", text("x")}, {"", "b", text("y")}}},
		{"two behind brackets", "a = [\n    'x']; b = 'y'", []assignment{{"", "a", listOf(text("x"))}, {"", "b", text("y")}}},
		{"a line that goes on", "a = \\\n  'x'", []assignment{{"", "a", text("x")}}},
		{"in a string or a comment", "# a = 'x'\n'''\na = 'x'\n'''\n", nil},
		{
			"a class", "import x\n\nclass Migration(x.Migration):\n    '''A doc.'''\n    replaces = [('a', 'b')]\n\n    def f(self):\n        replaces = 1\n\n    initial = True\n\nreplaces = 'c'\n",
			[]assignment{{"Migration", "replaces", listOf(listOf(text("a"), text("b")))}, {"Migration", "initial", other}, {"", "replaces", text("c")}},
		},
		{"carriage returns and a byte order mark", "\uFEFFa = 'x'\r\nclass B:\r\n\tc = 'y'\r\n", []assignment{{"", "a", text("x")}, {"B", "c", text("y")}}},
		{"cut off", "a = ['x', ('y'", []assignment{{"", "a", listOf(text("x"), listOf(text("y")))}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := readAssignments([]byte(test.source))
			if len(got)+len(test.want) > 0 && !reflect.DeepEqual(normal(got), normal(test.want)) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

// normal makes no difference between no items and none yet.
func normal(all []assignment) []assignment {
	var clean func(literal) literal
	clean = func(l literal) literal {
		var items []literal
		for _, item := range l.items {
			items = append(items, clean(item))
		}
		l.items = items
		return l
	}
	all = slices.Clone(all)
	for i := range all {
		all[i].value = clean(all[i].value)
	}
	return all
}

// Any input is read in time, and what stands at the start of a module is found
// whatever follows.
func FuzzReadAssignments(f *testing.F) {
	for _, seed := range []string{
		"revision: str = 'x'\ndown_revision = ('a', 'b')\n", "class Migration(m.Migration):\n    dependencies = [('a', 'b'), f(x)]\n",
		"a = '''x", `a = "\`, "((((((((((", "a = [[[[{{{{", "'''", "\\\n", "a = 'x' 'y' \"\"\"z\"\"\"", "}])", "x = \"a\nb\"",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, rest string) {
		all := readAssignments([]byte("first = 'value'\n" + rest))
		if len(all) == 0 || all[0].name != "first" || all[0].value.text != "value" {
			t.Errorf("%+v", all)
		}
		for _, a := range all {
			if a.name == "" || strings.ContainsAny(a.name, " \n=") {
				t.Errorf("the name %q", a.name)
			}
			_, _ = a.value.texts(), pairs(a.value)
		}
	})
}
