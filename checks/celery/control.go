package celery

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"hale/checks/internal/report"
	"hale/internal/explain"
)

// request is a command of Celery's remote control, and what has to come of it.
// How it is sent is kombu's "pidbox" (kombu/pidbox.py): a message to an exchange
// that every worker has a queue on, and one answer from each to the queue that
// the message names.
type request struct {
	method string
	nodes  []string // to whom; empty: to all
	queues []string // each to be consumed by one of them
	least  int      // how many have to answer
	ticket string   // what the answers refer to
}

func newRequest(nodes, queues []string, least int) *request {
	r := &request{method: "ping", nodes: nodes, queues: queues, least: least, ticket: rand.Text()}
	if len(queues) > 0 {
		r.method = "active_queues" // whoever answers this is there, too
	}
	return r
}

// body is the message's content; key is the routing key of the answers.
func (r *request) body(replyExchange, key string) []byte {
	type address struct {
		Exchange   string `json:"exchange"`
		RoutingKey string `json:"routing_key"`
	}
	content, err := json.Marshal(struct {
		Method      string   `json:"method"`
		Arguments   struct{} `json:"arguments"`
		Destination []string `json:"destination"` // null: everybody
		Pattern     *string  `json:"pattern"`
		Matcher     *string  `json:"matcher"`
		Ticket      string   `json:"ticket"`
		ReplyTo     address  `json:"reply_to"`
	}{Method: r.method, Destination: r.nodes, Ticket: r.ticket, ReplyTo: address{replyExchange, key}})
	if err != nil {
		panic(err) // there is nothing in it that cannot be marshalled
	}
	return content
}

// roll is who answered a request.
type roll struct {
	listening int // how many workers the broker has passed the request to; unknown if it does not tell
	messages  int // answers that came
	workers   map[string]worker
	unread    string // the content type of an answer that cannot be read
}

// jsonType is the content type that is understood.
const jsonType = "application/json"

// unknown is a number that a broker does not tell.
const unknown = -1

// worker is the answer of one worker.
type worker struct {
	queues  []string
	refusal string
}

// add takes an answer, unless it is a late one to an earlier request.
func (l *roll) add(r *request, ticket any, contentType string, body []byte) {
	if ticket != r.ticket {
		return
	}
	l.messages++
	var answers map[string]json.RawMessage
	if contentType != jsonType || json.Unmarshal(body, &answers) != nil {
		l.unread = contentType
		return
	}
	if l.workers == nil {
		l.workers = make(map[string]worker)
	}
	for name, content := range answers {
		var w worker
		var queues []struct {
			Name string `json:"name"`
		}
		var refusal struct {
			Error string `json:"error"`
		}
		if json.Unmarshal(content, &queues) == nil {
			for _, queue := range queues {
				w.queues = append(w.queues, queue.Name)
			}
		} else if json.Unmarshal(content, &refusal) == nil {
			w.refusal = refusal.Error
		}
		l.workers[name] = w
	}
}

// names are the workers that answered, for messages.
func (l *roll) names() string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(l.workers)) {
		if len(names) == 10 {
			names = append(names, "...")
			break
		}
		names = append(names, explain.Line(name))
	}
	return strings.Join(names, ", ")
}

// complete reports whether all have answered that can, or that must.
func (r *request) complete(l *roll) bool {
	switch {
	case len(r.nodes) > 0 && len(r.missing(l)) == 0:
		return true
	case l.listening != unknown:
		return l.messages >= l.listening
	default:
		return len(r.nodes) == 0 && l.messages >= r.least && len(r.unconsumed(l)) == 0
	}
}

// missing are the nodes that have not answered.
func (r *request) missing(l *roll) []string {
	return slices.DeleteFunc(slices.Clone(r.nodes), func(node string) bool {
		_, ok := l.workers[node]
		return ok
	})
}

// unconsumed are the queues that no worker consumes that has answered.
func (r *request) unconsumed(l *roll) []string {
	return slices.DeleteFunc(slices.Clone(r.queues), func(queue string) bool {
		for _, w := range l.workers {
			if slices.Contains(w.queues, queue) {
				return true
			}
		}
		return false
	})
}

// judge says what the roll means.
func (r *request) judge(l *roll, patience time.Duration, found *report.Report) {
	within := fmt.Sprintf("within %v", patience.Round(time.Millisecond))
	missing := r.missing(l)
	switch {
	case l.listening == 0:
		found.Failf("no worker listens for remote control: none runs, or worker_enable_remote_control is off")
		return
	case len(l.workers) == 0 && l.unread == jsonType:
		found.Failf("the workers' answers cannot be understood")
		return
	case len(l.workers) == 0 && l.unread != "":
		found.Failf("the workers answer in %s, which only Python reads: set task_serializer to json", explain.Line(l.unread))
		return
	case len(l.workers) == 0 && len(r.nodes) > 0:
		found.Failf("%s did not answer %s: not running, stopped, or a solo pool busy with a task", strings.Join(missing, ", "), within)
		return
	case len(l.workers) == 0:
		found.Failf("no worker answered %s, though %s: stopped, or a solo pool busy with a task", within, listen(l.listening))
		return
	case len(missing) > 0:
		found.Failf("%s did not answer %s, only %s", strings.Join(missing, ", "), within, l.names())
	case len(r.nodes) == 0 && len(l.workers) < r.least:
		found.Failf("only %s answered %s, expected at least %d: %s", report.Count(len(l.workers), "worker"), within, r.least, l.names())
	default:
		found.Passf("%s answered: %s", report.Count(len(l.workers), "worker"), l.names())
	}
	if l.messages > len(l.workers) && l.unread == "" {
		found.Warnf("%d answers from %s: several workers go by one name, give each its own with celery worker -n", l.messages, report.Count(len(l.workers), "name"))
	}
	for _, name := range slices.Sorted(maps.Keys(l.workers)) {
		if refusal := l.workers[name].refusal; refusal != "" {
			found.Failf("%s answered with an error: %s", explain.Line(name), explain.Line(refusal))
		}
	}
	for _, queue := range r.unconsumed(l) {
		found.Failf("queue %q is consumed by no worker that answered", queue)
	}
}

func listen(n int) string {
	switch n {
	case unknown:
		return "at least one listens"
	case 1:
		return "1 listens"
	default:
		return fmt.Sprintf("%d listen", n)
	}
}

// nodeNames fills in this machine's name as Celery does for celery worker -n
// (celery.utils.nodenames): %h is the whole host name, %n its first part and %d
// the rest.
func nodeNames(nodes []string, host string) []string {
	name, domain, _ := strings.Cut(host, ".")
	filled := strings.NewReplacer("%%", "%", "%h", host, "%n", name, "%d", domain)
	var names []string
	for _, node := range nodes {
		names = append(names, filled.Replace(node))
	}
	return names
}
