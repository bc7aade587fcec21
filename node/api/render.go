package api

import (
	"encoding/hex"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/keys"
)

// renderer writes records as the network's people read them.
type renderer struct {
	genesis *types.Genesis
	set     *types.ValidatorSet
}

func dropsText(d types.Drops) string { return strconv.FormatUint(uint64(d), 10) }

func (r renderer) status(s Status) Status {
	g := r.genesis
	s.Network, s.ChainID, s.AddressPrefix, s.Engine = g.Network, g.ChainID(), g.AddressPrefix, g.Engine+" "+g.Rule
	s.Created = time.UnixMilli(g.Created).UTC()
	s.MinFee, s.MinFeeDrops = g.Params.MinFee.String(), dropsText(g.Params.MinFee)
	s.Reserve, s.ReserveDrops = g.Params.Reserve.String(), dropsText(g.Params.Reserve)
	s.MaxExpiry = uint64(g.Params.MaxExpiry)
	return s
}

// validators are those who decided a block; none if they are not known any more.
func (r renderer) validators(rec BlockRecord) *types.ValidatorSet {
	switch {
	case rec.Validators != nil:
		return rec.Validators
	case r.genesis.Params.EpochBlocks == 0:
		return r.set
	default:
		return &types.ValidatorSet{}
	}
}

func (r renderer) proposer(rec BlockRecord) string {
	set := r.validators(rec)
	if rec.Block.Height == 0 || r.genesis.Engine == types.EngineRPCA || int(rec.Block.Proposer) >= set.Len() {
		return ""
	}
	return set.At(rec.Block.Proposer).Name
}

// nameIn names a member of a set.
func nameIn(set *types.ValidatorSet, i types.ValidatorIndex) string {
	if int(i) >= set.Len() {
		return ""
	}
	return set.At(i).Name
}

// summary is a block without its transactions.
func (r renderer) summary(rec BlockRecord) Block {
	b := rec.Block
	v := Block{
		Height: uint64(b.Height), Hash: b.Hash(), Parent: b.Parent(), View: uint64(b.View),
		Proposer: r.proposer(rec), Time: time.UnixMilli(b.Time).UTC(),
		SizeBytes: len(b.Raw()), TxCount: len(rec.Txs), Passage: phases(rec.Passage),
	}
	v.Epoch = uint64(b.Epoch)
	for _, batch := range rec.Batches {
		v.Batches = append(v.Batches, Batch{
			Lane: nameIn(r.validators(rec), batch.Lane), Height: uint64(batch.Height), Hash: batch.Hash(), TxCount: len(batch.Txs), Ticks: batch.Ticks, History: batch.History,
			FromTicks: batch.From.Ticks, FromHistory: batch.From.Value, TxRoot: batch.TxRoot,
		})
	}
	for i := range b.Evidence {
		e := &b.Evidence[i]
		v.Offences = append(v.Offences, Offence{Validator: nameIn(r.validators(rec), e.Culprit), Offence: e.Offence.String(), Epoch: uint64(e.Epoch)})
	}
	if !rec.StateRoot.IsZero() {
		v.StateRoot = &rec.StateRoot
	}
	if rec.Certificate.View > 0 {
		v.Certificate = certificate(r.validators(rec), rec.Certificate)
	}
	return v
}

func (r renderer) block(rec BlockRecord) Block {
	v := r.summary(rec)
	for i, raw := range rec.Txs {
		tx, err := types.DecodeTx(raw)
		t := TxRecord{Status: TxDecided, Tx: tx, Height: rec.Block.Height, Block: v.Hash, Index: i}
		if err == nil {
			t.ID = tx.ID()
		}
		if i < len(rec.Results) {
			t.Result = rec.Results[i]
			t.ID = t.Result.ID
		}
		v.Txs = append(v.Txs, r.tx(t))
	}
	return v
}

func certificate(set *types.ValidatorSet, qc types.QC) *Certificate {
	c := &Certificate{
		View: uint64(qc.View), Signers: []string{}, Bitmap: hex.EncodeToString(qc.Signers),
		Power: set.PowerOf(qc.Signers), Signature: hex.EncodeToString(qc.Signature),
	}
	if set.Len() > 0 {
		c.Quorum = set.Quorum()
	}
	for i, v := range set.All() {
		if qc.Signers.Has(int(i)) {
			c.Signers = append(c.Signers, v.Name)
		}
	}
	return c
}

func phases(p Passage) (out []Phase) {
	var first time.Time
	for _, ph := range []struct {
		name string
		at   time.Time
	}{{"prepare", p.Prepare}, {"precommit", p.Precommit}, {"commit", p.Commit}, {"decide", p.Decide}} {
		if ph.at.IsZero() {
			continue
		}
		if first.IsZero() {
			first = ph.at
		}
		offset := float64(ph.at.Sub(first).Microseconds()) / 1000
		out = append(out, Phase{ph.name, ph.at.UTC().Truncate(time.Millisecond), offset})
	}
	return out
}

