package types

import (
	"errors"
	"fmt"
	"math"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/crypto/hash"
)

// Caps on what a transaction may hold.
const (
	MaxTxBytes  = 64 << 10 // a whole signed transaction, bytes
	MaxMemo     = 256      // bytes
	MaxKeyBytes = 1063     // typed public key: RSA-8192 is the largest
	MaxSigBytes = 1042     // sixteen secp256k1 signatures of a multi-key are the largest
)

// ErrTx is wrapped by every refusal of a malformed transaction.
var ErrTx = errors.New("malformed transaction")

// Header is what every transaction says, whatever it does.
type Header struct {
	Chain hash.Hash // the network's chain id: a transaction is valid on one network only
	Key   []byte    // typed public key that signs
	// Account is the sender's address where that is not the one of Key, as the account's signers were
	// changed ([SetSigners]); else zero.
	Account  Address
	Sequence uint64 // must equal the account's next sequence
	Fee      Drops  // burned
	Expiry   Height // the last height at which the transaction may be applied
	Memo     []byte // free for the sender, at most MaxMemo bytes
}

// Sender is the address of the account that acts.
func (h *Header) Sender() Address {
	if h.Account != (Address{}) {
		return h.Account
	}
	return AddressOf(h.Key)
}

// payload is what is signed.
type payload struct {
	_        struct{} `cbor:",toarray"`
	Chain    hash.Hash
	Key      []byte
	Account  []byte // empty if it is the address of the key
	Sequence uint64
	Fee      Drops
	Expiry   Height
	Memo     []byte
	Kind     Kind
	Body     canon.Raw
}

// envelope is what travels: the signed bytes as they are, and the signature.
type envelope struct {
	_         struct{} `cbor:",toarray"`
	Payload   []byte
	Signature []byte
}

// Tx is a decoded transaction. It is immutable once made by [DecodeTx] or
// [SignTx]; its identifier covers the signed bytes, never the signature, so
// nobody but the sender can give one transaction two identifiers.
type Tx struct {
	Header
	Body      Body
	Signature []byte

	id             hash.Hash
	raw            []byte
	sender, signer Address
}

// ID is the hash of the signed bytes under a domain tag. It is also the
// message that the sender signs.
func (tx *Tx) ID() hash.Hash { return tx.id }

// Raw returns the canonical encoding. Callers must not change it.
func (tx *Tx) Raw() []byte { return tx.raw }

// Sender is the address of the account that acts. Of a transaction without a sender ([Anonymous]) it is
// that of no account.
func (tx *Tx) Sender() Address { return tx.sender }

// SignedBy is the address of the signing key. Whether that may sign for the sender, the ledger says.
func (tx *Tx) SignedBy() Address { return tx.signer }

// Unsigned encodes what is to be signed and returns it with its identifier.
func Unsigned(h Header, body Body) (payloadBytes []byte, id hash.Hash, err error) {
	inner, err := canon.Marshal(body)
	if err != nil {
		return nil, id, err
	}
	payloadBytes, err = canon.Marshal(payload{
		Chain: h.Chain, Key: nonNil(h.Key), Account: h.account(), Sequence: h.Sequence, Fee: h.Fee, Expiry: h.Expiry,
		Memo: nonNil(h.Memo), Kind: body.Kind(), Body: inner,
	})
	if err != nil {
		return nil, id, err
	}
	return payloadBytes, txID(payloadBytes), nil
}

func (h *Header) account() []byte {
	if h.Account == (Address{}) {
		return []byte{}
	}
	return h.Account[:]
}

// Signer signs messages with the private half of the key in the
// transaction's header; crypto/keys.PrivateKey is one.
type Signer interface {
	Sign(message []byte) ([]byte, error)
}

// SignTx encodes and signs a transaction. The signer must hold the private half
// of h.Key.
func SignTx(h Header, body Body, signer Signer) (*Tx, error) {
	p, id, err := Unsigned(h, body)
	if err != nil {
		return nil, err
	}
	sig, err := signer.Sign(id[:])
	if err != nil {
		return nil, fmt.Errorf("sign transaction %s: %w", id.Short(), err)
	}
	return Seal(p, sig)
}

