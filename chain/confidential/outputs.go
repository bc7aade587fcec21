package confidential

import (
	"context"
	"fmt"
	"runtime"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/errgroup"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/chain/ledger"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/ring"
)

const (
	// preparedMembers are kept: an output stands in as many rings as these have members, on
	// average, most of them soon after it was made. They take 9 KB each.
	preparedMembers = 1 << 12
	prepareAtOnce   = 32
)

// member is an output as rings need it, and what it was prepared from.
type member struct {
	*ring.Prepared
	sum hash.Hash
}

// found is an output that a ring names.
type found struct {
	raw    []byte // nil if there is none
	sum    hash.Hash
	height types.Height
	member *member // nil until it is prepared
}

// ripe reports whether the output may be in a ring in the block of height h.
func (f *found) ripe(h types.Height) bool { return f.raw != nil && f.height+ledger.RingAge <= h }

// outputs are those of one state, each looked up once.
type outputs struct {
	reader  ledger.Reader
	members *lru.Cache[uint64, *member]
	found   map[uint64]*found
}

func (o *outputs) find(number uint64) (*found, error) {
	if f, known := o.found[number]; known {
		return f, nil
	}
	raw, err := o.reader.Get(types.OutputKey(number))
	if err != nil {
		return nil, fmt.Errorf("read output %d: %w", number, err)
	}
	f := &found{raw: raw, sum: hash.Sum("starling/confidential/output", raw)}
	if raw != nil {
		in := canon.Read(raw)
		in.Array()
		f.height = types.Height(in.Uint()) // the first field; all of it is decoded if it is not known
		if m, kept := o.members.Get(number); kept && m.sum == f.sum {
			f.member = m
		}
	}
	o.found[number] = f
	return f, nil
}

// prepare prepares the members that are not, on all cores.
func (o *outputs) prepare(ctx context.Context, checks []*check) error {
	var fresh []uint64
	queued := map[uint64]bool{}
	for _, c := range checks {
		for i, members := range c.rings {
			for j, f := range members {
				if number := c.body.(types.Anonymous).Spends()[i].Ring[j]; f.raw != nil && f.member == nil && !queued[number] {
					queued[number] = true
					fresh = append(fresh, number)
				}
			}
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for at := 0; at < len(fresh); at += prepareAtOnce {
		some := fresh[at:min(at+prepareAtOnce, len(fresh))]
		g.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return o.prepareSome(some)
		})
	}
	return g.Wait()
}

func (o *outputs) prepareSome(numbers []uint64) error {
	members := make([]ring.Member, len(numbers))
	for i, n := range numbers {
		out, err := ledger.DecodeOutput(o.found[n].raw)
		if err != nil {
			return fmt.Errorf("output %d: %w: %w", n, ledger.ErrCorrupt, err)
		}
		members[i] = ring.Member{Key: out.Key, Commitment: out.Commitment}
	}
	for i, p := range ring.Prepare(members...) {
		f := o.found[numbers[i]]
		f.member = &member{p, f.sum}
		o.members.Add(numbers[i], f.member)
	}
	return nil
}
