package private

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sort"

	"golang.org/x/sync/errgroup"

	"github.com/starlingmesh/starling/chain/ledger"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/ring"
	"github.com/starlingmesh/starling/crypto/stealth"
	"github.com/starlingmesh/starling/node/api"
)

const (
	perCall  = api.MostOutputs
	perScan  = 256 // outputs that one core looks through at once
	maxCoins = 1 << 20
)

// Progress tells how far a scan is: outputs looked at, of how many.
type Progress func(done, total uint64)

// Scan looks through the outputs that are new. It is kept as it goes on, so that a scan that is
// stopped goes on where it was.
func (w *Wallet) Scan(ctx context.Context, node Node, progress Progress) error {
	status, err := node.Status(ctx)
	if err != nil {
		return err
	}
	switch w.known.Chain {
	case status.ChainID:
	case hash.Hash{}:
		w.known.Chain = status.ChainID
	default: // heights of another network mean nothing here
		w.known = known{Chain: status.ChainID}
	}
	for {
		page, err := node.Outputs(ctx, w.known.Next, perCall)
		if err != nil {
			return fmt.Errorf("scan from output %d: %w", w.known.Next, err)
		}
		if page.Total < w.known.Next { // the chain lost some: another one, or blocks were taken back
			w.known = known{Chain: status.ChainID, From: w.known.From, Paid: unseen(w.known.Paid, 0)}
			continue
		}
		if err := w.take(ctx, page); err != nil {
			return err
		}
		w.known.Height = page.Height
		if err := w.save(); err != nil {
			return err
		}
		if progress != nil {
			progress(w.known.Next, page.Total)
		}
		if w.known.Next >= page.Total || len(page.Outputs) == 0 {
			return nil
		}
	}
}

// Rescan has the next scan look at the outputs from a height on, again where it did before; what was
// found below stays. A wallet that never looked passes over lower heights, which is faster where
// nothing can be: before its keys were made. Their outputs are still read, as decoys.
func (w *Wallet) Rescan(from uint64) error {
	k := &w.known
	if k.Next == 0 {
		k.From = from
	}
	k.From = min(k.From, from)
	first := sort.Search(len(k.Heights), func(i int) bool { return k.Heights[i] >= from })
	k.Heights, k.Next = k.Heights[:first], uint64(first)
	k.Coins = slices.DeleteFunc(k.Coins, func(c Coin) bool { return c.Number >= k.Next })
	for i := range k.Coins {
		if c := &k.Coins[i]; c.Spent >= from {
			c.Spent = 0 // if it was, the scan sees it again
		}
	}
	k.Paid = unseen(k.Paid, k.Next)
	return w.save()
}

// take looks through a page, on all cores.
func (w *Wallet) take(ctx context.Context, page api.Outputs) error {
	seen := make([]ledger.Sighting, len(page.Outputs))
	received := make([]*stealth.Received, len(page.Outputs))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for at := 0; at < len(seen); at += perScan {
		end := min(at+perScan, len(seen))
		g.Go(func() error {
			candidates, places := make([]stealth.Candidate, 0, end-at), make([]int, 0, end-at)
			for i := at; i < end; i++ {
				var err error
				if seen[i], err = ledger.DecodeSighting(page.Outputs[i]); err != nil {
					return fmt.Errorf("output %d of the node: %w", w.known.Next+uint64(i), err)
				}
				if uint64(seen[i].Height) >= w.known.From {
					candidates, places = append(candidates, seen[i].Candidate), append(places, i)
				}
			}
			got, err := w.scanner.Scan(candidates, func(i int) (stealth.Output, error) {
				if o, err := ledger.DecodeOutput(page.Outputs[places[i]]); err == nil {
					out, _ := o.Stealth()
					return out, nil
				}
				return stealth.Output{}, nil // the node lies: to stop here would tell it that the view tag was right
			})
			for i, r := range got {
				received[places[i]] = r
			}
			return errors.Join(err, ctx.Err())
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	look := w.lookout()
	for i := range seen {
		if n := len(w.known.Heights); n > 0 && uint64(seen[i].Height) < w.known.Heights[n-1] {
			return fmt.Errorf("output %d of the node is of an earlier block than the one before: ask another node, or scan all of the chain again", w.known.Next)
		}
		if seen[i].Height > types.Height(page.Height) {
			return fmt.Errorf("output %d of the node is of block %d, which it has not got yet: ask another node", w.known.Next, seen[i].Height)
		}
		w.note(look, w.known.Next, &seen[i], received[i])
		w.known.Next++
	}
	return nil
}

// lookout is what outputs are compared with: the wallet's coins by key image, and its payments that are
// not on the chain yet by ephemeral key, both in hexadecimal; the values are places in the lists.
type lookout struct{ coins, paid map[string]int }

func (w *Wallet) lookout() lookout {
	l := lookout{map[string]int{}, map[string]int{}}
	for i := range w.known.Coins {
		if image := w.known.Coins[i].Image; image != "" { // a wallet that only sees knows none
			l.coins[image] = i
		}
	}
	for i := range w.known.Paid {
		if p := &w.known.Paid[i]; p.Height == 0 {
			l.paid[p.Through] = i
		}
	}
	return l
}

// note takes up an output: what was spent for it, and whether it is one's own.
func (w *Wallet) note(look lookout, number uint64, o *ledger.Sighting, r *stealth.Received) {
	height := uint64(o.Height)
	w.known.Heights = append(w.known.Heights, height)
	through := hex.EncodeToString(o.Ephemeral[:])
	if at, paid := look.paid[through]; paid {
		w.known.Paid[at].Output, w.known.Paid[at].Height = number, height
		delete(look.paid, through) // who repeats the key later changes nothing
	}
	for _, image := range o.Images {
		if at, mine := look.coins[hex.EncodeToString(image)]; mine {
			w.known.Coins[at].Spent = height
		}
	}
	if r == nil || len(w.known.Coins) >= maxCoins {
		return
	}
	c := Coin{Number: number, Height: height, Amount: types.Drops(r.Amount), Address: r.Address, Memo: r.Memo, Mask: r.Mask, Offset: r.Offset}
	if w.keys != nil {
		c.Image = ring.Image(w.keys.Secret(*r)).String()
		if _, twice := look.coins[c.Image]; twice {
			return // one key, two outputs: only one of them can ever be spent
		}
		look.coins[c.Image] = len(w.known.Coins)
	}
	w.known.Coins = append(w.known.Coins, c)
}
