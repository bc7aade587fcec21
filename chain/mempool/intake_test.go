package mempool

import (
	"bytes"
	"context"
	"crypto/rand"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/starlingmesh/starling/chain/confidential"
	"github.com/starlingmesh/starling/chain/journal"
	"github.com/starlingmesh/starling/chain/ledger"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/keys"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rich is a state in which the given accounts are rich.
type rich map[types.Address]bool

func (r rich) Get(key []byte) ([]byte, error) {
	if a, ok := ledger.AddressOfKey(key); ok && r[a] {
		return ledger.Account{Balance: 1_000_000}.Encode(), nil
	}
	return nil, nil
}

type payer struct {
	t   *testing.T
	key keys.PrivateKey
}

func newPayer(t *testing.T, state rich) payer {
	key, err := keys.Generate(keys.Secp256k1, rand.Reader)
	require.NoError(t, err)
	state[types.AddressOf(key.Public().Bytes())] = true
	return payer{t, key}
}

func (p payer) pay(seq uint64) []byte {
	tx, err := types.SignTx(types.Header{
		Chain: testGenesis.ChainID(), Key: p.key.Public().Bytes(), Sequence: seq, Fee: 10, Expiry: 100,
	}, &types.Payment{Amount: 1}, p.key)
	require.NoError(p.t, err)
	return tx.Raw()
}

// desk is a running intake.
type desk struct {
	*Intake
	dir       string
	log       *journal.Journal
	published chan [][]byte
}

func newDesk(t *testing.T, dir string, state rich) *desk {
	log, err := journal.Open(dir, journal.Options{})
	require.NoError(t, err)
	d := &desk{dir: dir, log: log, published: make(chan [][]byte, 64)}
	d.Intake, err = NewIntake(IntakeConfig{
		Ledger: ledger.New(testGenesis), State: state, Proofs: proofs(t), Journal: log, Logger: slog.New(slog.DiscardHandler),
		Publish: func(raws [][]byte) { d.published <- raws },
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
		require.NoError(t, d.Close())
	})
	return d
}

func proofs(tb testing.TB) *confidential.Verifier {
	v, err := confidential.NewVerifier()
	require.NoError(tb, err)
	return v
}

func flipped(raw []byte) []byte {
	bad := bytes.Clone(raw)
	bad[len(bad)-5] ^= 1 // in the signature
	return bad
}

func TestAcceptedTransactionSurvivesACrash(t *testing.T) {
	state := rich{}
	p := newPayer(t, state)
	d := newDesk(t, t.TempDir(), state)
	raws := [][]byte{p.pay(0), p.pay(1)}
	for _, r := range d.Submit(t.Context(), raws) {
		require.NoError(t, r.Err)
	}
	require.Equal(t, raws, <-d.published)

	copied := filepath.Join(t.TempDir(), "crash") // what a killed process leaves behind
	require.NoError(t, os.CopyFS(copied, os.DirFS(d.dir)))
	after := newDesk(t, copied, state)
	waiting, err := after.Resume(0)
	require.NoError(t, err)
	require.Equal(t, raws, waiting)
	require.Equal(t, 2, after.Stats().Txs)
}

func TestOneBadSignatureInABatchIsRefusedAlone(t *testing.T) {
	state := rich{}
	d := newDesk(t, t.TempDir(), state)
	a, b := newPayer(t, state), newPayer(t, state)
	results := d.Submit(t.Context(), [][]byte{a.pay(0), flipped(b.pay(0)), []byte("rubbish"), a.pay(1)})
	require.NoError(t, results[0].Err)
	require.ErrorIs(t, results[1].Err, ErrSignature)
	require.ErrorIs(t, results[2].Err, types.ErrTx)
	require.NoError(t, results[3].Err)
	again := d.Submit(t.Context(), [][]byte{a.pay(0)})
	require.NoError(t, again[0].Err, "the same one again is the same answer")
	require.Equal(t, results[0].ID, again[0].ID)
}

func TestNothingIsPromisedThatCannotBeWrittenDown(t *testing.T) {
	state := rich{}
	p := newPayer(t, state)
	d := newDesk(t, t.TempDir(), state)
	require.NoError(t, d.log.Close())
	results := d.Submit(t.Context(), [][]byte{p.pay(0)})
	require.ErrorIs(t, results[0].Err, journal.ErrClosed)
	require.Empty(t, d.published)
	require.Zero(t, d.Stats().Txs, "what was refused must not end up in a block")
}

func TestForgersOfAccountsCostNoVerification(t *testing.T) {
	d := newDesk(t, t.TempDir(), rich{})
	stranger := newPayer(t, rich{}) // signs well, has no account
	results := d.Submit(t.Context(), [][]byte{stranger.pay(0), flipped(stranger.pay(1))})
	for _, r := range results {
		require.ErrorIs(t, r.Err, ledger.ErrNoAccount, "the signature was not looked at")
	}
	require.Zero(t, d.verified.Len())
}

func TestSubmitterOfAStoppedNodeIsAnswered(t *testing.T) {
	log, err := journal.Open(t.TempDir(), journal.Options{})
	require.NoError(t, err)
	in, err := NewIntake(IntakeConfig{Ledger: ledger.New(testGenesis), State: rich{}, Proofs: proofs(t), Journal: log, Publish: func([][]byte) {}, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, in.Run(ended))
	require.ErrorIs(t, in.Submit(context.Background(), [][]byte{{1}})[0].Err, ErrClosed)
	require.NoError(t, in.Close())
}

func TestGossipTellsFreshFromStaleFromBad(t *testing.T) {
	state := rich{}
	d := newDesk(t, t.TempDir(), state)
	p, stranger := newPayer(t, state), newPayer(t, rich{})
	for _, c := range []struct {
		name       string
		raws       [][]byte
		fresh, bad bool
	}{
		{"new", [][]byte{p.pay(0)}, true, false},
		{"the same again", [][]byte{p.pay(0)}, false, false},
		{"of no account", [][]byte{stranger.pay(0)}, false, false},
		{"new and forged", [][]byte{p.pay(1), flipped(p.pay(2))}, true, true},
		{"rubbish", [][]byte{{1, 2, 3}}, false, true},
	} {
		fresh, bad := d.Gossiped(t.Context(), c.raws)
		require.Equal(t, c.fresh, fresh, c.name)
		require.Equal(t, c.bad, bad, c.name)
	}
}

func TestBlockIsVerifiedAsAWholeAndOnlyOnce(t *testing.T) {
	state := rich{}
	d := newDesk(t, t.TempDir(), state)
	p := newPayer(t, state)
	known, unknown := p.pay(0), p.pay(1)
	d.Submit(t.Context(), [][]byte{known})
	txs, err := d.VerifyBlock(t.Context(), [][]byte{known, unknown})
	require.NoError(t, err)
	cached, ok := d.verified.Get(rawKey(known))
	require.True(t, ok)
	require.Same(t, cached, txs[0])
	_, err = d.VerifyBlock(t.Context(), [][]byte{unknown, flipped(known)})
	require.ErrorIs(t, err, ErrSignature, "another signature under known bytes is another transaction to verify")
	decoded, err := d.DecodeBlock([][]byte{known})
	require.NoError(t, err)
	require.Same(t, cached, decoded[0])
}

func TestForgottenTransactionsAreGossipedAgain(t *testing.T) {
	state := rich{}
	d := newDesk(t, t.TempDir(), state)
	p := newPayer(t, state)
	d.Submit(t.Context(), [][]byte{p.pay(0)})
	d.mu.Lock()
	defer d.mu.Unlock()
	later := time.Now().Add(regossipEvery)
	require.Empty(t, d.forgotten(time.Now()))
	require.Len(t, d.forgotten(later), 1)
	require.Empty(t, d.forgotten(later), "not at once again")
}

func TestDeferredTransactionsAreGossipedOnceTheirTimeIsOver(t *testing.T) {
	state := rich{}
	d := newDesk(t, t.TempDir(), state)
	p := newPayer(t, state)
	small := p.pay(0)
	d.cfg.Defer = func(size int) time.Duration {
		if size > len(small) {
			return time.Minute
		}
		return 0
	}
	tx, err := types.SignTx(types.Header{
		Chain: testGenesis.ChainID(), Key: p.key.Public().Bytes(), Sequence: 1, Fee: 10, Expiry: 100, Memo: make([]byte, 200),
	}, &types.Payment{Amount: 1}, p.key)
	require.NoError(t, err)
	for _, r := range d.Submit(t.Context(), [][]byte{small, tx.Raw()}) {
		require.NoError(t, r.Err)
	}
	require.Equal(t, [][]byte{small}, <-d.published)
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	require.Equal(t, [][]byte{small}, d.forgotten(now.Add(regossipEvery)))
	require.Contains(t, d.forgotten(now.Add(time.Minute)), tx.Raw())
}

func FuzzGossiped(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0x82, 0x41, 0x00, 0x41, 0x00})
	log, err := journal.Open(f.TempDir(), journal.Options{})
	require.NoError(f, err)
	defer log.Close()
	in, err := NewIntake(IntakeConfig{Ledger: ledger.New(testGenesis), State: rich{}, Proofs: proofs(f), Journal: log, Publish: func([][]byte) {}, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, raw []byte) {
		fresh, _ := in.Gossiped(t.Context(), [][]byte{raw})
		require.False(t, fresh, "nobody has an account here")
	})
}

func BenchmarkIntakeVerification(b *testing.B) {
	const batch = 256
	key, err := keys.Generate(keys.Secp256k1, rand.Reader)
	require.NoError(b, err)
	raws := make([][]byte, batch)
	for i := range raws {
		tx, err := types.SignTx(types.Header{Chain: testGenesis.ChainID(), Key: key.Public().Bytes(), Sequence: uint64(i), Fee: 10, Expiry: 9}, &types.Payment{Amount: 1}, key)
		require.NoError(b, err)
		raws[i] = tx.Raw()
	}
	log, err := journal.Open(b.TempDir(), journal.Options{})
	require.NoError(b, err)
	defer log.Close()
	in, err := NewIntake(IntakeConfig{Ledger: ledger.New(testGenesis), State: rich{}, Proofs: proofs(b), Journal: log, Publish: func([][]byte) {}, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(b, err)
	for b.Loop() {
		in.verified.Purge()
		in.verify(raws, make([]Result, batch), whatever)
	}
	b.ReportMetric(float64(batch*b.N)/b.Elapsed().Seconds(), "tx/s")
}
