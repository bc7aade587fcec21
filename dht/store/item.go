package store

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/keys"
	"github.com/starlingmesh/starling/dht/crdt"
	"github.com/starlingmesh/starling/dht/ring"
)

// Caps on what holders take.
const (
	MaxName    = 256       // bytes of a record's name
	MaxBody    = 68 << 10  // bytes of a part's body
	MaxParts   = 64        // of a record at a time
	MaxWriters = 64        // besides the owner
	MaxReaders = 64        // of a sealed record
	MaxCovers  = 1024      // replicas that a part may stand in for
	maxItem    = 128 << 10 // bytes of an item
	// MaxLife is the longest that a record may live without renewal.
	MaxLife = 90 * 24 * time.Hour
)

// ErrItem is wrapped by every refusal of an item that no honest peer makes.
var ErrItem = errors.New("malformed item")

// Owner is who a record belongs to: the hash of a typed public key, which is also the address
// of an account of the ledger.
type Owner = hash.Hash

// OwnerOf is the owner with a public key.
func OwnerOf(k keys.PublicKey) Owner { return ownerOf(k.Bytes()) }

func ownerOf(typed []byte) Owner { return hash.Sum("starling/address", typed) }

// Ref names a record.
type Ref struct {
	Owner Owner
	Name  string // up to MaxName bytes
}

// Label stands for the name where others need not know it.
func (r Ref) Label() hash.Hash { return hash.Sum("starling/dht/name", []byte(r.Name)) }

// Key is the record's place on the ring.
func (r Ref) Key() ring.ID { return keyOf(r.Owner, r.Label()) }

func keyOf(o Owner, label hash.Hash) ring.ID {
	return ring.KeyOf(append(o[:], label[:]...))
}

// Header says what a record is. The one with the latest version counts.
type Header struct {
	_       struct{} `cbor:",toarray"`
	Label   hash.Hash
	Kind    crdt.Kind
	Version crdt.Stamp
	// Since voids all parts with an earlier stamp: of a record that was deleted before.
	Since   crdt.Stamp
	Expires uint64     // seconds since 1970
	Deleted bool       // nothing is left but the header, until it expires
	Writers [][]byte   // typed public keys, ascending, of those who may change the value
	Seal    uint32     // which key seals the parts, counted from 1; 0: everybody may read
	Readers []Envelope // the key, for each reader
	Work    uint64     // nonce of the admission work
}

// Part is a change of a value, or all of it.
type Part struct {
	_       struct{} `cbor:",toarray"`
	Key     ring.ID  // of the record
	Replica crdt.Replica
	Seq     uint64 // of the replica's parts of this record, from 1
	// Covers are parts that this one stands in for: of each replica, ascending, all up to a
	// number.
	Covers []UpTo
	Stamp  crdt.Stamp
	Seal   uint32 // as in the header; 0: Body is an encoded crdt.State
	Body   []byte
}

// UpTo is a replica's parts up to a number.
type UpTo struct {
	_       struct{} `cbor:",toarray"`
	Replica crdt.Replica
	Seq     uint64
}

// Item is a signed header or part, as it travels and is kept. It is not changed once it was
// made.
type Item struct {
	Header *Header // one of the two
	Part   *Part
	Signer []byte    // typed public key
	Other  hash.Hash // of what one signature covers besides; zero if nothing
	Sig    []byte

	made bool // here: nobody else can have changed it
	raw  []byte
	body hash.Hash // of the header or part
	id   hash.Hash
	key  ring.ID
}

type wireItem struct {
	_      struct{} `cbor:",toarray"`
	IsPart bool
	Body   canon.Raw
	Other  hash.Hash
	Signer []byte
	Sig    []byte
}

// ID is the hash of all of the item.
func (it *Item) ID() hash.Hash { return it.id }

// Key is the place of the item's record.
func (it *Item) Key() ring.ID { return it.key }

// Raw is the encoded item. It must not be changed.
func (it *Item) Raw() []byte { return it.raw }

// MarshalCBOR returns the item as it is.
func (it *Item) MarshalCBOR() ([]byte, error) { return it.raw, nil }

// UnmarshalCBOR decodes an item; see [DecodeItem].
func (it *Item) UnmarshalCBOR(raw []byte) error {
	got, err := DecodeItem(bytes.Clone(raw))
	if err == nil {
		*it = *got
	}
	return err
}

// DecodeItem reads an item, which keeps raw. It checks all that can be known without a clock,
// the header of a part's record, and the signature; errors wrap [ErrItem].
func DecodeItem(raw []byte) (*Item, error) {
	if len(raw) > maxItem {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrItem, len(raw), maxItem)
	}
	r := canon.Read(raw)
	r.Struct(5)
	isPart, body := r.Bool(), r.Raw()
	other, signer, sig := r.Bytes(), r.Bytes(), r.Bytes()
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrItem, err)
	}
	if len(other) != hash.Size {
		return nil, fmt.Errorf("%w: a hash of %d bytes", ErrItem, len(other))
	}
	it := &Item{Signer: signer, Other: hash.Hash(other), Sig: sig, raw: raw, body: bodyHash(body)}
	var err error
	if isPart {
		it.Part = new(Part)
		err = canon.Unmarshal(body, it.Part)
	} else {
		it.Header = new(Header)
		err = canon.Unmarshal(body, it.Header)
	}
	if err == nil {
		err = it.check()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrItem, err)
	}
	it.settle()
	return it, nil
}

