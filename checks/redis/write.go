package redis

import (
	"crypto/rand"
	"fmt"
	"strconv"
	"time"

	"hale/checks/internal/report"
	"hale/internal/explain"
)

// keyLife is how long a key lives whose deletion has not arrived.
const keyLife = 10 * time.Second

// writing writes, reads and deletes a random key. The three commands leave
// together, so the server has run the deletion whatever happens to the answers.
func writing(prefix string, found *report.Report) []step {
	key, value := prefix+rand.Text(), rand.Text()
	life := strconv.FormatInt(keyLife.Milliseconds(), 10)
	return []step{
		{[]string{"SET", key, value, "PX", life}, func(reply any) {
			if reply != "OK" {
				found.Failf("answered SET with %s", shown(reply))
			}
		}},
		{[]string{"GET", key}, func(reply any) {
			switch reply {
			case value:
				found.Passf("wrote, read and deleted a key")
			case nil:
				found.Failf("took a key, and did not have it when asked for it")
			default:
				found.Failf("took a key, and then had another value for it")
			}
		}},
		{[]string{"DEL", key}, func(reply any) {
			if _, ok := reply.(int64); !ok {
				found.Failf("answered DEL with %s", shown(reply))
			}
		}},
	}
}

// shown is a reply that is not as it should be, for messages.
func shown(reply any) string {
	if text, ok := reply.(string); ok {
		return fmt.Sprintf("%q", explain.Line(text))
	}
	return fmt.Sprintf("something else (%T)", reply)
}
