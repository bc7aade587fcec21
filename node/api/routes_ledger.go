package api

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

type blockInput struct {
	Ref string `path:"ref" doc:"height, hash, or latest" example:"latest" maxLength:"64"`
}

type blocksInput struct {
	Before uint64 `query:"before" doc:"only blocks below this height; without it, the newest"`
	Limit  int    `query:"limit" default:"20" minimum:"1" maximum:"100" doc:"most blocks"`
}

type addressInput struct {
	Address string `path:"address" doc:"bech32m address" maxLength:"128"`
}

type epochInput struct {
	Epoch uint64 `path:"epoch" doc:"number of the epoch, from 0"`
}

type txInput struct {
	Hash    string `path:"hash" doc:"the transaction's identifier" minLength:"64" maxLength:"64"`
	Wait    string `query:"wait" enum:"decided" doc:"hold the answer until the transaction is decided or expired"`
	Timeout int    `query:"timeout" default:"30" minimum:"1" maximum:"120" doc:"longest wait, seconds; then the answer is what is known by then"`
}

func (s *Server) ledgerRoutes(api huma.API) {
	get(s, api, "/v1/blocks", "list-blocks", "ledger", "Decided blocks, newest first, without their transactions", s.listBlocks)
	get(s, api, "/v1/blocks/{ref}", "get-block", "ledger", "One decided block", s.getBlock)
	get(s, api, "/v1/balance/{address}", "balance", "ledger", "An account's balance and sequence", s.balance)
	get(s, api, "/v1/proof/{address}", "proof", "ledger", "An account with a proof for light clients", s.proof)
	get(s, api, "/v1/epochs/{epoch}/end", "epoch-end", "ledger", "The proof of how an epoch ended, and who validates the next", s.epochEnd)
	get(s, api, "/v1/tx/{hash}", "get-tx", "ledger", "A transaction and what became of it", s.getTx)
}

func (s *Server) listBlocks(ctx context.Context, in *blocksInput) (BlockList, error) {
	records, err := s.backend.Blocks(ctx, types.Height(in.Before), in.Limit)
	if err != nil {
		return BlockList{}, err
	}
	out := BlockList{Blocks: []Block{}}
	for _, rec := range records {
		out.Blocks = append(out.Blocks, s.render.summary(rec))
	}
	if n := len(out.Blocks); n == in.Limit {
		out.Next = out.Blocks[n-1].Height // 0, and absent, after the genesis block
	}
	return out, nil
}

func (s *Server) getBlock(ctx context.Context, in *blockInput) (Block, error) {
	ref, err := ParseBlockRef(in.Ref)
	if err != nil {
		return Block{}, err
	}
	rec, err := s.backend.Block(ctx, ref)
	if err != nil {
		return Block{}, fmt.Errorf("block %s: %w", ref, err)
	}
	return s.render.block(rec), nil
}

func (s *Server) address(text string) (types.Address, error) {
	a, err := types.ParseAddress(text, s.render.genesis.AddressPrefix)
	if err != nil {
		return a, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return a, nil
}

func (s *Server) balance(ctx context.Context, in *addressInput) (Account, error) {
	a, err := s.address(in.Address)
	if err != nil {
		return Account{}, err
	}
	rec, err := s.backend.Account(ctx, a)
	if err != nil {
		return Account{}, fmt.Errorf("account %s: %w", in.Address, err)
	}
	return s.render.account(a, rec), nil
}

func (s *Server) proof(ctx context.Context, in *addressInput) (Proof, error) {
	a, err := s.address(in.Address)
	if err != nil {
		return Proof{}, err
	}
	rec, err := s.backend.Proof(ctx, a)
	if err != nil {
		return Proof{}, fmt.Errorf("proof of %s: %w", in.Address, err)
	}
	return s.render.proof(a, rec), nil
}

func (s *Server) epochEnd(ctx context.Context, in *epochInput) (EpochEnd, error) {
	end, err := s.backend.EpochEnd(ctx, types.Epoch(in.Epoch))
	if err != nil {
		return EpochEnd{}, fmt.Errorf("end of epoch %d: %w", in.Epoch, err)
	}
	return EpochEnd{Epoch: in.Epoch, End: hex.EncodeToString(end)}, nil
}

func (s *Server) getTx(ctx context.Context, in *txInput) (Tx, error) {
	id, err := hash.Parse(in.Hash)
	if err != nil {
		return Tx{}, fmt.Errorf("%w transaction id: %w", ErrInvalid, err)
	}
	rec, err := s.backend.Tx(ctx, id)
	if err == nil && in.Wait != "" {
		rec, err = s.wait(ctx, id, time.Duration(in.Timeout)*time.Second, rec)
	}
	if err != nil {
		return Tx{}, fmt.Errorf("transaction %s: %w", in.Hash, err)
	}
	return s.render.tx(rec), nil
}
