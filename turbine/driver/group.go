package driver

import (
	"fmt"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/starlingmesh/starling/fec"
	"github.com/starlingmesh/starling/turbine"
)

// GroupOf makes a group of peers, whose ids hold their Ed25519 keys. Members have the
// peers' order. stakes may be nil: all are alike then.
func GroupOf(peers []peer.ID, stakes []uint64) (*turbine.Group, error) {
	members := make([]turbine.Member, len(peers))
	for i, p := range peers {
		public, err := p.ExtractPublicKey()
		if err != nil {
			return nil, fmt.Errorf("key of %s: %w", p, err)
		}
		raw, err := public.Raw()
		if err != nil {
			return nil, fmt.Errorf("key of %s: %w", p, err)
		}
		members[i] = turbine.Member{Sender: fec.SenderOf([]byte(p)), Key: raw, Stake: 1}
		if stakes != nil {
			members[i].Stake = stakes[i]
		}
	}
	return turbine.NewGroup(members)
}

// verifyEd25519 checks signatures of members of [GroupOf].
func verifyEd25519(key, message, signature []byte) bool {
	public, err := crypto.UnmarshalEd25519PublicKey(key)
	if err != nil {
		return false
	}
	ok, err := public.Verify(message, signature)
	return ok && err == nil
}
