package checktest

import (
	"regexp"
	"time"
)

var within = regexp.MustCompile(`\bwithin (\d[\d.a-zµ]*[a-z])`)

// OnTime returns what a run said with the times after which it gave up as if it
// had begun with its context. On a busy machine it begins later, and is left with
// less; the times are the context's, or the half or three quarters of it that are
// for one of several servers.
func OnTime(message string, timeout time.Duration) string {
	return within.ReplaceAllStringFunc(message, func(text string) string {
		said, err := time.ParseDuration(within.FindStringSubmatch(text)[1])
		if err != nil {
			return text
		}
		for _, meant := range []time.Duration{timeout, timeout * 3 / 4, timeout / 2} {
			if said <= meant && said > meant*4/5 {
				return "within " + meant.String()
			}
		}
		return text
	})
}
