package types

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/crypto/bulletproof"
	"github.com/starlingmesh/starling/crypto/curve"
	"github.com/starlingmesh/starling/crypto/ring"
	"github.com/starlingmesh/starling/crypto/stealth"
)

// confidentials are a body of each confidential kind, with proofs that prove nothing.
func confidentials() []Confidential {
	out := func() (o []ConfidentialOutput) {
		for range MinOutputs {
			o = append(o, ConfidentialOutput{
				Ephemeral: curve.Generator, Key: curve.Generator, Commitment: curve.Generator, Tag: 3,
				Sealed: make([]byte, stealth.SealedSize), Proof: make([]byte, bulletproof.Size),
			})
		}
		return o
	}
	in := func() []ConfidentialInput {
		return []ConfidentialInput{{Ring: []uint64{1, 5}, Image: curve.Generator, Pseudo: curve.Generator, Signature: make([]byte, ring.SizeOf(2))}}
	}
	return []Confidential{
		&Shield{Version: Confidential1, Amount: 5, Excess: curve.ScalarOf(7), Outputs: out()},
		&Transfer{Version: Confidential1, Inputs: in(), Outputs: out()},
		&Unshield{Version: Confidential1, To: AddressOf([]byte("to")), Amount: 5, Inputs: in(), Outputs: out()},
	}
}

// encodedConfidential are transactions of these bodies.
func encodedConfidential(tb testing.TB) (raws [][]byte) {
	for _, body := range confidentials() {
		h := Header{Fee: 500, Expiry: 9}
		var tx *Tx
		var err error
		if a, ok := body.(Anonymous); ok {
			tx, err = NewAnonymousTx(h, a)
		} else {
			h.Key = []byte{1, 2, 3}
			tx, err = SignTx(h, body, stampSigner{})
		}
		require.NoError(tb, err)
		raws = append(raws, tx.Raw())
	}
	return raws
}

type stampSigner struct{}

func (stampSigner) Sign([]byte) ([]byte, error) { return []byte{1}, nil }

func TestConfidentialTransactionsKeepTheirForm(t *testing.T) {
	for i, raw := range encodedConfidential(t) {
		tx, err := DecodeTx(raw)
		require.NoError(t, err)
		require.Equal(t, confidentials()[i].Kind(), tx.Body.Kind())
		require.Equal(t, raw, tx.Raw())
		_, anonymous := tx.Body.(Anonymous)
		require.Equal(t, i > 0, anonymous)
		require.Positive(t, ProofWork(tx.Body))
	}
	require.Zero(t, ProofWork(&Payment{}))
}

// Two accounts may have one signer, and shield at one sequence: their outputs are of different places.
func TestShieldsOfTwoAccountsHaveDifferentContexts(t *testing.T) {
	shared := []byte{1, 2, 3}
	one := OutputContext(Header{Key: shared, Account: Address{1}}, confidentials()[0])
	require.NotEqual(t, one, OutputContext(Header{Key: shared, Account: Address{2}}, confidentials()[0]))
	require.NotEqual(t, one, OutputContext(Header{Key: shared}, confidentials()[0]))
	require.Equal(t, one, OutputContext(Header{Key: []byte{4, 5, 6}, Account: Address{1}}, confidentials()[0]), "it is the account's, whoever signs")
}

// Nothing but its proofs and its fee tells a transaction without a sender from another.
func TestTransactionsWithoutASenderSayNothingElse(t *testing.T) {
	body := confidentials()[1].(Anonymous)
	for name, h := range map[string]Header{
		"a key":      {Key: []byte{1, 2, 3}, Fee: 500, Expiry: 9},
		"a sequence": {Sequence: 1, Fee: 500, Expiry: 9},
		"a memo":     {Memo: []byte("hello"), Fee: 500, Expiry: 9},
	} {
		_, err := SignTx(h, body, noSignature{})
		require.ErrorIs(t, err, ErrTx, name)
	}
	_, err := SignTx(Header{Fee: 500, Expiry: 9}, body, stampSigner{})
	require.ErrorIs(t, err, ErrTx, "a signature")
	_, err = SignTx(Header{Fee: 500, Expiry: 9}, body, noSignature{})
	require.NoError(t, err)
	_, err = SignTx(Header{Fee: 500, Expiry: 9}, &Payment{To: AddressOf([]byte("x")), Amount: 1}, stampSigner{})
	require.ErrorIs(t, err, ErrTx, "others have a key")
}

type noSignature struct{}

func (noSignature) Sign([]byte) ([]byte, error) { return []byte{}, nil }
