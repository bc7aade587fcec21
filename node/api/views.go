package api

import (
	"time"

	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/poh"
)

// Amounts are shown twice: in coins for people, and in drops (a millionth of a
// coin) for programs, both as text, because JSON numbers lose digits.

// Status is the answer of GET /v1/status.
type Status struct {
	Network       string    `json:"network" doc:"the network's name"`
	ChainID       hash.Hash `json:"chain_id" doc:"hash of the genesis"`
	Created       time.Time `json:"created" doc:"when the network began, by its genesis"`
	AddressPrefix string    `json:"address_prefix" doc:"beginning of every address"`
	Engine        string    `json:"engine" doc:"consensus engine and rule"`
	Version       string    `json:"version" doc:"of the node's program"`

	PeerID    string   `json:"peer_id" doc:"the node's identity in the mesh"`
	Addresses []string `json:"addresses" doc:"multiaddrs to reach the node by"`
	Validator string   `json:"validator,omitempty" doc:"the validator's name, if this node votes"`
	Peers     int      `json:"peers" doc:"connected nodes"`

	Height      uint64    `json:"height" doc:"of the newest decided block"`
	Head        hash.Hash `json:"head" doc:"its hash"`
	HeadTime    time.Time `json:"head_time" doc:"its time"`
	View        uint64    `json:"view" doc:"what consensus is working on"`
	StateHeight uint64    `json:"state_height" doc:"newest executed block"`
	StateRoot   hash.Hash `json:"state_root" doc:"the state after it"`
	Syncing     bool      `json:"syncing" doc:"the node is catching up"`

	MempoolTxs   int   `json:"mempool_txs" doc:"transactions that wait"`
	MempoolBytes int64 `json:"mempool_bytes" doc:"their size"`

	MinFee       string `json:"min_fee" doc:"least fee, coins"`
	MinFeeDrops  string `json:"min_fee_drops" doc:"least fee, drops"`
	Reserve      string `json:"reserve" doc:"least balance of a new account, coins"`
	ReserveDrops string `json:"reserve_drops" doc:"least balance of a new account, drops"`
	MaxExpiry    uint64 `json:"max_expiry" doc:"how many blocks ahead a transaction may expire"`

	Started time.Time `json:"started" doc:"when the node started"`
}

// Health is the answer of GET /v1/health.
type Health struct {
	Live    bool     `json:"live" doc:"the process does its work"`
	Ready   bool     `json:"ready" doc:"requests are answered with fresh data"`
	Reasons []string `json:"reasons" doc:"why not"`
}

// Peer is a connected node.
type Peer struct {
	ID        string    `json:"id"`
	Address   string    `json:"address" doc:"multiaddr"`
	Inbound   bool      `json:"inbound" doc:"the peer called us"`
	Validator string    `json:"validator,omitempty" doc:"its name, if it is a validator"`
	Agent     string    `json:"agent,omitempty" doc:"its program"`
	LatencyMS float64   `json:"latency_ms" doc:"round trip, 0 if not measured"`
	Since     time.Time `json:"since"`
}

// Validator is a member of the set that decides blocks.
type Validator struct {
	Index     int    `json:"index"`
	Name      string `json:"name"`
	Power     uint64 `json:"power"`
	Identity  string `json:"identity" doc:"peer id"`
	Key       string `json:"key" doc:"BLS public key, hexadecimal"`
	Self      bool   `json:"self" doc:"this node"`
	Connected bool   `json:"connected" doc:"to this node"`
	Leader    bool   `json:"leader" doc:"of the current view"`

	Operator    string `json:"operator,omitempty" doc:"address of the account that bonded the stake; absent where the set never changes"`
	Bond        string `json:"bond" doc:"stake when the set was made, coins"`
	BondDrops   string `json:"bond_drops"`
	Share       string `json:"share" doc:"of the voting power, percent"`
	Jailed      bool   `json:"jailed" doc:"will not be in the next set that is made"`
	JailedUntil uint64 `json:"jailed_until,omitempty" doc:"first epoch in which the jail may be ended"`
}

