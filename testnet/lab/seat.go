package lab

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/multiformats/go-multiaddr"
)

// begin tells a process which node of a run it is.
type begin struct {
	Method    string   `json:"method"`
	Index     int      `json:"index"`
	Addresses []string `json:"addresses"` // IPv4, of all nodes
	Size      int64    `json:"size"`
	Uplink    int64    `json:"uplink"`
	Fragment  int64    `json:"fragment"`
	Degree    int      `json:"degree"`
	Seed      uint64   `json:"seed"`
}

// order is what a run wants done by a process, one of its fields.
type order struct {
	Begin   *begin `json:"begin,omitempty"`
	Join    bool   `json:"join,omitempty"`
	Publish bool   `json:"publish,omitempty"`
	End     bool   `json:"end,omitempty"`
}

// report is what a process tells. Times are nanoseconds since 1970 by the machine's
// clock, which all share.
type report struct {
	Done      bool   `json:"done,omitempty"` // the last order
	Published int64  `json:"published,omitempty"`
	Got       int64  `json:"got,omitempty"`
	Error     string `json:"error,omitempty"`
	Final     *final `json:"final,omitempty"`
}

// final is what a process did from publishing to the end.
type final struct {
	Counters
	Bytes int64   `json:"bytes"` // that left its interface
	CPU   float64 `json:"cpu_s"`
}

// seat is one node of a run, in a process of its own.
type seat struct {
	begin
	host   host.Host
	member Member
	block  []byte
	before final

	mu  sync.Mutex
	out *json.Encoder
}

const seatPort = 8000

// RunSeat takes part in a run of [RunReal] as one of its nodes: it follows the orders that
// come as JSON, and reports in the same way, until it is told to end or in does.
func RunSeat(ctx context.Context, in io.Reader, out io.Writer) error {
	s := &seat{out: json.NewEncoder(out)}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	orders := json.NewDecoder(in)
	for {
		var o order
		if err := orders.Decode(&o); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return errors.Join(err, s.close())
		}
		err := s.follow(ctx, o)
		if o.End {
			return errors.Join(err, s.close())
		}
		if err != nil {
			s.tell(report{Error: err.Error()})
		}
	}
}

func (s *seat) tell(r report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.out.Encode(r) // nobody to tell if the run has gone
}

func (s *seat) follow(ctx context.Context, o order) error {
	var err error
	switch {
	case o.Begin != nil:
		s.begin = *o.Begin
		s.block = payload(Options{Size: s.Size, Seed: s.Seed})
		err = s.listen()
	case s.host == nil:
		return errors.New("not begun")
	case o.Join:
		err = s.join(ctx)
	case s.member == nil:
		return errors.New("not joined")
	case o.Publish:
		s.before = s.count()
		if s.Index > 0 {
			break
		}
		published := time.Now().UnixNano()
		if err = s.member.Publish(ctx, s.block); err == nil {
			s.tell(report{Published: published})
		}
	case o.End:
		now := s.count()
		now.Duplicates -= s.before.Duplicates
		now.Repairs -= s.before.Repairs
		now.Bytes -= s.before.Bytes
		s.tell(report{Final: &now})
	}
	if err == nil {
		s.tell(report{Done: true})
	}
	return err
}

func (s *seat) listen() error {
	key, err := hostKey(s.Seed, s.Index)
	if err != nil {
		return err
	}
	s.host, err = libp2p.New(
		libp2p.Identity(key), libp2p.ListenAddrStrings(address(s.Addresses[s.Index])), libp2p.Transport(libp2pquic.NewTransport),
		libp2p.ResourceManager(&network.NullResourceManager{}), libp2p.DisableMetrics(), libp2p.DisableRelay(),
	)
	if err != nil {
		return fmt.Errorf("start host: %w", err)
	}
	return nil
}

func address(ip string) string { return fmt.Sprintf("/ip4/%s/udp/%d/quic-v1", ip, seatPort) }

func (s *seat) join(ctx context.Context) error {
	ids := make([]peer.ID, len(s.Addresses))
	for i, ip := range s.Addresses {
		key, err := hostKey(s.Seed, i)
		if err != nil {
			return err
		}
		if ids[i], err = peer.IDFromPrivateKey(key); err != nil {
			return err
		}
		at, err := multiaddr.NewMultiaddr(address(ip))
		if err != nil {
			return err
		}
		s.host.Peerstore().AddAddr(ids[i], at, peerstore.PermanentAddrTTL)
	}
	method, err := methodOf(s.Method)
	if err != nil {
		return err
	}
	want := sha256.Sum256(s.block)
	s.member, err = method.Join(ctx, Seat{
		Host: s.host, Peers: ids, Publisher: ids[0], Size: len(s.block), Fragment: int(s.Fragment), Rate: int(s.Uplink / 8 * 95 / 100),
		Neighbours: neighbours(Options{Seed: s.Seed, Degree: s.Degree}, ids)[s.Index],
		Got: func(b []byte) {
			at := time.Now().UnixNano()
			if sha256.Sum256(b) != want {
				s.tell(report{Error: "got a block that differs from the published one"})
				return
			}
			s.tell(report{Got: at})
		},
	})
	return err
}

// count reads all counters. The interface's is there in a namespace of the node's own.
func (s *seat) count() final {
	f := final{Counters: s.member.Counters(), CPU: cpuTime().Seconds()}
	if raw, err := os.ReadFile("/sys/class/net/eth0/statistics/tx_bytes"); err == nil {
		f.Bytes, _ = strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64)
	}
	return f
}

func (s *seat) close() error {
	var errs []error
	if s.member != nil {
		errs = append(errs, s.member.Close())
	}
	if s.host != nil {
		errs = append(errs, s.host.Close())
	}
	return errors.Join(errs...)
}
