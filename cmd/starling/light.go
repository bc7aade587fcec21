package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/starlingmesh/starling/chain/light"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/node/api"
	"github.com/starlingmesh/starling/node/api/client"
)

// lightView is what `light verify --json` prints.
type lightView struct {
	Verified     bool      `json:"verified"`
	Address      string    `json:"address"`
	Exists       bool      `json:"exists"`
	Balance      string    `json:"balance"`
	BalanceDrops string    `json:"balance_drops"`
	Sequence     uint64    `json:"sequence"`
	Height       uint64    `json:"height"`
	Signers      []string  `json:"signers"`
	Signer       string    `json:"signed_for_by,omitempty"` // the address of the key that signs for the account, if not its own
	ChainID      hash.Hash `json:"chain_id"`
}

func newLightCmd(a *app) *cobra.Command {
	var trust string
	cmd := group("light", "check what a node says, trusting only the genesis",
		"  starling light --trust genesis.json --api node.example:8420\n"+
			"  starling light verify ADDRESS --genesis genesis.json",
		newLightVerifyCmd(a))
	cmd.Flags().StringVar(&trust, "trust", "", "genesis file from a source that you trust: follow the network from it, one certificate an epoch")
	help := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if trust == "" || len(args) > 0 {
			return help(cmd, args)
		}
		return a.runLightFollow(cmd, trust)
	}
	return cmd
}

func newLightVerifyCmd(a *app) *cobra.Command {
	var proofPath string
	cmd := &cobra.Command{
		Use:   "verify ADDRESS",
		Short: "prove what an account holds to somebody who has only the genesis",
		Example: "  starling light verify ADDRESS --genesis genesis.json --api node.example:8420\n" +
			"  curl -s node.example:8420/v1/proof/ADDRESS > proof.json\n" +
			"  starling light verify ADDRESS --genesis genesis.json --proof proof.json",
		Args: exactly("ADDRESS"),
		RunE: func(cmd *cobra.Command, args []string) error {
			g, err := a.trustedGenesis(cmd)
			if err != nil {
				return err
			}
			address, err := types.ParseAddress(args[0], g.AddressPrefix)
			if err != nil {
				return &usageError{err}
			}
			proof, err := a.proof(cmd, args[0], proofPath)
			if err != nil {
				return err
			}
			verified, err := a.verify(cmd, g, address, proof)
			if err != nil {
				return err
			}
			return a.printVerified(g, args[0], verified)
		},
	}
	cmd.Flags().String("genesis", "", "genesis file from a source that you trust (default: that of the configuration)")
	cmd.Flags().StringVar(&proofPath, "proof", "", "file with the answer of /v1/proof, or with the proof alone, instead of asking a node; - is standard input")
	return cmd
}

// verify believes nothing but the genesis. A true proof of another account than
// the one that was asked for proves nothing. If the proof is of a later epoch than
// the first the node is asked how the epochs before ended.
func (a *app) verify(cmd *cobra.Command, g *types.Genesis, address types.Address, raw []byte) (light.Verified, error) {
	p, err := light.Decode(raw)
	if err != nil {
		return light.Verified{}, err
	}
	if p.Address != address {
		return light.Verified{}, fmt.Errorf("%w: it is about another account, %s", light.ErrProof, p.Address.Format(g.AddressPrefix))
	}
	trust, err := light.Begin(g)
	if err != nil {
		return light.Verified{}, err
	}
	if err := a.followEpochs(cmd, trust, g.Params.EpochOf(p.Cert.Height), nil); err != nil {
		return light.Verified{}, err
	}
	return trust.Verify(p)
}

// trustedGenesis reads the file that --genesis or the configuration names.
func (a *app) trustedGenesis(cmd *cobra.Command) (*types.Genesis, error) {
	cfg, _, err := a.loadConfig(cmd)
	if err != nil {
		return nil, err
	}
	return types.ReadGenesis(cfg.GenesisPath())
}

// proof fetches or reads the bytes of a proof.
func (a *app) proof(cmd *cobra.Command, address, path string) ([]byte, error) {
	if path == "" {
		p, err := ask(a, cmd, func(ctx context.Context, c *client.Client) (api.Proof, error) { return c.Proof(ctx, address) })
		if err != nil {
			return nil, err
		}
		return decodeProof([]byte(p.Proof))
	}
	data, err := a.readInput(path)
	if err != nil {
		return nil, err
	}
	return decodeProof(data)
}

// decodeProof reads the answer of the API, hexadecimal digits, or the bytes.
func decodeProof(data []byte) ([]byte, error) {
	text := bytes.TrimSpace(data)
	if bytes.HasPrefix(text, []byte("{")) {
		var p api.Proof
		if err := json.Unmarshal(text, &p); err != nil {
			return nil, fmt.Errorf("proof: %w", err)
		}
		text = []byte(p.Proof)
	}
	if raw, err := hex.DecodeString(string(text)); err == nil && len(raw) > 0 {
		return raw, nil
	}
	if len(data) == 0 {
		return nil, errors.New("proof: nothing is there")
	}
	return data, nil
}

// signerOf is the address of the key that signs for a verified account instead of its own, if one does.
func signerOf(g *types.Genesis, acc light.Verified) string {
	if acc.Account.Signer == (types.Address{}) {
		return ""
	}
	return acc.Account.Signer.Format(g.AddressPrefix)
}

func (a *app) printVerified(g *types.Genesis, address string, acc light.Verified) error {
	v := lightView{
		Verified: true, Address: address, Exists: acc.Exists, Balance: acc.Account.Balance.String(), BalanceDrops: fmt.Sprint(uint64(acc.Account.Balance)),
		Sequence: acc.Account.Sequence, Height: uint64(acc.Height), Signers: acc.Signers, Signer: signerOf(g, acc), ChainID: g.ChainID(),
	}
	return a.print(v, func(w io.Writer) {
		holds := "no account"
		if acc.Exists {
			holds = fmt.Sprintf("%s coins, next sequence %d", a.bold(w, coins(v.Balance)), v.Sequence)
		}
		a.facts(w,
			"verified", a.green(w, "yes")+", by a quorum of the validators of the genesis",
			"address", address,
			"holds", holds,
			"its signer", v.Signer,
			"at", "block "+count(v.Height),
			"signed by", strings.Join(v.Signers, ", "),
			"network", fmt.Sprintf("%s (chain %s)", g.Network, v.ChainID.Short()),
		)
	})
}
