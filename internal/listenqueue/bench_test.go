package listenqueue

import (
	"net"
	"os"
	"testing"
)

func BenchmarkAt(b *testing.B) {
	address := listen(b)
	for b.Loop() {
		if _, err := At(b.Context(), address); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOf(b *testing.B) {
	listen(b)
	for b.Loop() {
		if _, err := Of(os.Getpid()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAccepted(b *testing.B) {
	sockets, err := At(b.Context(), listen(b))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Accepted(sockets[0]); err != nil {
			b.Fatal(err)
		}
	}
}

func listen(b *testing.B) (address string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { listener.Close() })
	return listener.Addr().String()
}
