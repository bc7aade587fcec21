package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/starlingmesh/starling/chain/ledger"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/dht/store/storetest"
	"github.com/starlingmesh/starling/node/config"
	"github.com/starlingmesh/starling/node/events"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a node with blocks 0 to 30, one funded account and a mempool that
// decides nothing by itself.
type fake struct {
	genesis *types.Genesis
	hub     *events.Hub
	blocks  []*types.Block

	guard   sync.Mutex
	health  Health
	txs     map[hash.Hash]TxRecord
	changed chan struct{}
	refuse  error
	crash   bool
	data    *storetest.Alone
}

func (f *fake) Data() Data { return f.data }

type fakeSigner struct{}

func (fakeSigner) Sign(m []byte) ([]byte, error) { return append([]byte("signed:"), m...), nil }

var (
	funded  = types.AddressOf([]byte("funded"))
	nowhere = types.AddressOf([]byte("nowhere"))
)

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{
		genesis: &types.Genesis{
			Network: "testnet", AddressPrefix: "tst", Created: 1_700_000_000_000, Engine: "hotstuff", Rule: "three-phase",
			Params: types.DefaultParams(),
			Validators: []types.Validator{
				{Name: "ada", Power: 1, Key: []byte{1}, Identity: "p1", Operator: funded.Format("tst"), Bond: 1_500_000_000},
				{Name: "bob", Power: 1, Key: []byte{2}, Identity: "p2"},
				{Name: "cy", Power: 1, Key: []byte{3}, Identity: "p3"},
				{Name: "di", Power: 1, Key: []byte{4}, Identity: "p4"},
			},
		},
		hub: events.NewHub(64), health: Health{Live: true, Ready: true},
		txs: map[hash.Hash]TxRecord{}, changed: make(chan struct{}), data: storetest.New("testnet"),
	}
	f.genesis.Params.EpochBlocks = 10
	f.blocks = []*types.Block{f.genesis.Block()}
	for h := types.Height(1); h <= 30; h++ {
		parent := f.blocks[h-1]
		header := types.BlockHeader{
			Chain: f.genesis.ChainID(), Height: h, View: types.View(h), Proposer: types.ValidatorIndex(h % 4),
			Time: f.genesis.Created + int64(h)*1000, Justify: types.QC{View: parent.View, Block: parent.Hash(), Signers: []byte{}, Signature: []byte{}},
		}
		b, err := types.NewBlock(header, [][]byte{payment(t, f, uint64(h)).Raw()}, func(hash.Hash) ([]byte, error) { return []byte{9}, nil })
		require.NoError(t, err)
		f.blocks = append(f.blocks, b)
	}
	return f
}

func payment(t testing.TB, f *fake, sequence uint64) *types.Tx {
	t.Helper()
	tx, err := types.SignTx(types.Header{
		Chain: f.genesis.ChainID(), Key: []byte("funded"), Sequence: sequence, Fee: 10, Expiry: 1000, Memo: []byte("thanks"),
	}, &types.Payment{To: nowhere, Amount: 12_500_000}, fakeSigner{})
	require.NoError(t, err)
	return tx
}

func (f *fake) Status() Status {
	return Status{Height: 30, Head: f.blocks[30].Hash(), PeerID: "p1", Peers: 2}
}

func (f *fake) Health() Health {
	f.guard.Lock()
	defer f.guard.Unlock()
	if f.crash {
		panic("a defect")
	}
	return f.health
}

func (f *fake) Peers() []Peer    { return []Peer{{ID: "p2", Validator: "bob"}} }
func (f *fake) Turbine() Turbine { return Turbine{Silent: []string{"carol"}} }
func (f *fake) TurbineSlot(slot uint64) []TurbineReceipt {
	if slot != 7 {
		return nil
	}
	return []TurbineReceipt{{Channel: "proposal", Slot: 7, Sender: "alice", Tree: 64, Sets: []TurbineSet{{Tree: 64}}}}
}
func (f *fake) Validators() []Validator { return []Validator{NewValidator(f.set(), 0)} }
func (f *fake) Genesis() *types.Genesis { return f.genesis }
func (f *fake) Events() *events.Hub     { return f.hub }

