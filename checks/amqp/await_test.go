package amqp

import (
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
)

// The library closes all its channels when the connection ends, in an order of
// its own: none of them may be taken for news of its kind.
func TestAwait(t *testing.T) {
	t.Parallel()
	broken := &amqp.Error{Code: amqp.FrameError, Reason: "EOF"}
	for _, test := range []struct {
		name    string
		happens func(returned chan amqp.Return, blocking chan amqp.Blocking, closed chan *amqp.Error)
		blocked string
		err     error
	}{
		{"returned", func(returned chan amqp.Return, _ chan amqp.Blocking, _ chan *amqp.Error) {
			returned <- amqp.Return{}
		}, "", nil},
		{"blocked", func(_ chan amqp.Return, blocking chan amqp.Blocking, _ chan *amqp.Error) {
			blocking <- amqp.Blocking{Active: true, Reason: "low on disk"}
		}, "low on disk", nil},
		{"the connection broke", func(returned chan amqp.Return, blocking chan amqp.Blocking, closed chan *amqp.Error) {
			closed <- broken
			close(closed)
			close(returned)
			close(blocking)
		}, "", broken},
		{"the connection was closed without a reason", func(returned chan amqp.Return, blocking chan amqp.Blocking, closed chan *amqp.Error) {
			close(closed)
			close(returned)
			close(blocking)
		}, "", amqp.ErrClosed},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for range 50 { // which of several that are ready is met first is up to chance
				returned, blocking, closed := make(chan amqp.Return, 1), make(chan amqp.Blocking, 1), make(chan *amqp.Error, 1)
				test.happens(returned, blocking, closed)
				blocked, err := await(returned, blocking, closed)
				if err != test.err { //nolint:errorlint // the very one
					t.Fatalf("err = %v, want %v", err, test.err)
				}
				if blocked == nil && test.blocked != "" || blocked != nil && blocked.Reason != test.blocked {
					t.Fatalf("blocked = %v, want %q", blocked, test.blocked)
				}
			}
		})
	}
}
