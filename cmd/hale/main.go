// Command hale makes load-balancer health checks tell the truth.
package main

import (
	"context"
	"io"
	"log"
	"os"

	"hale/internal/command"
)

func main() {
	// What libraries write there, past every logger they could be given, is no
	// line of a command's output. hale serve takes it into its log.
	log.SetOutput(io.Discard)
	os.Exit(command.Main(context.Background(), os.Args[1:], command.Standard()))
}
