package memcached

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"hale/checks/internal/link"
)

// keyLife is how long an item lives whose deletion has not arrived, in seconds.
const keyLife = 10

// keyTail is how much is added to the prefix of a key: rand.Text's length.
const keyTail = 26

// refusal is what the server says in place of an answer: ERROR, CLIENT_ERROR or
// SERVER_ERROR with a text.
type refusal string

func (r refusal) Error() string { return string(r) }

// errStranger means that the answer is none of this protocol.
var errStranger = errors.New("not memcached's text protocol")

// session is the conversation of one run.
type session struct {
	conn *link.Conn
	r    *bufio.Reader
	step string // what the server is to answer to, for messages

	deleting bool // the login's item: that is answered first
}

// send sends requests together. An error comes to light when the answer is
// read: a server that hangs up may have said why.
func (s *session) send(requests ...string) {
	_, _ = io.WriteString(s.conn, strings.Join(requests, ""))
}

// line reads a line of an answer, and returns a refusal as an error.
func (s *session) line(step string) (string, error) {
	if s.deleting {
		s.deleting = false
		if err := s.deleted(); err != nil {
			return "", err
		}
	}
	s.step = step
	line, err := s.r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", errStranger
	case errors.Is(err, io.EOF) && len(line) > 0:
		return "", io.ErrUnexpectedEOF
	case err != nil:
		return "", err
	}
	text, ok := strings.CutSuffix(string(line), "\r\n")
	if !ok {
		return "", errStranger
	}
	switch code, _, _ := strings.Cut(text, " "); code {
	case "ERROR", "CLIENT_ERROR", "SERVER_ERROR":
		return "", refusal(text)
	}
	return text, nil
}

// login logs in as a server with an auth-file wants it: by a set whose key and
// time to live do not matter. Its answer is waited for, so that nothing else is
// taken for the login. A server without an auth-file stores the item, with the
// password in it: so nobody may guess its key, it has expired when it comes, and
// it is deleted.
func (s *session) login(user, password string) error {
	key, text := DefaultKeyPrefix+rand.Text(), user+" "+password
	s.send(fmt.Sprintf("set %s 0 -1 %d\r\n%s\r\n", key, len(text), text))
	answer, err := s.line("the login")
	switch {
	case err != nil:
		return err
	case answer != "STORED":
		return errStranger
	}
	s.send("delete " + key + "\r\n")
	s.deleting = true
	return nil
}

// deleted reads the answer to a delete.
func (s *session) deleted() error {
	answer, err := s.line("delete")
	if err == nil && answer != "DELETED" && answer != "NOT_FOUND" {
		err = errStranger
	}
	return err
}

// version asks for the version, and for statistics to be read next.
func (s *session) version(stats bool) (string, error) {
	s.send("version\r\n", statsRequest(stats))
	answer, err := s.line("version")
	if err != nil {
		return "", err
	}
	version, ok := strings.CutPrefix(answer, "VERSION ")
	if !ok {
		return "", errStranger
	}
	return version, nil
}

// write stores, reads and deletes a random item, and asks for statistics to be
// read next. Lost says what became of an item that the server took; empty if it
// is as it should be. The three requests leave together, so the server has seen
// the deletion whatever happens to the answers.
func (s *session) write(prefix string, stats bool) (lost string, err error) {
	key, value := prefix+rand.Text(), rand.Text()
	s.send(fmt.Sprintf("set %s 0 %d %d\r\n%s\r\n", key, keyLife, len(value), value),
		"get "+key+"\r\n", "delete "+key+"\r\n", statsRequest(stats))
	answer, err := s.line("set")
	switch {
	case err != nil:
		return "", err
	case answer == "NOT_STORED":
		return "did not store an item", nil
	case answer != "STORED":
		return "", errStranger
	}
	got, found, err := s.value(key)
	if err != nil {
		return "", err
	}
	if err := s.deleted(); err != nil {
		return "", err
	}
	switch {
	case !found:
		return "took an item, and did not have it when asked for it", nil
	case got != value:
		return "took an item, and then had another value for it", nil
	}
	return "", nil
}

// value reads the answer to a get of one key.
func (s *session) value(key string) (value string, found bool, err error) {
	for {
		answer, err := s.line("get")
		if err != nil {
			return "", false, err
		}
		if answer == "END" {
			return value, found, nil
		}
		// VALUE key flags bytes [cas]
		fields := strings.Fields(answer)
		if found || len(fields) < 4 || fields[0] != "VALUE" || fields[1] != key {
			return "", false, errStranger
		}
		size, err := strconv.Atoi(fields[3])
		if err != nil || size < 0 || size > 1<<10 {
			return "", false, errStranger
		}
		block := make([]byte, size+2)
		if _, err := io.ReadFull(s.r, block); err != nil {
			return "", false, err
		}
		value, found = strings.TrimSuffix(string(block), "\r\n"), true
	}
}

func statsRequest(wanted bool) string {
	if wanted {
		return "stats\r\n"
	}
	return ""
}

// maxStats bounds how many statistics are read; memcached 1.6 has about 100.
const maxStats = 2000

// stats reads the statistics that are whole numbers.
func (s *session) stats() (map[string]int64, error) {
	values := make(map[string]int64)
	for range maxStats {
		answer, err := s.line("stats")
		if err != nil {
			return nil, err
		}
		if answer == "END" {
			return values, nil
		}
		// STAT name value
		fields := strings.Fields(answer)
		if len(fields) < 2 || fields[0] != "STAT" {
			return nil, errStranger
		}
		if n, err := strconv.ParseInt(fields[len(fields)-1], 10, 64); err == nil {
			values[fields[1]] = n
		}
	}
	return nil, errStranger
}
