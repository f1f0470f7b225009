package kafka_test

import (
	"context"
	"crypto/tls"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"hale/test/servers"
)

// fake is a cluster of franz-go's fake brokers: Debian has no Kafka.
type fake struct {
	*kfake.Cluster
	open atomic.Int64 // connections that the brokers have
}

// start starts a cluster of three brokers with a topic orders of three
// partitions, and what else the options say.
func start(t *testing.T, options ...kfake.Opt) *fake {
	t.Helper()
	f := &fake{}
	ports := []int{servers.FreePort(t), servers.FreePort(t), servers.FreePort(t)}
	options = append([]kfake.Opt{kfake.Ports(ports...), kfake.SeedTopics(3, "orders"), kfake.ListenFn(f.listen)}, options...)
	cluster, err := kfake.NewCluster(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	f.Cluster = cluster
	return f
}

func withTLS(t *testing.T, cert servers.Certificate, auth tls.ClientAuthType) kfake.Opt {
	t.Helper()
	return kfake.TLS(&tls.Config{Certificates: []tls.Certificate{cert.TLS(t)}, ClientAuth: auth})
}

func (f *fake) address() string  { return f.ListenAddrs()[0] }
func (f *fake) connections() int { return int(f.open.Load()) }

func (f *fake) listen(network, address string) (net.Listener, error) {
	listener, err := net.Listen(network, address)
	return &counting{listener, &f.open}, err
}

// counting counts the connections of a listener.
type counting struct {
	net.Listener
	open *atomic.Int64
}

func (l *counting) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.open.Add(1)
	return &counted{Conn: conn, open: l.open}, nil
}

type counted struct {
	net.Conn
	open   *atomic.Int64
	closed atomic.Bool
}

func (c *counted) Close() error {
	if !c.closed.Swap(true) {
		c.open.Add(-1)
	}
	return c.Conn.Close()
}

// client returns a client of the cluster's, which is closed when do returns.
func (f *fake) client(t *testing.T, do func(ctx context.Context, client *kgo.Client), options ...kgo.Opt) {
	t.Helper()
	client, err := kgo.NewClient(append(options, kgo.SeedBrokers(f.ListenAddrs()...))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	do(ctx, client)
}

// produce puts so many messages into each of the partitions of a topic.
func (f *fake) produce(t *testing.T, topic string, each ...int) {
	t.Helper()
	f.client(t, func(ctx context.Context, client *kgo.Client) {
		for number, n := range each {
			for range n {
				record := &kgo.Record{Topic: topic, Partition: int32(number), Value: []byte("x")}
				if err := client.ProduceSync(ctx, record).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}, kgo.RecordPartitioner(kgo.ManualPartitioner()))
}

// commit has a group, without members, commit offsets of a topic's partitions.
func (f *fake) commit(t *testing.T, group, topic string, offsets ...int64) {
	t.Helper()
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group = group
	req.Generation = -1
	asked := kmsg.NewOffsetCommitRequestTopic()
	asked.Topic = topic
	for number, offset := range offsets {
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset = int32(number), offset
		asked.Partitions = append(asked.Partitions, p)
	}
	req.Topics = append(req.Topics, asked)
	f.client(t, func(ctx context.Context, client *kgo.Client) {
		answer, err := req.RequestWith(ctx, client)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range answer.Topics[0].Partitions {
			if p.ErrorCode != 0 {
				t.Fatalf("commit: error %d", p.ErrorCode)
			}
		}
	}, kgo.MaxVersions(kversion.V3_8_0())) // later ones ask for a topic's id
}

// answer has the cluster give an answer of our making to every request of a
// kind from now on.
func answer[Q kmsg.Request, R kmsg.Response](f *fake, fill func(R)) {
	var req Q
	f.ControlKey(req.Key(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		f.KeepControl()
		resp, _ := req.ResponseKind().(R)
		fill(resp)
		return resp, nil, true
	})
}

// hang has the cluster never answer a kind of request.
func hang[Q kmsg.Request](f *fake) {
	var req Q
	f.ControlKey(req.Key(), func(kmsg.Request) (kmsg.Response, error, bool) {
		f.KeepControl()
		return nil, nil, true
	})
}
