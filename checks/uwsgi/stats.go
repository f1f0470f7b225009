package uwsgi

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"

	"hale/checks/internal/link"
	"hale/checks/internal/workers"
	"hale/internal/explain"
)

// maxStats bounds what is read of the stats, in bytes. Each core of an
// asynchronous worker, of which there can be thousands, takes some 300.
const maxStats = 16 << 20

// stats are what the check reads of the stats server's JSON
// (https://uwsgi-docs.readthedocs.io/en/latest/StatsServer.html).
type stats struct {
	Master   int      `json:"pid"`
	Dir      string   `json:"cwd"`
	Refusals int      `json:"listen_queue_errors"` // how often the master found a queue full
	Sockets  []socket `json:"sockets"`
	Workers  []worker `json:"workers"`
}

// socket is where requests come in.
type socket struct {
	Name    string `json:"name"`
	Waiting int    `json:"queue"`
	Limit   int    `json:"max_queue"` // 0 for a unix socket, of whose queue uWSGI knows nothing
}

// address is where the kernel knows a socket.
func (s stats) address(socket socket) string {
	switch name := socket.Name; {
	case strings.HasPrefix(name, ":"):
		return "0.0.0.0" + name
	case strings.Contains(name, ":"), strings.HasPrefix(name, "@"), filepath.IsAbs(name):
		return name
	default:
		return filepath.Join(s.Dir, name)
	}
}

const statusCheap = "cheap" // not started, or ended, until there is more to do

type worker struct {
	PID       int        `json:"pid"` // 0: there is no process
	Accepting *int       `json:"accepting"`
	Status    string     `json:"status"` // idle, busy, cheap, pause, sig1 and so on
	Requests  uint64     `json:"requests"`
	Harakiri  int        `json:"harakiri_count"`
	Starts    int        `json:"respawn_count"`
	Apps      []struct{} `json:"apps"`
	Cores     []core     `json:"cores"` // none with stats-no-cores
}

// core serves a request at a time: a thread, or a slot of an asynchronous loop.
type core struct {
	Busy int `json:"in_request"`
}

// ready reports whether a worker with a process takes requests. Versions that do
// not say so are believed to.
func (w worker) ready() bool { return w.Accepting == nil || *w.Accepting != 0 }

// load counts cores, of the workers that take requests.
func (s stats) load(queue workers.Queue) workers.Load {
	load := workers.Load{What: "workers", Queue: queue}
	for _, w := range s.Workers {
		load.Finished += w.Requests + uint64(max(0, w.Starts))
		if w.PID <= 0 || w.Status == statusCheap || !w.ready() {
			continue
		}
		busy := 0
		for _, c := range w.Cores {
			if c.Busy != 0 {
				busy++
			}
		}
		if len(w.Cores) > 1 {
			load.What = "cores"
		}
		if len(w.Cores) <= 1 && w.Status != "idle" {
			busy = 1 // with a request, or with a signal, a timer for one
		}
		load.Busy += busy
		load.Workers += max(1, len(w.Cores))
	}
	for _, socket := range s.Sockets {
		load.Queue = load.Queue.Or(workers.Queue{Waiting: socket.Waiting, Limit: socket.Limit})
	}
	return load
}

// ask reads the stats.
func (c *Check) ask(ctx context.Context) (stats, error) {
	conn, err := link.Dial(ctx, c.Address)
	if err != nil {
		return stats{}, err
	}
	defer conn.Close()
	conn.Allow(maxStats)
	answer, err := c.read(conn)
	if err != nil {
		silent := len(answer) == 0 && !c.HTTP && explain.IsTimeout(err)
		err = conn.Explain("", err)
		if silent {
			err = &explain.Error{Text: err.Error() + " (does it run with stats-http? Then set http)", Err: err}
		}
		return stats{}, err
	}
	s, err := parse(answer)
	if err != nil {
		return stats{}, fmt.Errorf("%w: %s", err, c.Address)
	}
	return s, nil
}

// read reads what the server says until it hangs up. One that speaks HTTP wants
// to be asked first; the other would not read a request, so that its end would
// be a reset.
func (c *Check) read(conn net.Conn) ([]byte, error) {
	if !c.HTTP {
		answer, err := io.ReadAll(conn)
		if err == nil && len(answer) == 0 {
			err = io.EOF
		}
		return answer, err
	}
	if _, err := io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		return nil, err
	}
	reader := bufio.NewReader(conn)
	first, err := reader.Peek(1)
	if err != nil {
		return nil, err
	}
	if first[0] != 'H' {
		return io.ReadAll(reader) // whatever it is
	}
	resp, err := http.ReadResponse(reader, nil)
	if err != nil {
		return first, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, &explain.Error{Text: fmt.Sprintf("answered as HTTP, with %d", resp.StatusCode)}
	}
	return io.ReadAll(resp.Body)
}

// parse reads the stats, and says who else it was that answered.
func parse(answer []byte) (stats, error) {
	// The requests under way are among the stats, and uWSGI passes a client's
	// control characters on, which JSON does not allow.
	for i, b := range answer {
		if b < ' ' {
			answer[i] = ' '
		}
	}
	answer = bytes.TrimSpace(answer)
	var s struct {
		stats
		Emperor json.RawMessage `json:"emperor"`
	}
	err := json.Unmarshal(answer, &s)
	switch {
	case bytes.HasPrefix(answer, []byte("HTTP/")):
		return stats{}, errors.New("answered as HTTP: if this is uWSGI with stats-http, set http")
	case err != nil && bytes.HasPrefix(answer, []byte("{")):
		return stats{}, fmt.Errorf("answered with broken JSON: %s", explain.Line(err.Error()))
	case err != nil:
		return stats{}, fmt.Errorf("answered %q, not the stats of uWSGI", explain.Line(string(answer)))
	case s.Emperor != nil:
		return stats{}, errors.New("these are the stats of an emperor, who has no workers: ask a vassal's")
	case len(s.Workers) == 0:
		return stats{}, errors.New("answered with JSON that names no workers of uWSGI")
	default:
		return s.stats, nil
	}
}
