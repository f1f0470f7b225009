package migrations

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"hale/health"
	"hale/internal/explain"
)

// state is what came of comparing a code's migrations with a table's rows.
type state struct {
	pending []string // not applied, in the order in which they will be
	broken  []string // sentences on what keeps the tool from going on
	odd     []string // sentences on what somebody should look at
	ahead   []string // applied, unknown to the code, and later than all that it knows
	gone    int      // applied, unknown to the code, and earlier: their files were removed
}

// named is how many migrations a message names.
const named = 3

// verdict puts a state into words.
type verdict struct {
	*Check
	code  code
	state state
}

func (v verdict) tell() (string, error) {
	s := v.state
	switch v.Direction {
	case directionBehind:
		s.ahead = nil
	case directionAhead:
		s.broken, s.pending, s.odd = nil, nil, nil
	}
	faults := slices.Clone(s.broken[:min(len(s.broken), named)])
	if more := len(s.broken) - named; more > 0 {
		faults = append(faults, fmt.Sprintf("%d more faults", more))
	}
	if len(s.pending) > 0 {
		faults = append(faults, v.ofPending()+list(s.pending))
	}
	ahead := ""
	if len(s.ahead) > 0 && v.Ahead != aheadIgnored {
		ahead = fmt.Sprintf("the database is ahead of this code, which does not know %s", list(s.ahead))
		if v.Ahead == aheadFails {
			faults = append(faults, ahead)
		}
	}
	switch {
	case len(faults) > 0:
		return "", errors.New(v.line(strings.Join(faults, "; ")))
	case ahead != "":
		return "", health.Warnf("%s", v.line(strings.Join(append([]string{ahead}, s.odd...), "; ")))
	case len(s.odd) > 0:
		return "", health.Warnf("%s", v.line(strings.Join(s.odd, "; ")))
	}
	return v.line(v.ofPass()), nil
}

func (v verdict) ofPending() string {
	n := len(v.state.pending)
	all := max(v.code.size(), n) // of chosen apps, others may be needed, too
	if all == 1 {
		return "the only migration is not applied: "
	}
	return fmt.Sprintf("%d of %d migrations %s not applied: ", n, all, are(n))
}

func (v verdict) ofPass() string {
	if v.Direction == directionAhead {
		return "the database is not ahead of this code"
	}
	var text string
	switch n := v.code.size(); n {
	case 0:
		text = "the code brings no migrations"
	case 1:
		text = "the only migration is applied"
	default:
		text = fmt.Sprintf("all %d migrations are applied", n)
	}
	if v.state.gone > 0 {
		text += fmt.Sprintf(", and %d that the code no longer has", v.state.gone)
	}
	return text
}

// ofNoTable is the verdict on a database in which the tool has never been.
func (v verdict) ofNoTable() (string, error) {
	n := v.code.size()
	if n == 0 || v.Direction == directionAhead {
		return v.line(v.ofPass()), nil
	}
	none := fmt.Sprintf("none of %d migrations is applied", n)
	if n == 1 {
		none = "the only migration is not applied"
	}
	return "", errors.New(v.line(fmt.Sprintf("%s: there is no table %s", none, v.tableName())))
}

// line adds where the code's migrations were learnt, if that matters, and where
// the database is.
func (v verdict) line(text string) string {
	if note := v.code.note(); note != "" {
		text += " (" + note + ")"
	}
	return text + ": " + v.session.Where()
}

// list names the first few.
func list(names []string) string {
	short := make([]string, 0, named)
	for _, name := range names[:min(len(names), named)] {
		short = append(short, brief(name))
	}
	text := strings.Join(short, ", ")
	if more := len(names) - named; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// brief is a name for a message: it comes from a file or from the database.
func brief(name string) string {
	const longest = 80
	name = explain.Line(name)
	if r := []rune(name); len(r) > longest {
		return string(r[:longest]) + "..."
	}
	return name
}

func are(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}
