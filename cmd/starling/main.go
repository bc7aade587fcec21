// Command starling is a node of a Starling network, a wallet, and the tools
// around them.
//
// Look at [newRoot] for the list of commands; every group of commands is one
// file. Commands parse and print: what they do is done in the packages below.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	a := newApp(os.Stdin, os.Stdout, os.Stderr, os.Environ())
	context.AfterFunc(ctx, stop) // the second Ctrl-C ends the process at once
	os.Exit(a.run(ctx, os.Args[1:]))
}