func (f *fake) Block(_ context.Context, ref BlockRef) (BlockRecord, error) {
	for _, b := range f.blocks {
		if ref.Latest && b.Height == 30 || b.Hash() == ref.Hash || !ref.Latest && ref.Hash.IsZero() && b.Height == ref.Height {
			return f.record(b), nil
		}
	}
	return BlockRecord{}, ErrNotFound
}

func (f *fake) record(b *types.Block) BlockRecord {
	rec := BlockRecord{Block: b, Txs: b.Txs, Validators: f.set()}
	if b.Height == 0 {
		return rec
	}
	tx, _ := types.DecodeTx(b.Txs[0])
	signers := bls.NewBitmap(4)
	signers.Set(0)
	signers.Set(2)
	signers.Set(3)
	start := time.UnixMilli(b.Time)
	rec.Certificate = types.QC{View: b.View, Block: b.Hash(), Signers: signers, Signature: []byte{7}}
	rec.Results = []Result{{ID: tx.ID(), Success: true, Code: "applied", Fee: 10}}
	rec.StateRoot = hash.Sum("state", []byte{byte(b.Height)})
	rec.Passage = Passage{start, start.Add(40 * time.Millisecond), start.Add(81 * time.Millisecond), start.Add(120500 * time.Microsecond)}
	return rec
}

func (f *fake) Blocks(_ context.Context, before types.Height, limit int) (out []BlockRecord, _ error) {
	if before == 0 {
		before = 31
	}
	for h := int(before) - 1; h >= 0 && len(out) < limit; h-- {
		out = append(out, f.record(f.blocks[h]))
	}
	return out, nil
}

func (f *fake) Account(_ context.Context, a types.Address) (AccountRecord, error) {
	if a != funded {
		return AccountRecord{Height: 30}, nil
	}
	return AccountRecord{Exists: true, Balance: 1_250_000, Sequence: 4, NextSequence: 6, Height: 30}, nil
}

func (f *fake) Outputs(_ context.Context, from uint64, limit int) (OutputsRecord, error) {
	rec := OutputsRecord{Height: 3, Pool: ledger.Pool{Shielded: 500, Outputs: 4}}
	for n := from; n < 4 && len(rec.Outputs) < limit; n++ {
		rec.Outputs = append(rec.Outputs, []byte{byte(n)})
	}
	return rec, nil
}

func (f *fake) OutputsAt(_ context.Context, numbers []uint64) (OutputsRecord, error) {
	rec := OutputsRecord{Height: 3, Pool: ledger.Pool{Shielded: 500, Outputs: 4}}
	for _, n := range numbers {
		if n >= 4 {
			return rec, ErrNotFound
		}
		rec.Outputs = append(rec.Outputs, []byte{byte(n)})
	}
	return rec, nil
}

func (f *fake) EpochEnd(context.Context, types.Epoch) ([]byte, error) { return []byte{1, 2}, nil }

func (f *fake) set() *types.ValidatorSet {
	set, err := f.genesis.Set()
	if err != nil {
		panic(err)
	}
	return set
}

func (f *fake) Stake(_ context.Context, a types.Address) (StakeRecord, error) {
	if a != funded {
		return StakeRecord{}, fmt.Errorf("%w: never bonded", ErrNotFound)
	}
	return StakeRecord{Operator: a, Stake: &ledger.Stake{
		Keys: types.ValidatorKeys{Name: "ada", Key: []byte{1}, Identity: "p1"}, Bond: 1_500_000_000,
		Unbonding: []ledger.Unbonding{{Amount: 2_500_000, Since: 2, Release: 6}}, Jailed: true, JailedUntil: 5,
		Punished: []ledger.Punished{{Epoch: 1, Offences: 1<<types.DoubleVote | 1<<types.BadCertificate, Slashed: 90_000_000}},
	}}, nil
}

func (f *fake) Stakes(ctx context.Context) ([]StakeRecord, error) {
	rec, err := f.Stake(ctx, funded)
	return []StakeRecord{rec}, err
}

