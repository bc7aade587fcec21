package testnet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/starlingmesh/starling/node/api/client"
)

// process runs a node as `starling node run` in a process of its own.
type process struct {
	command *exec.Cmd
	home    string
	client  *client.Client
	done    chan struct{}
	err     error
}

const (
	startPatience = 20 * time.Second
	stopPatience  = 15 * time.Second
	logName       = "node.log"
)

func (p *process) start(ctx context.Context) error {
	log, err := os.OpenFile(filepath.Join(p.home, logName), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	defer log.Close() // the child has its own
	p.command.Stdout, p.command.Stderr = log, log
	// A group of its own: Ctrl-C in the terminal reaches this process alone,
	// which then stops its nodes in order.
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.command.Start(); err != nil {
		return fmt.Errorf("start node: %w", err)
	}
	go func() {
		defer close(p.done)
		p.err = p.command.Wait()
	}()
	return p.answering(ctx)
}

// answering waits until the API answers.
func (p *process) answering(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := p.client.Status(ctx); err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("node in %s ended at once (its log is %s): %w", p.home, filepath.Join(p.home, logName), p.err)
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("node in %s does not answer (its log is %s)", p.home, filepath.Join(p.home, logName)), p.stop())
		case <-tick.C:
		}
	}
}

func (p *process) stop() error {
	_ = p.command.Process.Signal(os.Interrupt) // it may have ended by itself
	select {
	case <-p.done:
		return p.err
	case <-time.After(stopPatience):
		p.kill()
		return fmt.Errorf("node in %s did not stop within %s and was killed", p.home, stopPatience)
	}
}

// kill is kill -9: nothing is flushed, closed or said goodbye to.
func (p *process) kill() {
	_ = p.command.Process.Kill() // it may have ended by itself
	<-p.done
}

func (p *process) ended() <-chan struct{} { return p.done }
