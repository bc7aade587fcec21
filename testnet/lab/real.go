package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/starlingmesh/starling/testnet/netns"
)

// RunReal measures each method between network namespaces of this machine, one process a
// node, in real time: the kernel's network stack, and links by package netns. Processes
// run `binary lab seat`. It needs root, and fewer nodes than the emulation: they
// share the processors. Churn and topologies are the emulation's alone.
func RunReal(ctx context.Context, o Options, binary string) ([]Result, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Churn > 0 || o.Topology != nil || o.Downlink > 0 {
		return nil, errors.New("between namespaces there is no churn, no topology and no downlink of its own")
	}
	var all []Result
	for _, name := range o.Methods {
		r, err := measureReal(ctx, o, name, binary)
		if err != nil {
			return all, fmt.Errorf("measure %s between namespaces: %w", name, err)
		}
		all = append(all, r)
	}
	return all, nil
}

// link is a node's way out. The emulation adds up to Jitter to each packet's way, netem as
// much more or less.
func (o Options) link() netns.Link {
	return netns.Link{Delay: o.RTT/2 + o.Jitter/2, Jitter: o.Jitter / 2, Loss: o.Loss, Rate: o.Uplink}
}

// realTrial is one method's run.
type realTrial struct {
	o       Options
	method  Method
	seats   []*seatProcess
	reports chan seatReport

	published int64
	at        []time.Duration // arrival, or -1
	finals    []final
}

type seatProcess struct {
	cmd    *exec.Cmd
	orders *json.Encoder
	in     io.Closer
}

type seatReport struct {
	index int
	report
	ended error // not nil: the process has ended
}

var errEnded = errors.New("the process ended")

func measureReal(ctx context.Context, o Options, name, binary string) (r Result, err error) {
	t := &realTrial{o: o, reports: make(chan seatReport, 16*o.Nodes), finals: make([]final, o.Nodes)}
	if t.method, err = methodOf(name); err != nil {
		return r, err
	}
	links, err := netns.New(ctx, o.Nodes, o.link())
	if err != nil {
		return r, err
	}
	defer func() {
		t.close()
		err = errors.Join(err, links.Close())
	}()
	for i := range o.Nodes {
		t.at = append(t.at, -1)
		if err := t.start(links.Command(i, binary, "lab", "seat"), i); err != nil {
			return r, err
		}
	}
	first := begin{Method: name, Size: o.Size, Uplink: o.Uplink, Fragment: o.Fragment, Degree: o.Degree, Seed: o.Seed}
	for i := range o.Nodes {
		first.Addresses = append(first.Addresses, links.Address(i))
	}
	if err := t.prepare(ctx, first); err != nil {
		return r, err
	}
	if err := sleep(ctx, warmUp); err != nil {
		return r, err
	}
	if err := t.publish(ctx); err != nil {
		return r, err
	}
	return t.end(ctx)
}

// start starts a process and reads its reports until it ends.
func (t *realTrial) start(cmd *exec.Cmd, index int) error {
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start node %d: %w", index, err)
	}
	t.seats = append(t.seats, &seatProcess{cmd: cmd, orders: json.NewEncoder(in), in: in})
	go func() { // ends with the process, which close waits for
		reports := json.NewDecoder(out)
		for {
			var r report
			if err := reports.Decode(&r); err != nil {
				t.reports <- seatReport{index: index, ended: errEnded}
				return
			}
			t.reports <- seatReport{index: index, report: r}
		}
	}()
	return nil
}

// prepare has all nodes listen, and then join one after the other.
func (t *realTrial) prepare(ctx context.Context, first begin) error {
	for i, s := range t.seats {
		first.Index = i
		if err := s.orders.Encode(order{Begin: &first}); err != nil {
			return err
		}
	}
	if err := t.await(ctx, joinPatience, len(t.seats), func(r seatReport) bool { return r.Done }); err != nil {
		return err
	}
	for _, s := range t.seats {
		if err := s.orders.Encode(order{Join: true}); err != nil {
			return err
		}
		if err := t.await(ctx, joinPatience, 1, func(r seatReport) bool { return r.Done }); err != nil {
			return err
		}
	}
	return nil
}

const joinPatience = 60 * time.Second

// await takes reports until n of them count. Arrivals are noted in any case.
func (t *realTrial) await(ctx context.Context, patience time.Duration, n int, counts func(seatReport) bool) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for n > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return errLate
		case r := <-t.reports:
			switch {
			case r.ended != nil:
				return fmt.Errorf("node %d: %w", r.index, r.ended)
			case r.Error != "":
				return fmt.Errorf("node %d: %s", r.index, r.Error)
			case r.Published > 0:
				t.published = r.Published
			case r.Got > 0:
				t.at[r.index] = time.Duration(r.Got) // until the publisher's time is known
			case r.Final != nil:
				t.finals[r.index] = *r.Final
			}
			if counts(r) {
				n--
			}
		}
	}
	return nil
}

var errLate = errors.New("it took too long")

// publish has the first node publish, and waits until all have it, or for the deadline.
func (t *realTrial) publish(ctx context.Context) error {
	for _, s := range t.seats[1:] {
		if err := s.orders.Encode(order{Publish: true}); err != nil { // they only read their counters
			return err
		}
	}
	if err := t.await(ctx, joinPatience, len(t.seats)-1, func(r seatReport) bool { return r.Done }); err != nil {
		return err
	}
	if err := t.seats[0].orders.Encode(order{Publish: true}); err != nil {
		return err
	}
	reached, began := 0, time.Now()
	err := t.await(ctx, t.o.Deadline, len(t.seats)-1, func(r seatReport) bool {
		if r.Got > 0 {
			if reached++; t.o.Progress != nil {
				t.o.Progress(t.method.Name(), reached, t.o.Nodes-1, time.Since(began))
			}
		}
		return r.Got > 0
	})
	if errors.Is(err, errLate) && t.published > 0 {
		return nil // as far as it got
	}
	return err
}

func (t *realTrial) end(ctx context.Context) (Result, error) {
	for _, s := range t.seats {
		if err := s.orders.Encode(order{End: true}); err != nil {
			return Result{}, err
		}
	}
	if err := t.await(ctx, joinPatience, len(t.seats), func(r seatReport) bool { return r.Final != nil }); err != nil {
		return Result{}, err
	}
	r := Result{Method: t.method.Name(), Nodes: t.o.Nodes, Size: t.o.Size, Bound: t.o.Bound(t.method.Hops(t.o.Nodes)).Seconds()}
	var bytes int64
	for _, f := range t.finals {
		r.Duplicates += f.Duplicates
		r.Repairs += f.Repairs
		r.CPU += f.CPU
		bytes += f.Bytes
	}
	r.PublisherBytes = float64(t.finals[0].Bytes) / float64(t.o.Size)
	r.TotalBytes = float64(bytes) / float64(t.o.Size) / float64(t.o.Nodes-1)
	for i := 1; i < t.o.Nodes; i++ {
		if t.at[i] < 0 {
			r.Unreached++
			continue
		}
		r.Arrivals = append(r.Arrivals, (t.at[i] - time.Duration(t.published)).Seconds())
	}
	r.rank()
	return r, nil
}

// close ends all processes: those that wait for an order end with their input.
func (t *realTrial) close() {
	for _, s := range t.seats {
		_ = s.in.Close() // it may have ended
	}
	for _, s := range t.seats {
		kill := time.AfterFunc(endPatience, func() { _ = s.cmd.Process.Kill() })
		_ = s.cmd.Wait() // what went wrong has been reported
		kill.Stop()
	}
}

const endPatience = 10 * time.Second