// Certificate is a quorum's signature under a block.
type Certificate struct {
	View      uint64   `json:"view"`
	Signers   []string `json:"signers" doc:"names of the validators that signed; empty if the node does not keep the validators of the block's epoch any more"`
	Bitmap    string   `json:"bitmap" doc:"the same by index, hexadecimal"`
	Power     uint64   `json:"power" doc:"voting power that signed"`
	Quorum    uint64   `json:"quorum" doc:"voting power needed; 0 if it is not known any more"`
	Signature string   `json:"signature" doc:"aggregate BLS signature, hexadecimal"`
}

// Phase is when this node saw a phase reached.
type Phase struct {
	Name     string    `json:"name" enum:"prepare,precommit,commit,decide"`
	Time     time.Time `json:"time"`
	OffsetMS float64   `json:"offset_ms" doc:"since the first phase that was seen"`
}

// Batch is a piece of a validator's lane that a block orders.
type Batch struct {
	Lane    string    `json:"lane" doc:"the validator whose lane it is"`
	Height  uint64    `json:"height" doc:"in the lane, from 1 in each epoch"`
	Hash    hash.Hash `json:"hash"`
	TxCount int       `json:"tx_count"`
	Ticks   uint64    `json:"ticks" doc:"length of the lane's proof of history: it fixes the order of this lane's batches and that sequential work lies between them, not wall-clock time and not the order among lanes, which the block decides"`
	History hash.Hash `json:"history" doc:"value of the hash chain after that many ticks"`
	// From is where the lane's chain stood before: with it the batch's part of the
	// chain can be checked alone, see crypto/poh.
	FromTicks   uint64    `json:"from_ticks"`
	FromHistory hash.Hash `json:"from_history"`
	TxRoot      hash.Hash `json:"tx_root" doc:"what was mixed into the chain last"`
}

// Segment is the batch's part of its lane's proof of history.
func (b Batch) Segment() poh.Segment {
	return poh.Segment{From: poh.Chain{Value: b.FromHistory, Ticks: b.FromTicks}, Event: b.TxRoot, To: poh.Chain{Value: b.History, Ticks: b.Ticks}}
}

// Offence is a proof that a block carries.
type Offence struct {
	Validator string `json:"validator"`
	Offence   string `json:"offence" doc:"double-vote, double-proposal, double-batch, bad-certificate or double-set"`
	Epoch     uint64 `json:"epoch" doc:"in which it was committed"`
}

// Block is a decided block.
type Block struct {
	Epoch       uint64       `json:"epoch"`
	Batches     []Batch      `json:"batches,omitempty" doc:"from lanes, in the order in which they count"`
	Offences    []Offence    `json:"offences,omitempty" doc:"proofs that validators broke the protocol"`
	Height      uint64       `json:"height"`
	Hash        hash.Hash    `json:"hash"`
	Parent      hash.Hash    `json:"parent"`
	View        uint64       `json:"view"`
	Proposer    string       `json:"proposer" doc:"the validator's name"`
	Time        time.Time    `json:"time" doc:"by the proposer's clock"`
	SizeBytes   int          `json:"size_bytes"`
	TxCount     int          `json:"tx_count"`
	StateRoot   *hash.Hash   `json:"state_root,omitempty" doc:"after the block, once it is executed"`
	Certificate *Certificate `json:"certificate,omitempty"`
	Passage     []Phase      `json:"passage,omitempty" doc:"how the block passed through consensus, as this node saw it"`
	Txs         []Tx         `json:"txs,omitempty" doc:"not in lists"`
}

// BlockList is a page of GET /v1/blocks.
type BlockList struct {
	Blocks []Block `json:"blocks" doc:"newest first"`
	Next   uint64  `json:"next,omitempty" doc:"the next page's before; absent on the last page"`
}