// Seal puts a signature to what [Unsigned] encoded.
func Seal(payloadBytes, signature []byte) (*Tx, error) {
	raw, err := canon.Marshal(envelope{Payload: payloadBytes, Signature: nonNil(signature)})
	if err != nil {
		return nil, err
	}
	return DecodeTx(raw)
}

// DecodeTx decodes and checks everything that can be checked without the
// ledger, except the signature. The returned transaction keeps raw.
func DecodeTx(raw []byte) (*Tx, error) {
	if len(raw) > MaxTxBytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrTx, len(raw), MaxTxBytes)
	}
	var env envelope
	r := canon.Read(raw)
	r.Struct(2)
	env.Payload, env.Signature = r.Bytes(), r.Bytes()
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTx, err)
	}
	tx, err := decodePayload(env.Payload)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTx, err)
	}
	_, anonymous := tx.Body.(Anonymous)
	if n := len(env.Signature); anonymous != (n == 0) || n > MaxSigBytes {
		return nil, fmt.Errorf("%w: signature of %d bytes", ErrTx, n)
	}
	tx.raw, tx.Signature = raw, env.Signature
	return tx, nil
}

// DecodeUnsigned decodes and checks what [Unsigned] encoded. The transaction has neither a signature
// nor an encoding.
func DecodeUnsigned(payloadBytes []byte) (*Tx, error) {
	if len(payloadBytes) > MaxTxBytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrTx, len(payloadBytes), MaxTxBytes)
	}
	tx, err := decodePayload(payloadBytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTx, err)
	}
	return tx, nil
}

func decodePayload(raw []byte) (*Tx, error) {
	p, err := readPayload(raw)
	if err != nil {
		return nil, err
	}
	if len(p.Memo) > MaxMemo {
		return nil, fmt.Errorf("memo of %d bytes, at most %d are allowed", len(p.Memo), MaxMemo)
	}
	body, err := decodeBody(p.Kind, p.Body)
	if err != nil {
		return nil, err
	}
	tx := &Tx{
		Header: Header{Chain: p.Chain, Key: p.Key, Sequence: p.Sequence, Fee: p.Fee, Expiry: p.Expiry, Memo: p.Memo},
		Body:   body, id: txID(raw),
	}
	if a, ok := body.(Anonymous); ok {
		tx.sender = anonymousSender(a)
		tx.signer = tx.sender
		return tx, checkAnonymous(&p)
	}
	return tx, tx.setSender(&p)
}

// setSender finds who acts, and who signs for that account.
func (tx *Tx) setSender(p *payload) error {
	if len(p.Key) < 2 || len(p.Key) > MaxKeyBytes {
		return fmt.Errorf("public key of %d bytes", len(p.Key))
	}
	tx.signer = AddressOf(p.Key)
	tx.sender = tx.signer
	if len(p.Account) == 0 {
		return nil
	}
	if len(p.Account) != len(Address{}) || Address(p.Account) == tx.signer || Address(p.Account) == (Address{}) {
		return errors.New("an account that is none, or that of the key: then it must not be named")
	}
	tx.Account = Address(p.Account)
	tx.sender = tx.Account
	return nil
}

// readPayload takes a payload apart without copying it. The body is still to be checked.
func readPayload(raw []byte) (p payload, err error) {
	r := canon.Read(raw)
	r.Struct(9)
	chain := r.Bytes()
	p.Key, p.Account = r.Bytes(), r.Bytes()
	p.Sequence, p.Fee, p.Expiry = r.Uint(), Drops(r.Uint()), Height(r.Uint())
	p.Memo = r.Bytes()
	kind := r.Uint()
	p.Kind, p.Body = Kind(kind), r.Raw()
	if err := r.Done(); err != nil {
		return p, err
	}
	if len(chain) != len(p.Chain) || kind > math.MaxUint16 {
		return p, errors.New("chain id or kind of a wrong size")
	}
	p.Chain = hash.Hash(chain)
	return p, nil
}

func txID(payload []byte) hash.Hash { return hash.Sum("starling/tx", payload) }

// nonNil keeps an absent byte string from being encoded as CBOR null.
func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
