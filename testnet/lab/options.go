package lab

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// Options say what to measure.
type Options struct {
	Nodes    int           // 2..1000, the publisher included
	Size     int64         // of the payload in bytes, up to 256 MiB
	Uplink   int64         // of each node, in bits a second
	Downlink int64         // likewise; 0: four times the uplink
	RTT      time.Duration // between any two nodes, unless Topology is set
	Jitter   time.Duration // at most so much is added to each packet, evenly drawn
	Loss     float64       // chance 0..1 (exclusive) that a packet is lost
	Churn    float64       // share 0..1 (exclusive) of the nodes that go away
	Fragment int64         // bytes, for methods that cut payloads
	Degree   int           // how many others each node dials, in methods with a mesh
	Deadline time.Duration // virtual time after which a run ends as it is
	Methods  []string
	Topology *Topology // nil: RTT everywhere
	Seed     uint64
	// Progress is called now and then, outside of any lock; nil is fine.
	Progress func(method string, reached, nodes int, at time.Duration)
}

// Defaults are what the command offers.
func Defaults() Options {
	return Options{
		Nodes: 20, Size: 1 << 20, Uplink: 50_000_000, RTT: 80 * time.Millisecond, Fragment: 128 << 10,
		Degree: 8, Deadline: 2 * time.Minute, Methods: Methods(), Seed: 1,
	}
}

func (o Options) downlink() int64 {
	if o.Downlink == 0 {
		return 4 * o.Uplink
	}
	return o.Downlink
}

// Validate tells the first thing that is wrong.
func (o Options) Validate() error {
	switch {
	case o.Nodes < 2 || o.Nodes > 1000:
		return fmt.Errorf("nodes is %d; choose 2 to 1000, one of them publishes", o.Nodes)
	case o.Size < 1 || o.Size > 256<<20:
		return fmt.Errorf("size is %d bytes; choose 1B to 256MiB", o.Size)
	case o.Uplink < 64_000 || o.Uplink > 100e9:
		return fmt.Errorf("uplink is %d bit/s; choose 64kbit to 100gbit", o.Uplink)
	case o.downlink() < 64_000 || o.downlink() > 400e9:
		return fmt.Errorf("downlink is %d bit/s; choose 64kbit to 400gbit", o.Downlink)
	case o.RTT < 0 || o.RTT > 10*time.Second || o.Jitter < 0 || o.Jitter > 10*time.Second:
		return fmt.Errorf("rtt is %v, jitter %v; choose 0 to 10s", o.RTT, o.Jitter)
	case !(o.Loss >= 0 && o.Loss <= 0.5):
		return fmt.Errorf("loss is %g%%; choose 0%% to 50%%, beyond which no transport works", 100*o.Loss)
	case !(o.Churn >= 0 && o.Churn < 1):
		return fmt.Errorf("churn is %g%%; choose less than 100%%", 100*o.Churn)
	case o.Fragment < 1024 || o.Fragment > 1<<20:
		return fmt.Errorf("fragment is %d bytes; choose 1KiB to 1MiB", o.Fragment)
	case o.Size > o.Fragment*4096:
		return fmt.Errorf("size is more than 4096 fragments; choose larger fragments")
	case o.Degree < 1:
		return fmt.Errorf("degree is %d; each node dials at least 1 other", o.Degree)
	case o.Deadline < time.Second:
		return fmt.Errorf("deadline is %v; choose 1s or more", o.Deadline)
	case len(o.Methods) == 0:
		return fmt.Errorf("no method; there are %s", strings.Join(Methods(), ", "))
	}
	for _, name := range o.Methods {
		if _, err := methodOf(name); err != nil {
			return err
		}
	}
	return nil
}

// ParseSize reads a size such as 8MiB, 500kB or 1024.
func ParseSize(s string) (int64, error) {
	n, err := humanize.ParseBytes(s)
	if err != nil || n > math.MaxInt64 {
		return 0, fmt.Errorf("size %q is not like 8MiB or 500kB", s)
	}
	return int64(n), nil
}

// ParseRate reads bits a second such as 50mbit, 1gbit or 64kbit.
func ParseRate(s string) (int64, error) {
	units := []struct {
		suffix string
		factor float64
	}{{"kbit", 1e3}, {"mbit", 1e6}, {"gbit", 1e9}, {"bit", 1}}
	low := strings.ToLower(strings.TrimSuffix(strings.TrimSpace(s), "/s"))
	for _, u := range units {
		if number, ok := strings.CutSuffix(low, u.suffix); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
			if err == nil && n > 0 && n*u.factor <= 1e12 {
				return int64(n * u.factor), nil
			}
		}
	}
	return 0, fmt.Errorf("rate %q is not like 50mbit or 1gbit", s)
}

// ParseShare reads a share such as 2% or 0.02.
func ParseShare(s string) (float64, error) {
	number, percent := strings.CutSuffix(strings.TrimSpace(s), "%")
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return 0, fmt.Errorf("share %q is not like 2%% or 0.02", s)
	}
	if percent {
		n /= 100
	}
	return n, nil
}
