// Command hale makes load-balancer health checks tell the truth.
package main

import (
	"context"
	"os"

	"hale/internal/command"
)

func main() {
	os.Exit(command.Main(context.Background(), os.Args[1:], command.Standard()))
}