// Tx is a transaction and what became of it.
type Tx struct {
	ID      hash.Hash  `json:"id"`
	Status  TxStatus   `json:"status" enum:"pending,decided,expired"`
	Height  uint64     `json:"height,omitempty" doc:"of the block, once decided"`
	Block   *hash.Hash `json:"block,omitempty"`
	Index   *int       `json:"index,omitempty" doc:"place in the block"`
	Success *bool      `json:"success,omitempty" doc:"whether the ledger applied it; absent while the block is not executed, or not kept any more"`
	Code    string     `json:"code,omitempty" doc:"the ledger's word for the result"`

	Kind        string `json:"kind,omitempty" doc:"payment, bond, unbond, rotate, unjail, data, shield, private-transfer, unshield or set-signers"`
	Sender      string `json:"sender,omitempty"`
	Sequence    uint64 `json:"sequence"`
	To          string `json:"to,omitempty"`
	Amount      string `json:"amount,omitempty" doc:"coins"`
	AmountDrops string `json:"amount_drops,omitempty"`
	All         bool   `json:"all,omitempty" doc:"unbonds everything; there is no amount"`
	Fee         string `json:"fee,omitempty" doc:"coins"`
	FeeDrops    string `json:"fee_drops,omitempty"`
	Expiry      uint64 `json:"expiry,omitempty" doc:"last height at which it may be applied"`
	Memo        string `json:"memo,omitempty"`
	MemoHex     string `json:"memo_hex,omitempty" doc:"instead of memo, if it is not text"`
	Content     string `json:"content,omitempty" doc:"what the transaction publishes, hexadecimal"`
	// Inputs and Outputs are how many confidential ones there are.
	Inputs  int `json:"inputs,omitempty" doc:"confidential inputs: each is one of a ring"`
	Outputs int `json:"outputs,omitempty" doc:"confidential outputs"`
	// ContentBytes is the content's size.
	ContentBytes int `json:"content_bytes,omitempty" doc:"how many bytes it publishes"`
	// Validator is set by the first bond of an account, and by rotate.
	Validator *ValidatorKeys `json:"validator,omitempty" doc:"the keys that the transaction gives to the sender's validator"`
	// SignedBy is set where more than one key signed, or another than the sender's own.
	SignedBy *Signers `json:"signed_by,omitempty" doc:"whose signatures the transaction has, where that is not the sender's own key alone"`
	// Signers is what set-signers names.
	Signers *Signers `json:"signers,omitempty" doc:"who is to sign for the sender from now on"`
}

// Final reports whether the status will not change any more.
func (t *Tx) Final() bool { return t.Status != TxPending }

// Account is the answer of GET /v1/balance.
type Account struct {
	Address      string `json:"address"`
	Exists       bool   `json:"exists"`
	Balance      string `json:"balance" doc:"coins"`
	BalanceDrops string `json:"balance_drops"`
	Sequence     uint64 `json:"sequence" doc:"of the next transaction, by the executed state"`
	NextSequence uint64 `json:"next_sequence" doc:"the same, counting what waits in the mempool"`
	Height       uint64 `json:"height" doc:"the state's"`
	// Signers is nil as long as the account's own key signs.
	Signers *Signers `json:"signers,omitempty" doc:"who signs for the account, if that was changed"`
}

// Signers are who signs for an account.
type Signers struct {
	Key       string   `json:"key" doc:"typed public key, hexadecimal"`
	Threshold int      `json:"threshold" doc:"how many of the members must sign"`
	Members   []string `json:"members" doc:"typed public keys, hexadecimal"`
}

// EpochEnd is the answer of GET /v1/epochs/{epoch}/end.
type EpochEnd struct {
	Epoch uint64 `json:"epoch"`
	End   string `json:"end" doc:"canonical CBOR, hexadecimal; starling light --trust checks it"`
}

// Proof is the answer of GET /v1/proof: the account as this node sees it, and
// what convinces somebody who trusts only the genesis.
type Proof struct {
	Account
	Root  hash.Hash `json:"root" doc:"the state's root"`
	Proof string    `json:"proof" doc:"canonical CBOR, hexadecimal; verify it with starling light verify"`
}

// SubmitRequest is the JSON body of POST /v1/tx.
type SubmitRequest struct {
	Tx string `json:"tx" doc:"signed transaction, hexadecimal"`
}

// SubmitManyRequest is the JSON body of POST /v1/txs.
type SubmitManyRequest struct {
	Txs []string `json:"txs" maxItems:"1000" doc:"signed transactions, hexadecimal"`
}

// SubmitItem is what became of one transaction of a batch.
type SubmitItem struct {
	ID       *hash.Hash `json:"id,omitempty" doc:"absent if the bytes are no transaction"`
	Accepted bool       `json:"accepted"`
	Error    *Problem   `json:"error,omitempty"`
}

// SubmitManyReply is the answer of POST /v1/txs.
type SubmitManyReply struct {
	Accepted int          `json:"accepted"`
	Results  []SubmitItem `json:"results" doc:"in the order of the request"`
}

// MaxBatch is the most transactions in one POST /v1/txs.
const MaxBatch = 1000
