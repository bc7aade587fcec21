// Package netns puts processes of one machine on links of their own: a Linux network
// namespace each, joined by a bridge, with delay, loss and rate. Look at [Net].
//
// It runs the commands ip and tc of iproute2 and needs root. Links are netem's; where the
// kernel has none, loss comes from nftables and the rate from a token bucket, and delay
// cannot be had. The machine's own namespace
// keeps an address on the bridge, from which the processes can be reached without any
// delay or loss on the way there. The package knows nothing of what runs inside.
package netns

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Link is what a process' way to the bridge is like. It shapes what the process sends, so
// that a packet meets it once.
type Link struct {
	Delay  time.Duration
	Jitter time.Duration // delays are drawn evenly from Delay ± Jitter; packets may overtake each other
	Loss   float64       // 0 to 1
	Rate   int64         // bits a second; 0 is unbounded
}

// String shows the link as people say it.
func (l Link) String() string {
	s := fmt.Sprintf("%v delay, %g%% loss", l.Delay, 100*l.Loss)
	if l.Rate > 0 {
		s += fmt.Sprintf(", %d Mbit/s", l.Rate/1_000_000)
	}
	return s
}

// Validate refuses what netem cannot do.
func (l Link) Validate() error {
	switch {
	case l.Delay < 0 || l.Delay > 10*time.Second || l.Jitter < 0 || l.Jitter > l.Delay:
		return fmt.Errorf("delay %v ± %v: want 0 to 10s, and the jitter at most the delay", l.Delay, l.Jitter)
	case !(l.Loss >= 0 && l.Loss <= 0.5):
		return fmt.Errorf("loss %g%%: want 0%% to 50%%", 100*l.Loss)
	case l.Rate != 0 && (l.Rate < 64_000 || l.Rate > 100e9):
		return fmt.Errorf("rate %d bit/s: want 64kbit to 100gbit", l.Rate)
	}
	return nil
}

// MaxNodes is how many namespaces one net has at most.
const MaxNodes = 200

// Net is a set of namespaces on a bridge. Close removes them.
type Net struct {
	tag    string // of all names; unique on this machine
	subnet string // its first three bytes
	nodes  int
}

// ErrUnavailable means that this machine cannot make namespaces.
var ErrUnavailable = errors.New("network namespaces are not available")

// New makes n namespaces. What a failed call has made is removed.
//
// It returns [ErrUnavailable] without root or without iproute2.
func New(ctx context.Context, n int, link Link) (*Net, error) {
	if err := link.Validate(); err != nil {
		return nil, err
	}
	if n < 1 || n > MaxNodes {
		return nil, fmt.Errorf("%d namespaces: want 1 to %d", n, MaxNodes)
	}
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("%w: only root may make them", ErrUnavailable)
	}
	for _, tool := range []string{"ip", "tc"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, fmt.Errorf("%w: install iproute2: %w", ErrUnavailable, err)
		}
	}
	pid := os.Getpid()
	out := &Net{tag: fmt.Sprintf("st%d", pid%100_000), subnet: fmt.Sprintf("10.%d.%d", 128+pid>>8&127, pid&255), nodes: n}
	if err := out.build(ctx, link); err != nil {
		return nil, errors.Join(fmt.Errorf("make %d network namespaces: %w", n, err), out.Close())
	}
	return out, nil
}

func (n *Net) build(ctx context.Context, link Link) error {
	if err := run(ctx, "ip", "link", "add", n.bridge(), "type", "bridge"); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	for _, args := range [][]string{
		{"addr", "add", n.subnet + ".254/24", "dev", n.bridge()},
		{"link", "set", n.bridge(), "up"},
	} {
		if err := run(ctx, "ip", args...); err != nil {
			return err
		}
	}
	for i := range n.nodes {
		if err := n.add(ctx, i, link); err != nil {
			return err
		}
	}
	return nil
}

// add makes one namespace. Packets are not merged on the way (gso): netem would lose many
// as one.
func (n *Net) add(ctx context.Context, i int, link Link) error {
	name, outer := n.Name(i), fmt.Sprintf("%sv%d", n.tag, i)
	if err := run(ctx, "ip", "netns", "add", name); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	for _, args := range [][]string{
		{"link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", name},
		{"link", "set", outer, "master", n.bridge(), "up"},
		{"-n", name, "addr", "add", n.Address(i) + "/24", "dev", "eth0"},
		{"-n", name, "link", "set", "eth0", "gso_max_segs", "1"},
		{"-n", name, "link", "set", "eth0", "up"},
		{"-n", name, "link", "set", "lo", "up"},
	} {
		if err := run(ctx, "ip", args...); err != nil {
			return err
		}
	}
	err := run(ctx, "tc", append([]string{"-n", name, "qdisc", "add", "dev", "eth0", "root", "netem"}, link.netem()...)...)
	if err != nil && strings.Contains(err.Error(), "qdisc kind is unknown") {
		return n.withoutNetem(ctx, i, link)
	}
	return err
}

