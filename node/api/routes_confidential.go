package api

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// Outputs are confidential outputs, as the state holds them, for wallets: they look through all
// of them for their own, so that the node does not learn which these are.
type Outputs struct {
	Height   uint64   `json:"height" doc:"of the state"`
	Shielded string   `json:"shielded_drops" doc:"sum of what all unspent outputs hold"`
	Total    uint64   `json:"total" doc:"outputs that there ever were"`
	From     uint64   `json:"from" doc:"number of the first output, if they follow each other"`
	Outputs  [][]byte `json:"outputs" doc:"canonical encodings, in base64"`
}

// MostOutputs are given at once.
const MostOutputs = 2048

type outputsInput struct {
	From    uint64 `query:"from" doc:"number of the first output"`
	Limit   int    `query:"limit" default:"512" minimum:"1" maximum:"2048"`
	Numbers string `query:"numbers" doc:"instead of from and limit: numbers of outputs, separated by commas, as of a ring" maxLength:"8192"`
}

func (s *Server) confidentialRoutes(api huma.API) {
	get(s, api, "/v1/outputs", "list-outputs", "confidential", "Confidential outputs in the order of the chain", s.outputs)
}

func (s *Server) outputs(ctx context.Context, in *outputsInput) (Outputs, error) {
	var rec OutputsRecord
	var err error
	if in.Numbers == "" {
		rec, err = s.backend.Outputs(ctx, in.From, in.Limit)
	} else {
		var numbers []uint64
		if numbers, err = parseNumbers(in.Numbers); err != nil {
			return Outputs{}, err
		}
		rec, err = s.backend.OutputsAt(ctx, numbers)
	}
	if err != nil {
		return Outputs{}, fmt.Errorf("outputs: %w", err)
	}
	return Outputs{
		Height: uint64(rec.Height), Shielded: strconv.FormatUint(uint64(rec.Pool.Shielded), 10), Total: rec.Pool.Outputs, From: in.From,
		Outputs: append([][]byte{}, rec.Outputs...),
	}, nil
}

func parseNumbers(text string) (out []uint64, err error) {
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.ParseUint(part, 10, 64)
		if err != nil || len(out) == MostOutputs {
			return nil, fmt.Errorf("%w: numbers: want up to %d separated by commas, found %q", ErrInvalid, MostOutputs, part)
		}
		out = append(out, n)
	}
	return out, nil
}
