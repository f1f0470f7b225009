package manual

import (
	"regexp"
	"strings"
)

// kind is a kind of block.
type kind uint8

const (
	paragraph kind = iota
	heading
	item // of a list
	code
	table
)

// block is a part of a page, as our pages are written: this is no parser for
// all of Markdown.
type block struct {
	kind     kind
	text     string     // on one line, but for code
	language string     // of code
	rows     [][]string // of a table, the header first
}

// parse takes a page apart.
func parse(page string) []block {
	var blocks []block
	open := false // whether the last block goes on in the next line
	lines := strings.Split(page, "\n")
	for i := 0; i < len(lines); i++ {
		line := strings.TrimRight(lines[i], " ")
		language, fence := strings.CutPrefix(line, "```")
		switch text, isItem := strings.CutPrefix(line, "- "); {
		case fence:
			var body []string
			for i++; i < len(lines) && !strings.HasPrefix(lines[i], "```"); i++ {
				body = append(body, lines[i]+"\n")
			}
			blocks, open = append(blocks, block{kind: code, language: language, text: strings.Join(body, "")}), false
		case line == "":
			open = false
		case strings.HasPrefix(line, "#"):
			blocks, open = append(blocks, block{kind: heading, text: strings.TrimLeft(line, "# ")}), false
		case strings.HasPrefix(line, "|"):
			if last := len(blocks) - 1; open && blocks[last].kind == table {
				if !tableRule.MatchString(line) {
					blocks[last].rows = append(blocks[last].rows, asLong(cells(line), blocks[last].rows[0]))
				}
				continue
			}
			blocks, open = append(blocks, block{kind: table, rows: [][]string{cells(line)}}), true
		case isItem:
			blocks, open = append(blocks, block{kind: item, text: text}), true
		case open:
			blocks[len(blocks)-1].text += " " + strings.TrimSpace(line)
		default:
			blocks, open = append(blocks, block{kind: paragraph, text: strings.TrimSpace(line)}), true
		}
	}
	return blocks
}

// tableRule is the line between a table's header and its rows.
var tableRule = regexp.MustCompile(`^\|[ :|-]+$`)

// cells takes a row of a table apart.
func cells(line string) []string {
	const bar = "\x00" // an escaped one
	line = strings.ReplaceAll(strings.TrimPrefix(strings.TrimSpace(line), "|"), `\|`, bar)
	line = strings.TrimSuffix(line, "|")
	var row []string
	for cell := range strings.SplitSeq(line, "|") {
		row = append(row, strings.ReplaceAll(strings.TrimSpace(cell), bar, "|"))
	}
	return row
}

var codeSpan = regexp.MustCompile("`[^`]*`")

// asLong cuts a row, or adds empty cells, so that it is as long as the header.
func asLong(row, header []string) []string {
	return append(row, make([]string, max(len(header)-len(row), 0))...)[:len(header)]
}

var link = regexp.MustCompile(`\[([^\]\[]+)\]\([^()]+\)`)

// style is how a piece of text stands out.
type style struct{ bold, code bool }

// span is a piece of text in one style.
type span struct {
	text string
	style
}

// words splits a text at its spaces, and each word where its style changes.
func words(text string) [][]span {
	const mark = '\x00' // of a phrase, to be shown
	text = codeSpan.ReplaceAllStringFunc(link.ReplaceAllString(text, "$1"), func(code string) string {
		if strings.Contains(code, " ") { // its words need marks that hold them together
			return "`\x00" + strings.Trim(code, "`") + "\x00`"
		}
		return code
	})
	var all [][]span
	var word []span
	var now style
	add := func(s string) {
		if last := len(word) - 1; last >= 0 && word[last].style == now {
			word[last].text += s
		} else {
			word = append(word, span{s, now})
		}
	}
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '`':
			now.code = !now.code
		case !now.code && strings.HasPrefix(text[i:], "**"):
			now.bold = !now.bold
			i++
		case text[i] == ' ':
			if len(word) > 0 {
				all, word = append(all, word), nil
			}
		case text[i] == mark:
			add("`")
		default:
			add(text[i : i+1])
		}
	}
	if len(word) > 0 {
		all = append(all, word)
	}
	return all
}

// plain is a text without its marks.
func plain(text string) string {
	var b strings.Builder
	for i, word := range words(text) {
		if i > 0 {
			b.WriteByte(' ')
		}
		for _, s := range word {
			b.WriteString(s.text)
		}
	}
	return b.String()
}
