package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"math/bits"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/keys"
)

// invariant is a law that every transaction keeps, whatever it does. It is shown
// each entry that the transaction touched (nil means absent), then asked for its
// verdict. One value serves one transaction. The shape is that of rippled's
// InvariantCheck; the cost is proportional to the entries touched.
type invariant interface {
	visit(key, before, after []byte)
	finish(tx *types.Tx, did outcome) error
}

// allInvariants is the registry. A law that holds only for some kinds of
// transaction looks at the body's kind in finish.
var allInvariants = []func(*Ledger) invariant{
	func(*Ledger) invariant { return &wellFormed{} },
	func(*Ledger) invariant { return &coinsConserved{} },
	func(l *Ledger) invariant { return &feeInBounds{params: l.params} },
	func(l *Ledger) invariant { return &balancesCapped{most: l.supply} },
	func(*Ledger) invariant { return &sequenceSteps{} },
	func(l *Ledger) invariant { return &accountsFunded{reserve: l.params.Reserve} },
	func(*Ledger) invariant { return &onlySenderPays{} },
	func(*Ledger) invariant { return &stakesAreTheSenders{} },
	func(*Ledger) invariant { return &imagesShownOnce{} },
	func(*Ledger) invariant { return &signersAreTheSenders{} },
}

// verify asks every invariant about what the view would commit.
func (l *Ledger) verify(v *view, tx *types.Tx, code Code) error {
	did := outcome{code: code, fee: v.fee, burned: v.burned, pool: [2]types.Drops{v.poolIn, v.poolOut}}
	var broken []error
	for _, newLaw := range l.invariants {
		law := newLaw(l)
		for i := range v.cells {
			if c := &v.cells[i]; c.loaded {
				law.visit(c.key, c.before, c.after)
			}
		}
		if err := law.finish(tx, did); err != nil {
			broken = append(broken, fmt.Errorf("%w: %w", ErrInvariant, err))
		}
	}
	return errors.Join(broken...)
}

// accountsIn decodes an account entry; other entries and undecodable ones, which
// are wellFormed's business, give false.
func accountsIn(key, before, after []byte) (a types.Address, was, is Account, ok bool) {
	a, ok = AddressOfKey(key)
	if !ok {
		return a, was, is, false
	}
	var errWas, errIs error
	if before != nil {
		was, errWas = DecodeAccount(before)
	}
	if after != nil {
		is, errIs = DecodeAccount(after)
	}
	return a, was, is, errWas == nil && errIs == nil
}

// wellFormed: every touched key is of a known type and its value decodes as that.
type wellFormed struct{ err error }

func (w *wellFormed) visit(key, _, after []byte) {
	if after == nil {
		return
	}
	if err := checkEntry(key, after); err != nil {
		w.err = fmt.Errorf("key %q: %w", key, err)
	}
}

func (w *wellFormed) finish(*types.Tx, outcome) error { return w.err }

// checkEntry checks that a value is what its key says.
func checkEntry(key, value []byte) error {
	var err error
	switch kind, _, _ := bytes.Cut(key, []byte("/")); string(kind) {
	case "a":
		_, err = DecodeAccount(value)
	case "v":
		_, err = DecodeStake(value)
	case "k":
		if len(value) != len(types.Address{}) {
			err = ErrEncoding
		}
	case "i":
		if _, ok := decodeDrops(value); !ok {
			err = ErrEncoding
		}
	case "o":
		_, err = DecodeOutput(value)
	case "w":
		_, err = keys.ParsePublicKey(value)
	default:
		if !bytes.Equal(key, types.StakersKey()) {
			return fmt.Errorf("%w: of no type that transactions may touch", ErrEncoding)
		}
		_, err = decodeStakers(value)
	}
	return err
}

// coinsIn are the coins of an entry, none if it holds no coins or is absent.
func coinsIn(key, value []byte) (types.Drops, error) {
	switch kind, _, _ := bytes.Cut(key, []byte("/")); {
	case value == nil:
		return 0, nil
	case string(kind) == "a":
		account, err := DecodeAccount(value)
		return account.Balance, err
	case string(kind) == "v":
		stake, err := DecodeStake(value)
		if err != nil {
			return 0, err
		}
		return stake.Coins(), nil
	}
	return 0, nil
}

// coinsConserved: what accounts, stakes and the pool lost together is what was burned. Sums have 128
// bits, so nothing wraps around unseen.
type coinsConserved struct{ before, after sum128 }

type sum128 struct{ hi, lo uint64 }

func (s *sum128) add(d types.Drops) {
	var carry uint64
	s.lo, carry = bits.Add64(s.lo, uint64(d), 0)
	s.hi += carry
}

func (c *coinsConserved) visit(key, before, after []byte) {
	was, errWas := coinsIn(key, before)
	is, errIs := coinsIn(key, after)
	if errWas == nil && errIs == nil { // else wellFormed speaks up
		c.before.add(was)
		c.after.add(is)
	}
}

func (c *coinsConserved) finish(_ *types.Tx, did outcome) error {
	explained, had := c.after, c.before
	explained.add(did.burned)
	explained.add(did.pool[0])
	had.add(did.pool[1])
	if explained != had {
		return fmt.Errorf("coins: accounts and stakes held %d:%d, now hold %d:%d, %s was burned, %s was shielded and %s left the pool",
			c.before.hi, c.before.lo, c.after.hi, c.after.lo, did.burned, did.pool[0], did.pool[1])
	}
	return nil
}

// feeInBounds: the fee is at least the network's and at most what was declared,
// and it is all that is burned.
type feeInBounds struct{ params types.Params }

func (*feeInBounds) visit(_, _, _ []byte) {}

