package lab

import (
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// gossipTracer counts duplicates and messages asked for by IWANT.
type gossipTracer struct{ m *gossipMember }

func (t *gossipTracer) DuplicateMessage(*pubsub.Message) { t.m.duplicates.Add(1) }

func (t *gossipTracer) SendRPC(rpc *pubsub.RPC, _ peer.ID) {
	for _, w := range rpc.GetControl().GetIwant() {
		t.m.repairs.Add(uint64(len(w.GetMessageIDs())))
	}
}

func (*gossipTracer) OnNewOutboundStream(peer.ID, protocol.ID) {}
func (*gossipTracer) OnClosedOutboundStream(peer.ID)           {}
func (*gossipTracer) Join(string)                              {}
func (*gossipTracer) Leave(string)                             {}
func (*gossipTracer) Graft(peer.ID, string)                    {}
func (*gossipTracer) Prune(peer.ID, string)                    {}
func (*gossipTracer) ValidateMessage(*pubsub.Message)          {}
func (*gossipTracer) DeliverMessage(*pubsub.Message)           {}
func (*gossipTracer) RejectMessage(*pubsub.Message, string)    {}
func (*gossipTracer) ThrottlePeer(peer.ID)                     {}
func (*gossipTracer) RecvRPC(*pubsub.RPC)                      {}
func (*gossipTracer) DropRPC(*pubsub.RPC, peer.ID)             {}
func (*gossipTracer) UndeliverableMessage(*pubsub.Message)     {}
