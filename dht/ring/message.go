package ring

import (
	"errors"
	"fmt"
	"slices"

	"github.com/starlingmesh/starling/canon"
)

// Kind is what is asked of a peer.
type Kind uint8

// The kinds. Values are part of the encoding.
const (
	Look  Kind = 0 // its state
	Find  Kind = 1 // its state, and whom it knows nearest before the target
	Here  Kind = 2 // nothing: the sender says that the receiver follows it
	Leave Kind = 3 // nothing: the sender leaves the ring
)

// Question goes to a peer.
type Question struct {
	_      struct{} `cbor:",toarray"`
	Kind   Kind
	Target ID // of Find, else zero
}

// Answer is what a member tells.
type Answer struct {
	_           struct{} `cbor:",toarray"`
	Predecessor Peer
	Before      []Peer
	Successors  []Peer
	Closer      []Peer // of Find
}

// State is the answer without what a lookup wants.
func (a Answer) State() State { return State{a.Predecessor, a.Successors, a.Before} }

const (
	maxName  = 64 // bytes
	maxPeers = 64 // in a list
)

// Check returns an error for an answer that no honest member gives.
func (a Answer) Check() error {
	for _, list := range [][]Peer{a.Before, a.Successors, a.Closer} {
		if len(list) > maxPeers {
			return fmt.Errorf("a list of %d peers, at most %d are known to anybody", len(list), maxPeers)
		}
		if slices.Contains(list, Peer{}) {
			return errors.New("nobody in a list of peers")
		}
	}
	return nil
}

// MarshalCBOR encodes a peer as its name: everybody computes its place.
func (p Peer) MarshalCBOR() ([]byte, error) { return canon.Marshal([]byte(p.Name)) }

// UnmarshalCBOR computes a peer's place from its name.
func (p *Peer) UnmarshalCBOR(raw []byte) error {
	var name []byte
	if err := canon.Unmarshal(raw, &name); err != nil {
		return err
	}
	if len(name) > maxName {
		return fmt.Errorf("a peer's name of %d bytes, at most %d", len(name), maxName)
	}
	*p = Peer{}
	if len(name) > 0 {
		*p = PeerOf(string(name))
	}
	return nil
}