// withoutNetem does what can be done without netem. What is lost is lost on arrival: to drop
// it on its way out would be told to its sender.
func (n *Net) withoutNetem(ctx context.Context, i int, link Link) error {
	if link.Delay > 0 {
		return fmt.Errorf("%w: this kernel has no netem (sch_netem), so links have no delay: ask for none", ErrUnavailable)
	}
	inside := []string{"netns", "exec", n.Name(i)}
	if link.Rate > 0 {
		if err := run(ctx, "tc", "-n", n.Name(i), "qdisc", "add", "dev", "eth0", "root", "tbf",
			"rate", strconv.FormatInt(link.Rate, 10)+"bit", "burst", "32kb", "latency", micros(queued)); err != nil {
			return err
		}
	}
	if link.Loss == 0 {
		return nil
	}
	if _, err := exec.LookPath("nft"); err != nil {
		return fmt.Errorf("%w: this kernel has no netem, and loss needs nftables: install it: %w", ErrUnavailable, err)
	}
	for _, rule := range []string{
		"add table ip emulated", "add chain ip emulated in { type filter hook prerouting priority -300; }",
		fmt.Sprintf("add rule ip emulated in ip saddr %s.0/24 ip saddr != %s.254 numgen random mod 1000000 < %d drop", n.subnet, n.subnet, int(link.Loss*1e6)),
	} {
		if err := run(ctx, "ip", append(slices.Clone(inside), "nft", rule)...); err != nil {
			return err
		}
	}
	return nil
}

const (
	// queued is how long packets may wait for a link whose rate is bounded.
	queued = 200 * time.Millisecond
	packet = 1200 // bytes, about
)

// netem is the link in the words of tc.
func (l Link) netem() []string {
	limit := 20_000
	if l.Rate > 0 {
		limit = max(100, int(float64(l.Rate)/8/packet*(l.Delay+queued).Seconds()))
	}
	args := []string{"limit", strconv.Itoa(limit)}
	if l.Delay > 0 {
		args = append(args, "delay", micros(l.Delay))
		if l.Jitter > 0 {
			args = append(args, micros(l.Jitter))
		}
	}
	if l.Loss > 0 {
		args = append(args, "loss", strconv.FormatFloat(100*l.Loss, 'f', -1, 64)+"%")
	}
	if l.Rate > 0 {
		args = append(args, "rate", strconv.FormatInt(l.Rate, 10)+"bit")
	}
	return args
}

func micros(d time.Duration) string { return strconv.FormatInt(d.Microseconds(), 10) + "us" }

func (n *Net) bridge() string { return n.tag + "br" }

// Name is a namespace's name, for `ip netns exec`.
func (n *Net) Name(i int) string { return fmt.Sprintf("%sn%d", n.tag, i) }

// Address is the IPv4 address of a namespace, from 0.
func (n *Net) Address(i int) string { return fmt.Sprintf("%s.%d", n.subnet, i+1) }

// Command is a command that runs inside a namespace, as a process of its own: signals sent
// to it reach the program itself. QUIC sends packet by packet there, so that netem sees
// each.
func (n *Net) Command(i int, program string, args ...string) *exec.Cmd {
	cmd := exec.Command("ip", append([]string{"netns", "exec", n.Name(i), program}, args...)...) //nolint:noctx // ended by its owner
	cmd.Env = append(os.Environ(), "QUIC_GO_DISABLE_GSO=true")
	return cmd
}

// Close removes everything. What runs inside should have ended.
func (n *Net) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var errs []error
	for i := range n.nodes {
		// The other end goes with the namespace, at once only if it is removed itself.
		errs = append(errs, unlessGone(run(ctx, "ip", "link", "del", fmt.Sprintf("%sv%d", n.tag, i))),
			unlessGone(run(ctx, "ip", "netns", "del", n.Name(i))))
	}
	return errors.Join(append(errs, unlessGone(run(ctx, "ip", "link", "del", n.bridge())))...)
}

// unlessGone forgives what is not there.
func unlessGone(err error) error {
	if err != nil && (strings.Contains(err.Error(), "Cannot find device") || strings.Contains(err.Error(), "No such file")) {
		return nil
	}
	return err
}

func run(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
