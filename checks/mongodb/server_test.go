package mongodb_test

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"io"
	"maps"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/xdg-go/scram"
	"go.mongodb.org/mongo-driver/v2/bson"

	"hale/test/servers"
)

// server is a MongoDB server as far as a driver's connecting goes: Debian has
// none. It speaks OP_MSG, and OP_QUERY for the first hello (MongoDB Wire
// Protocol), and asks for a login by SCRAM-SHA-256 if it has a user.
type server struct {
	address        string
	user, password string
	after          time.Duration // how long a hello takes; the end of the test cuts it short

	hello func() bson.M // what makes it a member of a set; nil: it is on its own

	ended chan struct{} // closed at the end of the test

	mu       sync.Mutex // guards everything that follows
	open     int        // connections
	sessions int        // started by a ping, not ended yet
	pings    int
}

// start starts a server, with TLS if config is not nil.
func start(t *testing.T, s *server, config *tls.Config) *server {
	t.Helper()
	if s.address == "" {
		s.address = servers.FreeAddress(t)
	}
	listener, err := net.Listen("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	s.ended = make(chan struct{})
	t.Cleanup(func() { close(s.ended); listener.Close(); conns.Wait() })
	conns.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.count(func() { s.open++ })
			conns.Go(func() {
				defer s.count(func() { s.open-- })
				defer conn.Close()
				if config != nil {
					conn = tls.Server(conn, config)
				}
				s.serve(conn)
			})
		}
	})
	return s
}

func (s *server) count(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *server) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

func (s *server) openSessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions
}

const (
	opReply = 1
	opQuery = 2004
	opMsg   = 2013
)

// session is one connection's state.
type session struct {
	server   *server
	login    *scram.ServerConversation
	loggedIn bool
}

func (s *server) serve(conn net.Conn) {
	session := &session{server: s, loggedIn: s.user == ""}
	for reader := bufio.NewReader(conn); ; {
		var head [16]byte
		if _, err := io.ReadFull(reader, head[:]); err != nil {
			return
		}
		size, id, op := binary.LittleEndian.Uint32(head[:]), binary.LittleEndian.Uint32(head[4:]), binary.LittleEndian.Uint32(head[12:])
		if size < 16 || size > 1<<20 {
			return // not MongoDB's protocol
		}
		body := make([]byte, size-16)
		if _, err := io.ReadFull(reader, body); err != nil {
			return
		}
		command, ok := commandOf(op, body)
		if !ok {
			return
		}
		answer, err := bson.Marshal(session.answer(command))
		if err != nil {
			return
		}
		var message []byte
		if op == opQuery {
			message = append(make([]byte, 16), answer...) // flags, cursor, start
			binary.LittleEndian.PutUint32(message, 8)     // AwaitCapable
			message = append(message[:16], append(binary.LittleEndian.AppendUint32(nil, 1), answer...)...)
			op = opReply
		} else {
			message = append(make([]byte, 5), answer...) // flags, kind of section
		}
		reply := binary.LittleEndian.AppendUint32(nil, uint32(16+len(message)))
		reply = binary.LittleEndian.AppendUint32(reply, 1)
		reply = binary.LittleEndian.AppendUint32(reply, id)
		reply = binary.LittleEndian.AppendUint32(reply, op)
		if _, err := conn.Write(append(reply, message...)); err != nil {
			return
		}
	}
}

// commandOf takes the command out of a message.
func commandOf(op uint32, body []byte) (bson.D, bool) {
	switch {
	case op == opMsg && len(body) > 5 && body[4] == 0:
		body = body[5:]
	case op == opQuery && len(body) > 4:
		body = body[4:]
		for i, b := range body {
			if b == 0 {
				body = body[i+1:]
				break
			}
		}
		if len(body) < 8 {
			return nil, false
		}
		body = body[8:]
	default:
		return nil, false
	}
	var command bson.D
	err := bson.Unmarshal(body, &command)
	return command, err == nil && len(command) > 0
}

func field[T any](command bson.D, key string) T {
	for _, element := range command {
		if value, ok := element.Value.(T); ok && element.Key == key {
			return value
		}
	}
	var none T
	return none
}

