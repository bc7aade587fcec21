package wallet

import (
	"context"
	"encoding/hex"
	"fmt"
	"math"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/keys"
	"github.com/starlingmesh/starling/node/api"
)

// Build signs an order without sending it.
func (s *Sender) Build(ctx context.Context, key keys.PrivateKey, o Order) (*types.Tx, error) {
	status, err := s.status(ctx)
	if err != nil {
		return nil, err
	}
	header, body, err := s.draft(ctx, status, key.Public(), o, DefaultExpiry)
	if err != nil {
		return nil, err
	}
	return types.SignTx(header, body, key)
}

// Propose makes of an order a proposal for the members of a multi-key. Unless the order says
// otherwise, it may wait as long as the network allows: members take their time.
func (s *Sender) Propose(ctx context.Context, key keys.PublicKey, o Order) (*Proposal, error) {
	status, err := s.status(ctx)
	if err != nil {
		return nil, err
	}
	header, body, err := s.draft(ctx, status, key, o, math.MaxUint64)
	if err != nil {
		return nil, err
	}
	payload, _, err := types.Unsigned(header, body)
	if err != nil {
		return nil, err
	}
	return NewProposal(payload, status.AddressPrefix)
}

// draft is what is to be signed.
func (s *Sender) draft(ctx context.Context, status api.Status, key keys.PublicKey, o Order, wait uint64) (h types.Header, body types.Body, err error) {
	public := key.Bytes()
	if o.Fee == 0 {
		least, err := drops(status.MinFeeDrops)
		if err != nil {
			return h, nil, fmt.Errorf("status: min_fee_drops: %w", err)
		}
		o.Fee = types.Params{MinFee: least}.LeastFee(o.Body, public)
	}
	h = types.Header{Chain: status.ChainID, Key: public, Fee: o.Fee, Memo: []byte(o.Memo)}
	if o.From != (types.Address{}) && o.From != types.AddressOf(public) {
		h.Account = o.From
	}
	at, err := s.look(ctx, status, h.Sender())
	if err != nil {
		return h, nil, err
	}
	if err := s.check(ctx, at, o); err != nil {
		return h, nil, err
	}
	if o.Sequence != 0 && o.Sequence < at.account.Sequence {
		return h, nil, fmt.Errorf("%w: sequence %d is used, the account is at %d", ErrRefused, o.Sequence, at.account.Sequence)
	}
	if o.Expiry != 0 {
		wait = o.Expiry
	}
	if h.Sequence = o.Sequence; h.Sequence == 0 {
		h.Sequence = max(at.account.Sequence, at.account.NextSequence)
	}
	h.Expiry = types.Height(status.Height + min(wait, status.MaxExpiry))
	if o.Make != nil {
		o.Body, err = o.Make(h)
	}
	return h, o.Body, err
}

// status asks the node, and refuses one of another network.
func (s *Sender) status(ctx context.Context) (api.Status, error) {
	status, err := s.node.Status(ctx)
	if err != nil {
		return status, err
	}
	if s.chain != (hash.Hash{}) && status.ChainID != s.chain {
		return status, fmt.Errorf("%w: its chain is %s (%s), the genesis file's is %s", ErrChain, status.ChainID.Short(), status.Network, s.chain.Short())
	}
	return status, nil
}

// Signers is the key that signs for an account: own, unless the account's signers were changed.
func Signers(account api.Account, own keys.PublicKey) (keys.PublicKey, error) {
	if account.Signers == nil {
		return own, nil
	}
	raw, err := hex.DecodeString(account.Signers.Key)
	if err != nil {
		return keys.PublicKey{}, fmt.Errorf("signers of %s: %w", account.Address, err)
	}
	key, err := keys.ParsePublicKey(raw)
	if err != nil {
		return key, fmt.Errorf("signers of %s: %w", account.Address, err)
	}
	return key, nil
}
