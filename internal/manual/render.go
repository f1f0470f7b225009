package manual

import (
	"bufio"
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"
)

// Bounds of the width of what is rendered, in columns.
const (
	narrowest = 40
	gap       = 2 // between columns
	margin    = 4 // before code

	lastResort = 12 // of a column of sentences, where there is no room at all
)

// Render writes the entry for a terminal that is width columns wide.
func (e *Entry) Render(w io.Writer, width int, colour bool) error {
	p := &page{w: bufio.NewWriter(w), width: max(width, narrowest), colour: colour}
	p.line(p.styled(e.Type, style{bold: true}))
	last := heading
	for _, b := range e.blocks {
		if b.kind != item || last != item {
			p.line("")
		}
		switch b.kind {
		case heading:
			p.line(p.styled(plain(b.text), style{bold: true}))
		case paragraph:
			p.wrapped(b.text, "", "")
		case item:
			p.wrapped(b.text, "- ", "  ")
		case code:
			for line := range strings.Lines(b.text) {
				p.line(strings.Repeat(" ", margin) + strings.TrimSuffix(line, "\n"))
			}
		case table:
			p.table(b.rows)
		}
		last = b.kind
	}
	if len(e.Common) > 0 {
		p.line("")
		p.wrapped("Also, as for every check: "+strings.Join(e.Common, ", ")+".", "", "")
	}
	return p.w.Flush()
}

// page writes lines of a width.
type page struct {
	w      *bufio.Writer
	width  int
	colour bool
}

func (p *page) line(s string) {
	_, _ = p.w.WriteString(strings.TrimRight(s, " ") + "\n") // Flush tells
}

func (p *page) wrapped(s, first, others string) {
	for i, line := range p.fill(s, p.width-len(others)) {
		if i == 0 {
			p.line(first + line)
		} else {
			p.line(others + line)
		}
	}
}

// fill breaks a text into lines of a width, and words that are longer, too.
func (p *page) fill(s string, width int) []string {
	var lines []string
	var line strings.Builder
	used := 0
	for _, word := range short(words(s), max(width, 1)) {
		long := widthOf(word)
		if used > 0 && used+1+long > width {
			lines = append(lines, line.String())
			line.Reset()
			used = 0
		}
		if used > 0 {
			line.WriteByte(' ')
			used++
		}
		for _, s := range word {
			line.WriteString(p.styled(s.text, s.style))
		}
		used += long
	}
	return append(lines, line.String())
}

func widthOf(word []span) int {
	width := 0
	for _, s := range word {
		width += text.StringWidthWithoutEscSequences(s.text)
	}
	return width
}

// short cuts words that are longer than a line.
func short(all [][]span, width int) [][]span {
	var cut [][]span
	for _, word := range all {
		if widthOf(word) <= width {
			cut = append(cut, word)
			continue
		}
		var piece []span
		for _, s := range word {
			for _, r := range s.text {
				if widthOf(piece)+text.RuneWidth(r) > width && len(piece) > 0 {
					cut, piece = append(cut, piece), nil
				}
				if last := len(piece) - 1; last >= 0 && piece[last].style == s.style {
					piece[last].text += string(r)
				} else {
					piece = append(piece, span{string(r), s.style})
				}
			}
		}
		cut = append(cut, piece)
	}
	return cut
}

func (p *page) styled(s string, as style) string {
	switch {
	case !p.colour:
		return s
	case as.code:
		return text.FgCyan.Sprint(strings.Trim(s, "`")) // the colour holds a phrase together
	case as.bold:
		return text.Bold.Sprint(s)
	}
	return s
}

// table writes rows in columns.
func (p *page) table(rows [][]string) {
	widths := p.columns(rows)
	for r, row := range rows {
		var columns [][]string
		height := 1
		for c, cell := range row {
			if r == 0 {
				cell = "**" + plain(cell) + "**"
			}
			lines := p.fill(cell, widths[c])
			columns = append(columns, lines)
			height = max(height, len(lines))
		}
		for i := range height {
			var line strings.Builder
			for c, lines := range columns {
				cell := ""
				if i < len(lines) {
					cell = lines[i]
				}
				line.WriteString(cell)
				line.WriteString(strings.Repeat(" ", max(widths[c]-text.StringWidthWithoutEscSequences(cell), 0)+gap))
			}
			p.line(line.String())
		}
	}
}

// columns divides the page's width: a column is as wide as its widest cell if
// there is room, and where there is not, the widest give way. The last one, which
// has the sentences, keeps two fifths as long as the others can give way.
func (p *page) columns(rows [][]string) []int {
	widths := make([]int, len(rows[0]))
	least := make([]int, len(rows[0])) // the longest word, unless that is very long; a key is to be copied
	last := len(widths) - 1
	for _, row := range rows {
		for c, cell := range row[:min(len(row), len(widths))] {
			widths[c] = max(widths[c], text.StringWidthWithoutEscSequences(plain(cell)))
			for word := range strings.FieldsSeq(plain(cell)) {
				longest := 12
				switch c {
				case 0:
					longest = p.width / 3
				case last:
					longest = p.width / 2
				}
				least[c] = max(least[c], min(text.StringWidthWithoutEscSequences(word), longest))
			}
		}
	}
	least[last] = max(least[last], min(widths[last], p.width*2/5))
	for total := p.total(widths); total > p.width; total = p.total(widths) {
		widest := -1
		for c := range widths {
			if widths[c] > least[c] && (widest < 0 || widths[c] > widths[widest]) {
				widest = c
			}
		}
		if widest < 0 && widths[last] > lastResort {
			widest = last
		}
		if widest < 0 {
			break
		}
		widths[widest]--
	}
	return widths
}

func (p *page) total(widths []int) int {
	total := gap * (len(widths) - 1)
	for _, w := range widths {
		total += w
	}
	return total
}