func (s *session) answer(command bson.D) bson.M {
	switch command[0].Key {
	case "hello", "isMaster", "ismaster":
		return s.hello()
	case "saslStart", "saslContinue":
		return s.sasl(command)
	case "ping":
		if !s.loggedIn && s.server.user != "" {
			return failure(13, "Unauthorized", "command ping requires authentication")
		}
		s.server.count(func() {
			s.server.pings++
			s.server.sessions = 1 // all pings here have a session of their own, ended before the next
		})
		return bson.M{"ok": 1.0}
	case "endSessions":
		s.server.count(func() { s.server.sessions = 0 })
		return bson.M{"ok": 1.0}
	default:
		return failure(59, "CommandNotFound", "no such command: '"+command[0].Key+"'")
	}
}

func failure(code int32, name, text string) bson.M {
	return bson.M{"ok": 0.0, "code": code, "codeName": name, "errmsg": text}
}

func (s *session) hello() bson.M {
	select {
	case <-time.After(s.server.after):
	case <-s.server.ended:
	}
	answer := bson.M{
		"helloOk": true, "isWritablePrimary": true, "ismaster": true, "maxBsonObjectSize": int32(16 << 20), "maxMessageSizeBytes": int32(48000000),
		"maxWriteBatchSize": int32(100000), "localTime": bson.NewDateTimeFromTime(time.Now()), "logicalSessionTimeoutMinutes": int32(30),
		"connectionId": int32(1), "minWireVersion": int32(0), "maxWireVersion": int32(21), "readOnly": false, "ok": 1.0,
	}
	if s.server.user != "" {
		answer["saslSupportedMechs"] = bson.A{"SCRAM-SHA-256"}
	}
	if s.server.hello != nil {
		maps.Copy(answer, s.server.hello())
	}
	return answer
}

// sasl is the server's side of RFC 5802.
func (s *session) sasl(command bson.D) bson.M {
	refused := failure(18, "AuthenticationFailed", "Authentication failed.")
	if command[0].Key == "saslStart" {
		if field[string](command, "mechanism") != "SCRAM-SHA-256" || s.server.user == "" {
			return refused
		}
		server, err := scram.SHA256.NewServer(func(user string) (scram.StoredCredentials, error) {
			if user != s.server.user {
				return scram.StoredCredentials{}, io.EOF
			}
			client, err := scram.SHA256.NewClient(user, s.server.password, "")
			if err != nil {
				return scram.StoredCredentials{}, err
			}
			return client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: "0123456789abcdef", Iters: 4096})
		})
		if err != nil {
			return refused
		}
		s.login = server.NewConversation()
	}
	if s.login == nil {
		return refused
	}
	payload := field[bson.Binary](command, "payload")
	if s.login.Done() { // the empty message at the end
		return bson.M{"conversationId": int32(1), "done": true, "payload": []byte{}, "ok": 1.0}
	}
	say, err := s.login.Step(string(payload.Data))
	if err != nil {
		return refused
	}
	s.loggedIn = s.login.Done() && s.login.Valid()
	return bson.M{"conversationId": int32(1), "done": s.login.Done(), "payload": []byte(say), "ok": 1.0}
}

// set starts the members of a replica set rs0. Each has a kind: primary,
// secondary, arbiter; "" is one that is down. Lags are how far each is behind.
func set(t *testing.T, kinds []string, lags ...time.Duration) (addresses []string, members []*server) {
	t.Helper()
	var primary string
	for _, kind := range kinds {
		address := servers.FreeAddress(t)
		addresses = append(addresses, address)
		if kind == "primary" {
			primary = address
		}
	}
	var hosts, arbiters bson.A
	for i, kind := range kinds {
		if kind == "arbiter" {
			arbiters = append(arbiters, addresses[i])
		} else {
			hosts = append(hosts, addresses[i])
		}
	}
	now := time.Now()
	for i, kind := range kinds {
		if kind == "" {
			continue
		}
		written := now
		if i < len(lags) {
			written = now.Add(-lags[i])
		}
		members = append(members, start(t, &server{address: addresses[i], hello: func() bson.M {
			answer := bson.M{
				"setName": "rs0", "setVersion": int32(1), "hosts": hosts, "me": addresses[i],
				"isWritablePrimary": kind == "primary", "ismaster": kind == "primary", "secondary": kind == "secondary",
				"lastWrite": bson.M{"lastWriteDate": bson.NewDateTimeFromTime(written)},
			}
			if primary != "" {
				answer["primary"] = primary
			}
			if arbiters != nil {
				answer["arbiters"] = arbiters
			}
			if kind == "arbiter" {
				answer["arbiterOnly"] = true
			}
			if kind == "primary" {
				answer["electionId"] = bson.NewObjectID()
			}
			return answer
		}}, nil))
	}
	return addresses, members
}
