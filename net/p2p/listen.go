package p2p

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// listen opens every address. libp2p itself is content with one of many, and
// shares TCP ports with other processes of the same user: a second node with the
// first one's configuration would take half of its connections.
func (h *Host) listen(ctx context.Context, addrs []string) error {
	for _, s := range addrs {
		a, err := ma.NewMultiaddr(s)
		if err != nil {
			return fmt.Errorf("%w on p2p.listen %s: %w", ErrListen, s, err)
		}
		if err = probeTCP(ctx, a); err == nil {
			err = h.Network().Listen(a)
		}
		switch {
		case err == nil:
		case inUse(err):
			return fmt.Errorf("%w on p2p.listen %s: the port is in use: stop the other program, or set another port (0 takes a free one): %w", ErrListen, s, err)
		case strings.HasPrefix(s, "/ip6/::/") && len(h.Network().ListenAddresses()) > 0:
			h.log.Warn("no IPv6 on this machine", "address", s)
		default:
			return fmt.Errorf("%w on p2p.listen %s: check that the address is one of this machine's: %w", ErrListen, s, err)
		}
	}
	return nil
}

// probeTCP reports whether the port of a TCP or WebSocket address is taken.
func probeTCP(ctx context.Context, a ma.Multiaddr) error {
	base, _ := ma.SplitFunc(a, func(c ma.Component) bool { return c.Protocol().Code == ma.P_WS })
	network, address, err := manet.DialArgs(base)
	if err != nil || !strings.HasPrefix(network, "tcp") {
		return nil // not TCP, or for libp2p to refuse
	}
	l, err := new(net.ListenConfig).Listen(ctx, network, address)
	if err != nil {
		return err
	}
	return l.Close()
}

func inUse(err error) bool {
	return errors.Is(err, syscall.EADDRINUSE) || strings.Contains(err.Error(), "address already in use")
}