// DescribeTx shows a transaction that is not handed in yet. The prefix is that of the network's
// addresses.
func DescribeTx(tx *types.Tx, prefix string) Tx {
	return renderer{genesis: &types.Genesis{AddressPrefix: prefix}}.tx(TxRecord{ID: tx.ID(), Tx: tx})
}

func (r renderer) tx(rec TxRecord) Tx {
	v := Tx{ID: rec.ID, Status: rec.Status}
	if rec.Status == TxDecided {
		v.Height, v.Block, v.Index = uint64(rec.Height), &rec.Block, &rec.Index
		if rec.Result.Code != "" {
			v.Success, v.Code = &rec.Result.Success, rec.Result.Code
		}
	}
	if tx := rec.Tx; tx != nil {
		v.Kind = tx.Body.Kind().String()
		if _, anonymous := tx.Body.(types.Anonymous); !anonymous {
			v.Sender = tx.Sender().Format(r.genesis.AddressPrefix)
		}
		v.Sequence, v.Expiry = tx.Sequence, uint64(tx.Expiry)
		v.Fee, v.FeeDrops = tx.Fee.String(), dropsText(tx.Fee)
		v.Memo, v.MemoHex = memo(tx.Memo)
		v.SignedBy = signedBy(tx)
		r.body(&v, tx.Body)
	}
	return v
}

// body shows what only one kind of transaction has.
func (r renderer) body(v *Tx, body types.Body) {
	if c, ok := body.(types.Confidential); ok {
		v.Outputs = len(c.Creates())
	}
	if a, ok := body.(types.Anonymous); ok {
		v.Inputs = len(a.Spends())
	}
	switch b := body.(type) {
	case *types.Payment:
		v.To = b.To.Format(r.genesis.AddressPrefix)
		v.Amount, v.AmountDrops = b.Amount.String(), dropsText(b.Amount)
	case *types.Bond:
		v.Amount, v.AmountDrops = b.Amount.String(), dropsText(b.Amount)
		if b.Keys != nil {
			v.Validator = validatorKeys(b.Keys)
		}
	case *types.Unbond:
		if v.All = b.Amount == 0; !v.All {
			v.Amount, v.AmountDrops = b.Amount.String(), dropsText(b.Amount)
		}
	case *types.Rotate:
		v.Validator = validatorKeys(&b.Keys)
	case *types.Shield:
		v.Amount, v.AmountDrops = b.Amount.String(), dropsText(b.Amount)
	case *types.Unshield:
		v.To = b.To.Format(r.genesis.AddressPrefix)
		v.Amount, v.AmountDrops = b.Amount.String(), dropsText(b.Amount)
	case *types.SetSigners:
		v.Signers = signers(b.Key)
	case *types.Data:
		v.Content, v.ContentBytes = hex.EncodeToString(b.Content), len(b.Content)
	}
}

// memo shows text as text, and as hexadecimal what could forge a terminal.
func memo(b []byte) (text, inHex string) {
	if !utf8.Valid(b) {
		return "", hex.EncodeToString(b)
	}
	for _, c := range string(b) {
		if !strconv.IsPrint(c) {
			return "", hex.EncodeToString(b)
		}
	}
	return string(b), ""
}

// signers describes a typed public key; nil for none.
func signers(key []byte) *Signers {
	threshold, members, err := keys.Split(key)
	if err != nil {
		return nil
	}
	s := &Signers{Key: hex.EncodeToString(key), Threshold: threshold}
	for _, m := range members {
		s.Members = append(s.Members, hex.EncodeToString(m))
	}
	return s
}

// signedBy describes whose signatures a transaction has, unless it is the sender's own key alone.
func signedBy(tx *types.Tx) *Signers {
	if multi := len(tx.Key) > 0 && keys.Kind(tx.Key[0]) == keys.Multi; !multi && tx.SignedBy() == tx.Sender() {
		return nil
	}
	return signers(tx.Key)
}

func (r renderer) account(a types.Address, rec AccountRecord) Account {
	return Account{
		Signers: signers(rec.Signers.Bytes()),
		Address: a.Format(r.genesis.AddressPrefix), Exists: rec.Exists,
		Balance: rec.Balance.String(), BalanceDrops: dropsText(rec.Balance),
		Sequence: rec.Sequence, NextSequence: max(rec.Sequence, rec.NextSequence), Height: uint64(rec.Height),
	}
}

func (r renderer) proof(a types.Address, rec ProofRecord) Proof {
	return Proof{Account: r.account(a, rec.AccountRecord), Root: rec.Root, Proof: hex.EncodeToString(rec.Bundle)}
}

func (r renderer) submitted(res SubmitResult) (SubmitItem, bool) {
	item := SubmitItem{Accepted: res.Err == nil}
	if res.ID != (hash.Hash{}) {
		item.ID = &res.ID
	}
	var defect bool
	if res.Err != nil {
		item.Error, defect = problemOf(res.Err)
	}
	return item, defect
}
