package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/starlingmesh/starling/node/api/client"
	"github.com/starlingmesh/starling/node/config"
)

const defaultTimeout = time.Minute

// app is what all commands share: streams, global flags, and the ways to the
// configuration and to a node.
type app struct {
	stdin   io.Reader
	stdout  io.Writer
	stderr  io.Writer
	environ []string
	now     func() time.Time

	configPath string
	apiAddress string
	timeout    time.Duration
	json       bool
	noColor    bool
	quiet      bool
}

func newApp(stdin io.Reader, stdout, stderr io.Writer, environ []string) *app {
	return &app{stdin: stdin, stdout: stdout, stderr: stderr, environ: environ, now: time.Now}
}

// run executes one command line and returns the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	root := newRoot(a)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil && ctx.Err() != nil {
		err = errInterrupted
	}
	a.report(err)
	return exitCode(err)
}

// getenv is os.Getenv on the app's environment.
func (a *app) getenv(name string) string {
	for _, kv := range a.environ {
		if k, v, _ := strings.Cut(kv, "="); k == name {
			return v
		}
	}
	return ""
}

func (a *app) defaultHome() string {
	home := config.DefaultHome()
	if user, err := os.UserHomeDir(); err == nil && strings.HasPrefix(home, user+"/") {
		return "~" + strings.TrimPrefix(home, user)
	}
	return home
}

// loadConfig merges file, environment and the command's flags. Commands that run
// a node add the configuration's flags with config.BindFlags.
func (a *app) loadConfig(cmd *cobra.Command) (config.Config, config.Origins, error) {
	return config.Load(a.configPath, a.environ, cmd.Flags())
}

// client connects to the node that --api names, or to the one of this
// configuration.
func (a *app) client(cmd *cobra.Command) (*client.Client, error) {
	address := a.apiAddress
	if address == "" {
		cfg, _, err := a.loadConfig(cmd)
		if err != nil {
			return nil, err
		}
		address = reachable(cfg.API.Listen)
	}
	c, err := client.New(address)
	if err != nil {
		return nil, usage("--api: %w", err)
	}
	return c, nil
}

// reachable turns an address to listen on into one to call.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return listen
}

// ask runs a call to a node within --timeout.
func ask[T any](a *app, cmd *cobra.Command, call func(context.Context, *client.Client) (T, error)) (T, error) {
	var none T
	c, err := a.client(cmd)
	if err != nil {
		return none, err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeoutCause(cmd.Context(), a.timeout, fmt.Errorf("no answer within %s", a.timeout))
	defer cancel()
	return call(ctx, c)
}