func (f *feeInBounds) finish(tx *types.Tx, did outcome) error {
	least := f.params.LeastFee(tx.Body, tx.Key)
	if did.fee < least || did.fee > tx.Fee || did.burned != did.fee {
		return fmt.Errorf("fee: charged %s and burned %s, declared %s, least %s", did.fee, did.burned, tx.Fee, least)
	}
	return nil
}

// balancesCapped: nobody holds more than there is.
type balancesCapped struct {
	most types.Drops
	err  error
}

func (b *balancesCapped) visit(key, before, after []byte) {
	if a, _, is, ok := accountsIn(key, before, after); ok && is.Balance > b.most {
		b.err = fmt.Errorf("account %s holds %s of a supply of %s", a, is.Balance, b.most)
	}
}

func (b *balancesCapped) finish(*types.Tx, outcome) error { return b.err }

// sequenceSteps: the sender's sequence was the transaction's and is the next one;
// nobody else's moves.
type sequenceSteps struct{ moved []step }

type step struct {
	key     []byte
	was, is uint64
}

func (s *sequenceSteps) visit(key, before, after []byte) {
	if _, was, is, ok := accountsIn(key, before, after); ok && was.Sequence != is.Sequence {
		s.moved = append(s.moved, step{key, was.Sequence, is.Sequence})
	}
}

func (s *sequenceSteps) finish(tx *types.Tx, _ outcome) error {
	if _, anonymous := tx.Body.(types.Anonymous); anonymous {
		if len(s.moved) > 0 {
			return fmt.Errorf("sequence: %d accounts moved theirs in a transaction without a sender", len(s.moved))
		}
		return nil
	}
	if len(s.moved) != 1 {
		return fmt.Errorf("sequence: %d accounts moved theirs, want the sender's alone", len(s.moved))
	}
	m := s.moved[0]
	if !bytes.Equal(m.key, types.AccountKey(tx.Sender())) || m.was != tx.Sequence || m.is != m.was+1 {
		return fmt.Errorf("sequence: %q went from %d to %d in a transaction with sequence %d", m.key, m.was, m.is, tx.Sequence)
	}
	return nil
}

// accountsFunded: accounts appear only by a payment or an unshield of at least the reserve, and
// never vanish.
type accountsFunded struct {
	reserve types.Drops
	created int
	err     error
}

func (f *accountsFunded) visit(key, before, after []byte) {
	a, _, is, ok := accountsIn(key, before, after)
	switch {
	case !ok:
	case before != nil && after == nil:
		f.err = fmt.Errorf("account %s vanished", a)
	case before == nil && after != nil:
		f.created++
		if is.Balance < f.reserve {
			f.err = fmt.Errorf("account %s was created with %s, less than the reserve of %s", a, is.Balance, f.reserve)
		}
	}
}

func (f *accountsFunded) finish(tx *types.Tx, did outcome) error {
	pays := tx.Body.Kind() == types.KindPayment || tx.Body.Kind() == types.KindUnshield
	if f.created > 1 || f.created == 1 && (!pays || did.code != Applied) {
		return fmt.Errorf("%d accounts were created by a %s (%s)", f.created, tx.Body.Kind(), did.code)
	}
	return f.err
}

// onlySenderPays: nobody but the sender loses coins.
type onlySenderPays struct{ losers [][]byte }

func (o *onlySenderPays) visit(key, before, after []byte) {
	if _, was, is, ok := accountsIn(key, before, after); ok && is.Balance < was.Balance {
		o.losers = append(o.losers, key)
	}
}

func (o *onlySenderPays) finish(tx *types.Tx, _ outcome) error {
	for _, key := range o.losers {
		if !bytes.Equal(key, types.AccountKey(tx.Sender())) {
			return fmt.Errorf("%q lost coins in a transaction that it did not sign", key)
		}
	}
	return nil
}

// stakesAreTheSenders: a transaction touches no stake but its sender's, and takes no
// coins out of that: they leave it only when an epoch ends.
type stakesAreTheSenders struct {
	touched       [][]byte
	before, after types.Drops
}

func (s *stakesAreTheSenders) visit(key, before, after []byte) {
	if !bytes.HasPrefix(key, []byte("v/")) || same(before, after) {
		return
	}
	s.touched = append(s.touched, key)
	s.before, _ = coinsIn(key, before)
	s.after, _ = coinsIn(key, after)
}

func (s *stakesAreTheSenders) finish(tx *types.Tx, _ outcome) error {
	for _, key := range s.touched {
		if !bytes.Equal(key, types.StakeKey(tx.Sender())) {
			return fmt.Errorf("%q was changed by a transaction of %s", key, tx.Sender())
		}
	}
	if s.after < s.before {
		return fmt.Errorf("the stake of %s went from %s to %s in a transaction", tx.Sender(), s.before, s.after)
	}
	return nil
}

// imagesShownOnce: a transaction shows the key images of what it spends, each for the first time,
// and no others; nothing takes one back.
type imagesShownOnce struct {
	shown int
	err   error
}

func (s *imagesShownOnce) visit(key, before, after []byte) {
	if !bytes.HasPrefix(key, []byte("i/")) || same(before, after) {
		return
	}
	s.shown++
	if before != nil {
		s.err = fmt.Errorf("key image %x was shown before", key[2:])
	}
}

func (s *imagesShownOnce) finish(tx *types.Tx, did outcome) error {
	want := 0
	if a, anonymous := tx.Body.(types.Anonymous); anonymous && did.code == Applied {
		want = len(a.Spends())
	}
	if s.shown != want {
		return fmt.Errorf("%d key images were shown, want %d", s.shown, want)
	}
	return s.err
}
