package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/starlingmesh/starling/chain/light"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/node/api"
	"github.com/starlingmesh/starling/node/api/client"
)

// followView is what `light --trust --json` prints.
type followView struct {
	Network    string          `json:"network"`
	ChainID    hash.Hash       `json:"chain_id"`
	Epoch      uint64          `json:"epoch"`
	Validators []followedMaker `json:"validators"`
}

type followedMaker struct {
	Name     string `json:"name"`
	Power    uint64 `json:"power"`
	Identity string `json:"identity"`
}

// runLightFollow follows the network from a trusted genesis as far as the node can
// prove it.
func (a *app) runLightFollow(cmd *cobra.Command, path string) error {
	g, err := types.ReadGenesis(path)
	if err != nil {
		return err
	}
	trust, err := light.Begin(g)
	if err != nil {
		return err
	}
	told := func(epoch types.Epoch, set *types.ValidatorSet) {
		if !a.json {
			fmt.Fprintf(cmd.ErrOrStderr(), "epoch %d checked: %s decide the next\n", epoch, plural(set.Len(), "validator"))
		}
	}
	if err := a.followEpochs(cmd, trust, math.MaxUint64, told); err != nil {
		return err
	}
	v := followView{Network: g.Network, ChainID: g.ChainID(), Epoch: uint64(trust.Epoch())}
	var names []string
	for _, m := range trust.Validators().All() {
		v.Validators = append(v.Validators, followedMaker{m.Name, m.Power, m.Identity})
		names = append(names, fmt.Sprintf("%s (%d)", m.Name, m.Power))
	}
	return a.print(v, func(w io.Writer) {
		a.facts(w,
			"followed", a.green(w, "yes")+", from the genesis, with one certificate an epoch",
			"network", fmt.Sprintf("%s (chain %s)", v.Network, v.ChainID.Short()),
			"epoch", count(v.Epoch),
			"validators", strings.Join(names, ", "),
		)
	})
}

// followEpochs advances trust up to an epoch, or as far as the node knows.
func (a *app) followEpochs(cmd *cobra.Command, trust *light.Trust, to types.Epoch, told func(types.Epoch, *types.ValidatorSet)) error {
	for trust.Epoch() < to {
		epoch := trust.Epoch()
		reply, err := ask(a, cmd, func(ctx context.Context, c *client.Client) (api.EpochEnd, error) {
			return c.EpochEnd(ctx, uint64(epoch))
		})
		var problem *api.Problem
		if errors.As(err, &problem) && problem.Status == http.StatusNotFound && to == math.MaxUint64 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("follow the network to epoch %d: %w", epoch+1, err)
		}
		raw, err := hex.DecodeString(reply.End)
		if err != nil {
			return fmt.Errorf("end of epoch %d: %w", epoch, err)
		}
		end, err := light.DecodeEnd(raw)
		if err != nil {
			return err
		}
		if err := trust.Advance(end); err != nil {
			return err
		}
		if told != nil {
			told(epoch, trust.Validators())
		}
	}
	return nil
}
