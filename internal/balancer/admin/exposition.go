package admin

import (
	"strconv"
	"strings"
)

// exposition writes metrics as text: in Prometheus' format 0.0.4, or as
// OpenMetrics 1.0, which names the families of counters without their _total.
type exposition struct {
	open bool
	b    []byte
}

// label is a name and its value; an empty value is as good as no label.
type label struct{ name, value string }

// family begins a family of metrics. Kind is counter, gauge or histogram; a unit,
// if any, is the end of the name.
func (e *exposition) family(name, kind, unit, help string) {
	if kind == "counter" && !e.open {
		name += "_total"
	}
	e.line("# HELP ", name, " ", help)
	e.line("# TYPE ", name, " ", kind)
	if unit != "" && e.open {
		e.line("# UNIT ", name, " ", unit)
	}
}

func (e *exposition) line(parts ...string) {
	for _, p := range parts {
		e.b = append(e.b, p...)
	}
	e.b = append(e.b, '\n')
}

func (e *exposition) sample(name string, value float64, labels ...label) {
	e.b = append(e.b, name...)
	separator := "{"
	for _, l := range labels {
		if l.value != "" {
			e.b = append(e.b, separator+l.name+`="`+escape(l.value)+`"`...)
			separator = ","
		}
	}
	if separator == "," {
		e.b = append(e.b, '}')
	}
	e.line(" ", strconv.FormatFloat(value, 'g', -1, 64))
}

func (e *exposition) end() []byte {
	if e.open {
		e.line("# EOF")
	}
	return e.b
}

// escape escapes a label's value.
func escape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", "").Replace(strings.ToValidUTF8(s, ""))
}
