package api

import (
	"context"
	"fmt"

	"github.com/danielgtaylor/huma/v2"
)

func (s *Server) stakeRoutes(api huma.API) {
	get(s, api, "/v1/stake/{address}", "stake", "staking", "What an account has behind its validator", s.stake)
	get(s, api, "/v1/stakes", "list-stakes", "staking", "Every stake in which there are coins", s.stakes)
	get(s, api, "/v1/epoch", "epoch", "staking", "Who validates now and soon, until when, and by what rules", s.epoch)
}

func (s *Server) stake(ctx context.Context, in *addressInput) (Stake, error) {
	a, err := s.address(in.Address)
	if err != nil {
		return Stake{}, err
	}
	rec, err := s.backend.Stake(ctx, a)
	if err != nil {
		return Stake{}, fmt.Errorf("stake of %s: %w", in.Address, err)
	}
	return s.render.stake(rec), nil
}

func (s *Server) stakes(ctx context.Context, _ *nothing) ([]Stake, error) {
	records, err := s.backend.Stakes(ctx)
	if err != nil {
		return nil, fmt.Errorf("stakes: %w", err)
	}
	out := make([]Stake, 0, len(records))
	for _, rec := range records {
		out = append(out, s.render.stake(rec))
	}
	return out, nil
}

func (s *Server) epoch(ctx context.Context, _ *nothing) (Epoch, error) {
	rec, err := s.backend.Epoch(ctx)
	if err != nil {
		return Epoch{}, fmt.Errorf("epoch: %w", err)
	}
	return s.render.epoch(rec), nil
}
