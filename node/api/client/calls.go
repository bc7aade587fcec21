package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/node/api"
)

// Status tells what the node is and where it stands.
func (c *Client) Status(ctx context.Context) (api.Status, error) {
	return get[api.Status](ctx, c, "/v1/status", nil)
}

// Health tells whether the node works; a node that is not ready is no error.
func (c *Client) Health(ctx context.Context) (api.Health, error) {
	return get[api.Health](ctx, c, "/v1/health", nil)
}

// Peers lists connected nodes.
func (c *Client) Peers(ctx context.Context) ([]api.Peer, error) {
	return get[[]api.Peer](ctx, c, "/v1/peers", nil)
}

// Validators lists who decides blocks.
func (c *Client) Validators(ctx context.Context) ([]api.Validator, error) {
	return get[[]api.Validator](ctx, c, "/v1/validators", nil)
}

// Genesis fetches and validates the node's genesis. Somebody who means to check
// the node must have the genesis from elsewhere.
func (c *Client) Genesis(ctx context.Context) (*types.Genesis, error) {
	raw, err := get[rawJSON](ctx, c, "/v1/genesis", nil)
	if err != nil {
		return nil, err
	}
	return types.DecodeGenesis(raw)
}

// rawJSON keeps an answer as it came.
type rawJSON []byte

// UnmarshalJSON implements json.Unmarshaler.
func (r *rawJSON) UnmarshalJSON(b []byte) error {
	*r = append((*r)[:0], b...)
	return nil
}

// Block fetches a decided block with its transactions.
func (c *Client) Block(ctx context.Context, ref api.BlockRef) (api.Block, error) {
	return get[api.Block](ctx, c, "/v1/blocks/"+ref.String(), nil)
}

// Blocks fetches up to limit (1 to 100) blocks below a height, newest first;
// before 0 is the newest.
func (c *Client) Blocks(ctx context.Context, before uint64, limit int) (api.BlockList, error) {
	q := url.Values{"limit": {strconv.Itoa(limit)}}
	if before > 0 {
		q.Set("before", strconv.FormatUint(before, 10))
	}
	return get[api.BlockList](ctx, c, "/v1/blocks", q)
}

// Balance fetches an account; one that does not exist is no error.
func (c *Client) Balance(ctx context.Context, address string) (api.Account, error) {
	return get[api.Account](ctx, c, "/v1/balance/"+url.PathEscape(address), nil)
}

// Proof fetches an account with what proves it to a light client.
func (c *Client) Proof(ctx context.Context, address string) (api.Proof, error) {
	return get[api.Proof](ctx, c, "/v1/proof/"+url.PathEscape(address), nil)
}

// EpochEnd fetches the proof of how an epoch ended.
func (c *Client) EpochEnd(ctx context.Context, epoch uint64) (api.EpochEnd, error) {
	return get[api.EpochEnd](ctx, c, "/v1/epochs/"+strconv.FormatUint(epoch, 10)+"/end", nil)
}

// Stake fetches what an account has bonded. An account without a stake is an error
// that matches [api.ErrNotFound].
func (c *Client) Stake(ctx context.Context, address string) (api.Stake, error) {
	return get[api.Stake](ctx, c, "/v1/stake/"+url.PathEscape(address), nil)
}

// Stakes lists every stake in which there are coins.
func (c *Client) Stakes(ctx context.Context) ([]api.Stake, error) {
	return get[[]api.Stake](ctx, c, "/v1/stakes", nil)
}

// Epoch tells who validates now and soon, and by what rules.
func (c *Client) Epoch(ctx context.Context) (api.Epoch, error) {
	return get[api.Epoch](ctx, c, "/v1/epoch", nil)
}

// Tx fetches a transaction and what became of it.
func (c *Client) Tx(ctx context.Context, id hash.Hash) (api.Tx, error) {
	return get[api.Tx](ctx, c, "/v1/tx/"+id.String(), nil)
}

// longPoll asks the node to hold the answer; ctx usually ends earlier.
var longPoll = url.Values{"wait": {"decided"}, "timeout": {"60"}}

// Wait returns the transaction once it is final, or ctx's error.
func (c *Client) Wait(ctx context.Context, id hash.Hash) (api.Tx, error) {
	for {
		soon := time.After(c.backoff)
		tx, err := get[api.Tx](ctx, c, "/v1/tx/"+id.String(), longPoll)
		if err != nil || tx.Final() {
			return tx, err
		}
		select {
		case <-soon: // a node that stops answers at once
		case <-ctx.Done():
			return tx, ctx.Err()
		}
	}
}

// Submit hands in a signed transaction; doing it again is harmless. With wait it
// returns once the transaction is final.
func (c *Client) Submit(ctx context.Context, raw []byte, wait bool) (api.Tx, error) {
	path := "/v1/tx"
	if wait {
		path += "?" + longPoll.Encode()
	}
	var tx api.Tx
	err := c.call(ctx, http.MethodPost, path, "application/octet-stream", raw, &tx)
	if err == nil && wait && !tx.Final() {
		return c.Wait(ctx, tx.ID)
	}
	return tx, err
}

// SubmitMany hands in up to [api.MaxBatch] signed transactions. The results are
// in order; the error is about the batch as a whole.
func (c *Client) SubmitMany(ctx context.Context, raws [][]byte) (api.SubmitManyReply, error) {
	var out api.SubmitManyReply
	body, err := canon.Marshal(raws)
	if err != nil {
		return out, err
	}
	return out, c.call(ctx, http.MethodPost, "/v1/txs", "application/cbor", body, &out)
}

// Outputs reads confidential outputs in the order of the chain, from a number on.
func (c *Client) Outputs(ctx context.Context, from uint64, limit int) (api.Outputs, error) {
	return get[api.Outputs](ctx, c, "/v1/outputs", url.Values{"from": {strconv.FormatUint(from, 10)}, "limit": {strconv.Itoa(limit)}})
}

// OutputsAt reads confidential outputs by their numbers, as of a ring.
func (c *Client) OutputsAt(ctx context.Context, numbers []uint64) (api.Outputs, error) {
	texts := make([]string, len(numbers))
	for i, n := range numbers {
		texts[i] = strconv.FormatUint(n, 10)
	}
	return get[api.Outputs](ctx, c, "/v1/outputs", url.Values{"numbers": {strings.Join(texts, ",")}})
}
