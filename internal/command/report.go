package command

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	gotable "github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"hale/internal/doctor"
	"hale/internal/elb"
	"hale/internal/probe"
	"hale/internal/targetgroup"
)

// reportText writes the doctor's report for people.
type reportText struct {
	look     tableLook
	allFixes bool
	prober   *probe.Prober
	b        strings.Builder
}

// nearest returns which of a finding's fixes is printed in full: the first that is
// for what the site is made of, else that of the load balancer, else the
// machine's; -1: none is near.
func (t *reportText) nearest(f *doctor.Finding) int {
	if f.Way != "" { // that is nearer than any of them
		return -1
	}
	if i := slices.IndexFunc(f.Fixes, func(fix doctor.Fix) bool { return fix.Own }); i >= 0 || len(f.Fixes) == 1 {
		return max(i, 0)
	}
	where := t.prober.Name
	switch where {
	case "alb", "alb-grpc", "nlb", "classic", "route53":
		where = "aws"
	case "kubelet":
		where = "kubernetes"
	}
	for _, where := range []string{where, "systemd", "linux"} {
		if i := slices.IndexFunc(f.Fixes, func(fix doctor.Fix) bool { return fix.Where == where }); i >= 0 {
			return i
		}
	}
	return -1
}

func (t *reportText) write(r *doctor.Report) string {
	verdict := t.paint(text.FgRed, "unhealthy")
	if r.Healthy {
		verdict = t.paint(text.FgGreen, "healthy")
		if len(r.Findings) > 0 {
			verdict += ", but"
		}
	}
	t.line("%s for %s: %s", r.Target, t.prober.Title, verdict)
	if r.Reason != "" {
		t.line("It is answered: %s (%s)", r.Answer, r.Reason)
	} else {
		t.line("It is answered: %s", r.Answer)
	}
	for i := range r.Findings {
		t.finding(i+1, &r.Findings[i])
	}
	tried, told := 0, ""
	for i := range r.Findings {
		if r.Findings[i].Way == "" {
			tried++
		} else {
			told = " What settings tell is beside that."
		}
	}
	if tried > 0 && !r.Healthy {
		t.line("")
		if r.HealthyWhenFixed {
			t.line("With %s mended, the check passes: that was tried.%s", thisOrAll(tried), told)
		} else {
			t.line("Whether the check passes then could not be tried.")
		}
	}
	t.names(r.Names)
	t.list("Proven", r.Proven)
	t.notes("Seen on this machine", r.Machine)
	t.notes("To know", r.Notes)
	t.timing(r.Timing)
	t.undecided(r.Undecided)
	t.line("")
	t.line("%s in %.1f s.", count(r.Requests, "request"), r.Seconds)
	return t.b.String()
}

func (t *reportText) undecided(all []doctor.Undecided) {
	var items []string
	for _, u := range all {
		items = append(items, u.What+"\n  to find out: "+u.How)
	}
	t.list("Not decided", items)
}

// names says where the site's name is from that nobody gave.
func (t *reportText) names(all []doctor.Name) {
	for i, n := range all {
		if i == 0 {
			t.line("")
		}
		t.wrapped("", fmt.Sprintf("The site's name %s is from %s; --host says another.", n.Name, n.From))
	}
}

func (t *reportText) notes(title string, all []targetgroup.Note) {
	if len(all) == 0 {
		return
	}
	t.line("")
	t.line("%s:", title)
	for _, n := range all {
		t.wrapped("- ", n.What)
		t.wrapped("  ", "seen: "+n.Seen)
		if n.Way != "" {
			t.way("  ", "to do: "+n.Way)
		}
	}
}