func (f *fake) Epoch(context.Context) (EpochRecord, error) {
	return EpochRecord{Epoch: 3, Height: 33, Sets: [3]*types.ValidatorSet{f.set(), f.set(), nil}}, nil
}

func (f *fake) Proof(ctx context.Context, a types.Address) (ProofRecord, error) {
	if a != funded {
		return ProofRecord{}, ErrNotReady
	}
	account, err := f.Account(ctx, a)
	return ProofRecord{AccountRecord: account, Root: hash.Sum("root"), Bundle: []byte{0xca, 0xfe}}, err
}

func (f *fake) Tx(_ context.Context, id hash.Hash) (TxRecord, error) {
	f.guard.Lock()
	defer f.guard.Unlock()
	rec, ok := f.txs[id]
	if !ok {
		return rec, ErrNotFound
	}
	return rec, nil
}

func (f *fake) Submit(_ context.Context, raw []byte) (hash.Hash, error) {
	tx, err := types.DecodeTx(raw)
	if err != nil {
		return hash.Hash{}, err
	}
	f.guard.Lock()
	defer f.guard.Unlock()
	if f.refuse != nil {
		return tx.ID(), f.refuse
	}
	if _, known := f.txs[tx.ID()]; !known {
		f.put(TxRecord{ID: tx.ID(), Status: TxPending, Tx: tx})
	}
	return tx.ID(), nil
}

func (f *fake) SubmitMany(ctx context.Context, raws [][]byte) (out []SubmitResult) {
	for _, raw := range raws {
		id, err := f.Submit(ctx, raw)
		out = append(out, SubmitResult{id, err})
	}
	return out
}

// put changes a transaction and wakes who waits; f.guard must be held.
func (f *fake) put(rec TxRecord) {
	f.txs[rec.ID] = rec
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fake) decide(id hash.Hash) {
	f.guard.Lock()
	defer f.guard.Unlock()
	rec := f.txs[id]
	rec.Status, rec.Height, rec.Block, rec.Result = TxDecided, 31, hash.Sum("b31"), Result{ID: id, Success: true, Code: "applied", Fee: 10}
	f.put(rec)
}

func (f *fake) Wait(ctx context.Context, id hash.Hash) (TxRecord, error) {
	for {
		f.guard.Lock()
		rec, changed := f.txs[id], f.changed
		f.guard.Unlock()
		if rec.Status != TxPending {
			return rec, nil
		}
		f.hub.Publish(events.Transaction{ID: id, Status: "waiting"}) // tests learn that a request is held
		select {
		case <-changed:
		case <-ctx.Done():
			return rec, ctx.Err()
		}
	}
}

// running is a served API with a fake behind it.
type running struct {
	*fake
	*Server
	http *httptest.Server
}

func start(t *testing.T, change ...func(*Server, *Config)) running {
	t.Helper()
	cfg := Config{API: config.Default().API, Version: "v1.2.3", Metrics: prometheus.NewRegistry()}
	for _, c := range change {
		c(nil, &cfg)
	}
	f := newFake(t)
	s, err := New(cfg, f, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	for _, c := range change {
		c(s, &cfg)
	}
	srv := httptest.NewServer(s.Handler())
	t.Cleanup(func() {
		require.NoError(t, s.Close()) // ends streams and waits
		srv.Close()
	})
	return running{f, s, srv}
}

// do sends a request; headers are pairs.
func (r running) do(t *testing.T, method, path string, body io.Reader, headers ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.http.URL+path, body)
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
			continue
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	client := *r.http.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func read(t *testing.T, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		require.NoError(t, err)
	}
	return string(b)
}

func (r running) get(t *testing.T, path string) (int, string) {
	t.Helper()
	resp := r.do(t, http.MethodGet, path, nil)
	return resp.StatusCode, read(t, resp)
}

func (r running) post(t *testing.T, path, contentType, body string) (int, string) {
	t.Helper()
	resp := r.do(t, http.MethodPost, path, strings.NewReader(body), "Content-Type", contentType)
	return resp.StatusCode, read(t, resp)
}
