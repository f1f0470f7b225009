package manual

import (
	"strings"
	"testing"
)

const sample = `# Page

## other

not this

## thing

Does a *thing* with ` + "`code`" + `
and [a link](x.md#y).

- **Proves** one
  thing.
- **Rights**: ` + "`a b`" + `.

| option | default | meaning |
| --- | --- | --- |
| ` + "`x`" + ` | required | one \| two |
| ` + "`y`" + ` | – | |

` + "```yaml\na: 1\n\nb: 2\n```" + `

### More

The end.

## last
`

const tables = `
<!-- keys: health.checks[] type thing -->
| key | type | default | meaning |
| --- | --- | --- | --- |
| ` + "`x`" + ` | duration | – | The X. |
| ` + "`y`" + ` | ` + "`true`, `false`" + ` | – | The Y. |
<!-- end -->
`

func TestRead(t *testing.T) {
	e, err := read("thing", sample, tables)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := e.Render(&b, 60, false); err != nil {
		t.Fatal(err)
	}
	const want = `thing

Does a *thing* with code and a link.

- Proves one thing.
- Rights: ` + "`a b`" + `.

option  kind         default   meaning
x       duration     required  one | two
y       true, false            The Y.

    a: 1

    b: 2

More

The end.
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	if e.Proves != "one thing." || e.Rights != "`a b`." || e.Examples[0] != "a: 1\n\nb: 2\n" {
		t.Errorf("%+v", e)
	}
}

// The column with the sentences is not squeezed by those before it, and what
// people copy is in one piece.
func TestSentencesHaveRoom(t *testing.T) {
	const row = "| `address` | http://HOST:PORT, unix:///PATH, uwsgi://HOST:PORT | the address that hale.yaml tells | where the app listens: `uwsgi+unix:///PATH.sock` or `a b` |\n"
	e, err := read("thing", "## thing\n\n| option | kind | default | meaning |\n| --- | --- | --- | --- |\n"+row, tables)
	if err != nil {
		t.Fatal(err)
	}
	for _, width := range []int{60, 80, 100} {
		var b strings.Builder
		if err := e.Render(&b, width, false); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			if n := len([]rune(strings.TrimSpace(line))); n > width {
				t.Errorf("%d columns: %q", width, line)
			}
		}
		if !strings.Contains(b.String(), "uwsgi+unix:///PATH.sock") {
			t.Errorf("%d columns:\n%s", width, b.String())
		}
	}
	var b strings.Builder
	if err := e.Render(&b, 100, true); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "`") {
		t.Errorf("a mark beside its colour:\n%s", b.String())
	}
}

func FuzzRender(f *testing.F) {
	f.Add(sample, 60)
	f.Add("## thing\n| a | b\n| c |\n|\n```\n- `**`", 10)
	f.Fuzz(func(t *testing.T, page string, width int) {
		e, err := read("thing", "## thing\n"+page, tables)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := e.Render(&b, width%300, true); err != nil {
			t.Error(err)
		}
	})
}
