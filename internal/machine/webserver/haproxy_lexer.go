package webserver

import "strings"

// haproxyWords splits a line as section 2.2 of the Configuration Manual says:
// quotes, of which the weak ones let variables be replaced, backslashes, and a
// comment at the end. Only the variables of addresses are: others may be secrets.
func haproxyWords(text string, env func(string) string) []string {
	var words []string
	var b strings.Builder
	inWord := false
	end := func() {
		if inWord {
			words = append(words, b.String())
		}
		b.Reset()
		inWord = false
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case ' ', '\t', '\r', '\n':
			end()
		case '#':
			end()
			return words
		case '\\':
			inWord = true
			if i+1 < len(text) {
				i++
				if text[i] == 'n' || text[i] == 't' || text[i] == 'r' {
					b.WriteByte(' ')
				} else {
					b.WriteByte(text[i])
				}
			}
		case '\'':
			inWord = true
			n := strings.IndexByte(text[i+1:], '\'')
			if n < 0 {
				n = len(text) - i - 1
			}
			b.WriteString(text[i+1 : i+1+n])
			i += n + 1
		case '"':
			inWord = true
			for i++; i < len(text) && text[i] != '"'; i++ {
				switch {
				case text[i] == '\\' && i+1 < len(text):
					i++
					b.WriteByte(text[i])
				case text[i] == '$':
					name, rest := haproxyVariable(text[i+1:])
					end := len(text) - len(rest)
					if len(words) > 0 && (words[0] == "bind" || words[0] == "server") {
						b.WriteString(env(name))
					} else {
						b.WriteString(text[i:end])
					}
					i = end - 1
				default:
					b.WriteByte(text[i])
				}
			}
		default:
			inWord = true
			b.WriteByte(c)
		}
	}
	end()
	return words
}

// haproxyVariable cuts the name of a variable, which may have a default behind a
// dash, off the text behind its dollar.
func haproxyVariable(text string) (name, rest string) {
	name, rest = variableName(text)
	name, _, _ = strings.Cut(name, "-")
	name, _, _ = strings.Cut(name, "[")
	return name, rest
}