// timing is the table of how long things take.
func (t *reportText) timing(rows []elb.Row) {
	if len(rows) == 0 {
		return
	}
	t.line("")
	t.line("Timing:")
	table := newTable(nil, "how long", "at best", "at worst", "which is")
	table.SetColumnConfigs([]gotable.ColumnConfig{
		{Number: 1, WidthMax: 34, WidthMaxEnforcer: text.WrapSoft},
		{Number: 4, WidthMax: 60, WidthMaxEnforcer: text.WrapSoft},
	})
	for _, r := range rows {
		how := r.How
		if r.Note != "" {
			how += " (" + r.Note + ")"
		}
		table.AppendRow(gotable.Row{r.Event, short(r.Best), short(r.Worst), how})
	}
	for line := range strings.Lines(table.Render()) {
		t.line("%s", strings.TrimRight(line, "\n"))
	}
}

// short is a time as people write it.
func short(d time.Duration) string {
	if d >= time.Second {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Millisecond).String()
}

func count(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return fmt.Sprintf("%d %ss", n, of)
}

func thisOrAll(n int) string {
	switch n {
	case 1:
		return "this"
	case 2:
		return "both"
	}
	return fmt.Sprintf("all %d", n)
}

func (t *reportText) finding(n int, f *doctor.Finding) {
	t.line("")
	t.line("%d. %s  [%s]", n, t.paint(text.Bold, f.Title), f.ID)
	t.wrapped("   ", f.Because)
	for _, e := range f.Evidence {
		line := e.Change + ": " + e.Before
		switch {
		case e.After != "" && f.Way != "": // nothing was changed
			line += ", against " + e.After
		case e.After != "":
			line += " -> " + e.After
		}
		t.wrapped("   - ", line)
	}
	if len(f.Targets) > 0 {
		t.wrapped("   ", "Concerned: "+strings.Join(f.Targets, ", "))
	}
	if f.Way != "" {
		t.way("   ", "To do: "+f.Way)
	}
	var others []string
	whole, title := t.nearest(f), "Other fixes"
	if whole < 0 {
		title = "Fixes"
	}
	for i, fix := range f.Fixes {
		if i != whole && !t.allFixes {
			others = append(others, fix.Where+": "+fix.Summary())
			continue
		}
		t.line("")
		t.line("   Fix (%s):", fix.Where)
		for line := range strings.Lines(fix.Text) {
			t.line("     %s", strings.TrimRight(line, "\n"))
		}
	}
	if len(others) > 0 {
		t.line("")
		t.line("   %s (--all-fixes prints them whole):", title)
		for _, other := range others {
			t.wrapped("   - ", other)
		}
	}
}

func (t *reportText) list(title string, items []string) {
	if len(items) == 0 {
		return
	}
	t.line("")
	t.line("%s:", title)
	for _, item := range items {
		first, rest, _ := strings.Cut(item, "\n")
		t.wrapped("- ", first)
		if rest != "" {
			t.way("  ", strings.TrimSpace(rest))
		}
	}
}

func (t *reportText) line(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	t.b.WriteString(strings.TrimRight(line, " "))
	t.b.WriteByte('\n')
}

// wrapped writes a paragraph as wide as the terminal, with its lines below one
// another after the mark. Words stay whole, so that they can be copied.
func (t *reportText) wrapped(mark, paragraph string) {
	width := t.look.width
	if width == 0 {
		width = 100
	}
	width = max(width-len(mark), 40)
	indent := strings.Repeat(" ", len(mark))
	line := ""
	for word := range strings.FieldsSeq(paragraph) {
		if line != "" && text.StringWidth(line)+1+text.StringWidth(word) > width {
			t.line("%s%s", mark, line)
			line, mark = "", indent
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	t.line("%s%s", mark, line)
}

// shellCommand is one at the end of a text, with flags, to be copied as it is.
var shellCommand = regexp.MustCompile(`^(.*?:) (aws [^:]* --.*)$`)

// way writes what to do: a command in a line of its own.
func (t *reportText) way(mark, way string) {
	if m := shellCommand.FindStringSubmatch(way); m != nil {
		t.wrapped(mark, m[1])
		t.line("%s  %s", strings.Repeat(" ", len(mark)), m[2])
		return
	}
	t.wrapped(mark, way)
}

func (t *reportText) paint(c text.Color, s string) string {
	if !t.look.colour {
		return s
	}
	return c.Sprint(s)
}