// settle computes what follows from the content.
func (it *Item) settle() {
	it.id = hash.Sum("starling/dht/item", it.raw)
	if it.Part != nil {
		it.key = it.Part.Key
	} else {
		it.key = keyOf(ownerOf(it.Signer), it.Header.Label)
	}
}

func (it *Item) check() error {
	if len(it.Signer) == 0 || len(it.Signer) > keys.MaxPublicKeySize {
		return errors.New("no signer")
	}
	if it.Part != nil {
		return it.Part.check()
	}
	return it.Header.check()
}

func (h *Header) check() error {
	switch {
	case h.Kind < crdt.Register || h.Kind > crdt.Map:
		return errors.New("of no kind")
	case h.Since.Compare(h.Version) > 0:
		return errors.New("begins after its version")
	case len(h.Writers) > MaxWriters || len(h.Readers) > MaxReaders:
		return errors.New("too many writers or readers")
	case h.Writers == nil || h.Readers == nil || (h.Seal == 0) != (len(h.Readers) == 0) && !h.Deleted:
		return errors.New("a sealed record has readers, another has none")
	}
	for i, w := range h.Writers {
		if len(w) == 0 || len(w) > keys.MaxPublicKeySize || i > 0 && bytes.Compare(h.Writers[i-1], w) >= 0 {
			return errors.New("writers out of order")
		}
	}
	for _, r := range h.Readers {
		if len(r.Box) != boxSize {
			return errors.New("no envelope")
		}
	}
	return nil
}

func (p *Part) check() error {
	if p.Seq == 0 || p.Covers == nil || len(p.Covers) > MaxCovers || p.Body == nil || len(p.Body) > MaxBody {
		return errors.New("a part of no size")
	}
	for i, c := range p.Covers {
		if c.Seq == 0 || i > 0 && bytes.Compare(p.Covers[i-1].Replica[:], c.Replica[:]) >= 0 {
			return errors.New("covers out of order")
		}
	}
	return nil
}

// covers reports whether p stands in for another part.
func (p *Part) covers(o *Part) bool {
	for _, c := range p.Covers {
		if c.Replica == o.Replica {
			return c.Seq >= o.Seq
		}
	}
	return false
}

func (it *Item) stamp() crdt.Stamp {
	if it.Part != nil {
		return it.Part.Stamp
	}
	return it.Header.Version
}

// Network is what signatures are bound to besides what they sign.
type Network struct{ name string }

// NewNetwork names a network.
func NewNetwork(name string) Network { return Network{name} }

// message is what is signed: a header, a part, or both at once.
func (n Network) message(head, part hash.Hash) []byte {
	network := hash.Sum("starling/dht/network", []byte(n.name))
	sum := hash.Sum("starling/dht/update", network[:], head[:], part[:])
	return sum[:]
}

func bodyHash(body []byte) hash.Hash { return hash.Sum("starling/dht/body", body) }

// Sign makes items of a header, a part, or both, with one signature.
func (n Network) Sign(key keys.PrivateKey, h *Header, p *Part) ([]*Item, error) {
	var head, part hash.Hash
	var headRaw, partRaw []byte
	if h != nil {
		headRaw = canon.MustMarshal(h)
		head = bodyHash(headRaw)
	}
	if p != nil {
		partRaw = canon.MustMarshal(p)
		part = bodyHash(partRaw)
	}
	sig, err := key.Sign(n.message(head, part))
	if err != nil {
		return nil, fmt.Errorf("sign a record: %w", err)
	}
	signer := key.Public().Bytes()
	var out []*Item
	for _, w := range []wireItem{{Body: headRaw, Other: part}, {IsPart: true, Body: partRaw, Other: head}} {
		if w.Body == nil {
			continue
		}
		w.Signer, w.Sig = signer, sig
		it := &Item{Signer: signer, Other: w.Other, Sig: sig, made: true, raw: canon.MustMarshal(w)}
		if w.IsPart {
			it.Part, it.body = p, part
		} else {
			it.Header, it.body = h, head
		}
		if err := it.check(); err != nil {
			return nil, fmt.Errorf("sign a record: %w: %w", ErrItem, err)
		}
		it.settle()
		out = append(out, it)
	}
	return out, nil
}

// signed is what an item's signature covers.
func (n Network) signed(it *Item) []byte {
	if it.Part != nil {
		return n.message(it.Other, it.body)
	}
	return n.message(it.body, it.Other)
}

// Reencode encodes an item's fields anew, for tests that change them.
func Reencode(it *Item) []byte {
	w := wireItem{IsPart: it.Part != nil, Other: it.Other, Signer: it.Signer, Sig: it.Sig}
	if it.Part != nil {
		w.Body = canon.MustMarshal(it.Part)
	} else {
		w.Body = canon.MustMarshal(it.Header)
	}
	return canon.MustMarshal(w)
}
