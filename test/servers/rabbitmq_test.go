package servers_test

import (
	"net"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"hale/test/servers"
)

// A node counts its clients, keeps what is durable over a restart, and tells
// publishers when it is short of memory.
func TestRabbitMQ(t *testing.T) {
	t.Parallel()
	node := servers.RabbitMQ(t)
	conn, err := amqp.Dial(node.URL())
	if err != nil {
		t.Fatal(err)
	}
	channel, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := channel.QueueDeclare("kept", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if n := node.Connections(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
	blocked := conn.NotifyBlocked(make(chan amqp.Blocking, 2))
	node.Alarm("memory")
	// The connection hears of the alarm a moment later, and tells of it when it has
	// something to publish then.
	publish, given := time.NewTicker(20*time.Millisecond), time.After(10*time.Second)
	defer publish.Stop()
	for told := false; !told; {
		select {
		case blocking := <-blocked:
			if told = true; !blocking.Active || blocking.Reason != "low on memory" {
				t.Errorf("blocked: %+v", blocking)
			}
		case <-publish.C:
			if err := channel.Publish("", "kept", false, false, amqp.Publishing{}); err != nil {
				t.Fatal(err)
			}
		case <-given:
			t.Fatal("nobody is told of the alarm")
		}
	}
	node.Relief("memory")
	if err := conn.Close(); err != nil {
		t.Error(err)
	}

	// The node is killed, and what was declared is on disk two seconds later at most.
	node.Control("eval", "mnesia:sync_log().")
	node.Stop()
	if conn, err := net.Dial("tcp", node.Address()); err == nil {
		conn.Close()
		t.Error("listens after Stop")
	}
	node.Start()
	if queues := node.Control("list_queues", "--vhost", servers.Database, "--no-table-headers", "name"); strings.TrimSpace(queues) != "kept" {
		t.Errorf("queues after a restart: %q", queues)
	}
}

func TestCelery(t *testing.T) {
	t.Parallel()
	address := servers.FreeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	servers.Run(t, servers.Spec{
		Name:    "redis-server",
		Args:    []string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir()},
		Listens: []string{address},
	})
	app := servers.NewCelery(t, "redis://"+address+"/0", "redis://"+address+"/1", `{"result_extended": True}`)
	if output, code, _ := app.Command("inspect", "ping", "--timeout", "0.5"); code == 0 {
		t.Errorf("somebody answers before there is a worker:\n%s", output)
	}
	worker := app.Worker("a@hale", "-P", "solo")
	app.Do("assert app.beat.delay().get(timeout=30) == 'ok'")
	if output, code, cpu := app.Command("inspect", "ping"); code != 0 || !strings.Contains(output, "a@hale: OK") || cpu == 0 {
		t.Errorf("exit code %d after %v\n%s", code, cpu, output)
	}
	worker.Stop()
	if output, code, _ := app.Command("inspect", "ping", "--timeout", "0.5"); code == 0 {
		t.Errorf("somebody answers after the worker was stopped:\n%s", output)
	}
}
