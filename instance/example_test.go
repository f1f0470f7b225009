package instance_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"hale/instance"
)

func ExampleDiscover() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "ipv4")
	if err := os.WriteFile(file, []byte("10.0.1.23   # written at boot\n"), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	in, err := instance.Discover(context.Background(), instance.Options{
		File:       file,
		Metadata:   instance.Off,
		Interfaces: instance.Off,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(in.Addrs())
	// Output: [10.0.1.23]
}

// A program that lets its load balancer ask by the machine's own address, and
// drains before the machine is taken away.
func ExampleWatcher() {
	ctx, stop := context.WithCancel(context.Background())
	w := &instance.Watcher{
		Options:       instance.Options{Metadata: instance.Off},
		OnTermination: func(t instance.Termination) { fmt.Println("draining:", t.Action) },
	}
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()

	<-w.Known()
	for _, addr := range w.Addresses() { // one atomic load: ask with every request
		_ = addr
	}
	stop()
	fmt.Println(<-done)
	// Output: <nil>
}
