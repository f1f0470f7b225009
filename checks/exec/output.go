package exec

import (
	"regexp"
	"strings"

	"hale/internal/explain"
)

// summary returns the line that explains the result: the first one that says
// something of what the program wrote to its standard output, without its
// performance data; if that is nothing, the first of its standard error.
func summary(stdout, stderr string) string {
	for line := range strings.Lines(stdout) {
		if text := explain.Line(withoutPerformance(line)); text != "" {
			return text
		}
		// Performance data alone is better than nothing.
		if data := explain.Line(strings.TrimLeft(line, "| \t")); data != "" {
			return data
		}
	}
	return explain.Line(stderr)
}

// performance is the beginning of performance data, as plugins write it behind
// the first "|" of a line: 'label'=value[UOM];[warn];[crit];[min];[max] with
// spaces between several. A label with spaces is in quotes, in which a quote is
// doubled; a value that could not be measured is U. See the Monitoring Plugins
// Development Guidelines, 2.6. Some plugins write decimals with a comma.
var performance = regexp.MustCompile(`^\s*('([^'=]|'')+'|[^'=\s]+)=(U|-?[0-9]+([.,][0-9]*)?([eE][-+]?[0-9]+)?[\pL%/]*)(;[-+.,0-9eE:~@]*){0,4};?(\s|$)`)

// withoutPerformance cuts performance data off a line. Behind a "|" can also be
// anything else: the line of a shell that a script repeats.
func withoutPerformance(line string) string {
	text, data, found := strings.Cut(line, "|")
	if found && strings.TrimSpace(data) != "" && !performance.MatchString(data) {
		return line
	}
	return text
}
