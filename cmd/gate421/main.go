// Command gate421 is a front server that sends a verified Googlebot back to HTTP/1.1 and serves everyone else.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"gate421/gate/hint"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	if err != nil && err.Error() != "" {
		fmt.Fprintln(os.Stderr, hint.Message(err))
	}
	os.Exit(exitCode(err))
}
