package light

import (
	"errors"
	"fmt"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// ErrEpoch means that a proof is about an epoch that the client has not followed the
// network to.
var ErrEpoch = errors.New("the validators of that epoch are not known yet: follow the network up to it first")

// MaxEnd is the longest encoded [End] in bytes.
const MaxEnd = 4 << 20

// End proves how an epoch ended: its last block was decided, and the header of that
// names the set that follows.
type End struct {
	_        struct{}  `cbor:",toarray"`
	Last     canon.Raw // header of the epoch's last block
	Handover types.Handover
	Next     []types.Validator
}

// NewEnd joins the last block of an epoch with the first of the next, which carries
// the handover, and the validators of the next.
func NewEnd(last, first *types.Block, next *types.ValidatorSet) ([]byte, error) {
	signed, err := last.Signed()
	if err != nil {
		return nil, err
	}
	if first.Handover == nil || first.Parent() != last.Hash() {
		return nil, fmt.Errorf("%w: block %d does not begin an epoch on block %d", types.ErrHandover, first.Height, last.Height)
	}
	end := End{Last: signed.Header, Handover: *first.Handover}
	for _, v := range next.All() {
		end.Next = append(end.Next, v)
	}
	return canon.Marshal(end)
}

// DecodeEnd reads an encoded end without believing it.
func DecodeEnd(raw []byte) (*End, error) {
	if len(raw) > MaxEnd {
		return nil, fmt.Errorf("%w: end of an epoch of %d bytes, the longest has %d", ErrProof, len(raw), MaxEnd)
	}
	e := &End{}
	if err := canon.Unmarshal(raw, e); err != nil {
		return nil, fmt.Errorf("%w: end of an epoch: %w", ErrProof, err)
	}
	return e, nil
}

// Trust is what a client believes who began with a genesis and followed the network
// epoch by epoch. It needs one [End] an epoch and nothing else. It is not safe for
// concurrent use.
type Trust struct {
	genesis     *types.Genesis
	chain       hash.Hash
	authorities []*consensus.Authority // by epoch
}

// Begin trusts a valid genesis.
func Begin(g *types.Genesis) (*Trust, error) {
	set, err := g.Set()
	if err != nil {
		return nil, err
	}
	t := &Trust{genesis: g, chain: g.ChainID()}
	return t, t.admit(set)
}

// Epoch is the last epoch whose validators are known.
func (t *Trust) Epoch() types.Epoch { return types.Epoch(len(t.authorities) - 1) }

// Validators are those of the last known epoch.
func (t *Trust) Validators() *types.ValidatorSet {
	return t.authorities[len(t.authorities)-1].Validators
}

func (t *Trust) admit(set *types.ValidatorSet) error {
	committee, err := consensus.NewCommittee(set, nil, nil)
	if err != nil {
		return err
	}
	t.authorities = append(t.authorities, &consensus.Authority{
		Chain: t.chain, Epoch: types.Epoch(len(t.authorities)), Validators: set, Scheme: committee,
	})
	return nil
}

// Advance follows the network by one epoch: it checks that the validators of the
// last known epoch decided its end, and learns whom they named.
func (t *Trust) Advance(end *End) error {
	a := t.authorities[len(t.authorities)-1]
	header, last, err := types.SignedHeader{Header: end.Last}.Open()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrProof, err)
	}
	if header.Chain != t.chain || header.Epoch != a.Epoch || header.Height != t.genesis.Params.LastOf(a.Epoch) {
		return fmt.Errorf("%w: block %d of epoch %d does not end epoch %d", ErrProof, header.Height, header.Epoch, a.Epoch)
	}
	if err := a.CheckHandover(last, t.genesis.Phases(), &end.Handover); err != nil {
		return fmt.Errorf("%w: end of epoch %d: %w", ErrProof, a.Epoch, err)
	}
	set, err := types.NewValidatorSet(end.Next)
	if err != nil {
		return fmt.Errorf("%w: end of epoch %d: %w", ErrProof, a.Epoch, err)
	}
	if set.Hash() != header.NextSet {
		return fmt.Errorf("%w: end of epoch %d: these are not the validators that it names", ErrProof, a.Epoch)
	}
	return t.admit(set)
}

// authority finds who certifies the state of a height.
func (t *Trust) authority(h types.Height) (*consensus.Authority, error) {
	epoch := t.genesis.Params.EpochOf(h)
	if epoch > t.Epoch() {
		return nil, fmt.Errorf("height %d is of epoch %d: %w", h, epoch, ErrEpoch)
	}
	return t.authorities[epoch], nil
}
