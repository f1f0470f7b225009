package command

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"

	"hale/health"
)

// progress is a line on a terminal that tells how many checks have answered and
// which are waited for.
type progress struct {
	w     io.Writer
	width int
	begun time.Time
	total int
	stop  chan struct{}
	ended chan struct{}

	mu      sync.Mutex // guards everything that follows
	waiting []string
}

// newProgress shows the line until end.
func newProgress(w io.Writer, width int, checks []health.Check) *progress {
	p := &progress{w: w, width: width, begun: time.Now(), stop: make(chan struct{}), ended: make(chan struct{})}
	each(checks, func(c health.Check) {
		if len(c.Any)+len(c.All) == 0 {
			p.waiting = append(p.waiting, c.Name)
		}
	})
	p.total = len(p.waiting)
	go p.draw()
	return p
}

// done takes a check off the line.
func (p *progress) done(r health.Result) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = slices.DeleteFunc(p.waiting, func(name string) bool { return name == r.Name })
}

func (p *progress) draw() {
	defer close(p.ended)
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			fmt.Fprint(p.w, "\r\x1b[K", p.line(time.Since(p.begun)))
		case <-p.stop:
			fmt.Fprint(p.w, "\r\x1b[K")
			return
		}
	}
}

// line is what the line says.
func (p *progress) line(took time.Duration) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	line := fmt.Sprintf("%d of %d checks done, %.1fs", p.total-len(p.waiting), p.total, took.Seconds())
	if len(p.waiting) > 0 {
		line += "; waiting for " + strings.Join(p.waiting, ", ")
	}
	return text.Snip(line, max(p.width-1, 20), "…")
}

// end takes the line away.
func (p *progress) end() {
	close(p.stop)
	<-p.ended
}
