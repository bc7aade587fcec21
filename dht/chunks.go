package dht

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/dht/crdt"
	"github.com/starlingmesh/starling/dht/store"
)

const (
	// ChunkSize is the most bytes of a value in one record; larger ones are cut.
	ChunkSize = 64 << 10
	// MaxValue is the largest value in bytes.
	MaxValue = 64 << 20

	chunksAtOnce = 8
	chunkPrefix  = ".chunk/"
)

// The first byte of a value says how it is kept.
const (
	inline byte = 0 // it follows
	cut    byte = 1 // a manifest follows
)

// manifest names the chunks of a large value. Each is a record of the same owner under the
// hash of its content, so equal chunks are kept once, and each has other holders.
type manifest struct {
	_      struct{} `cbor:",toarray"`
	Size   uint64
	Salt   []byte // of a private value, so that nobody finds out by guessing what it is
	Chunks []hash.Hash
}

func chunkHash(salt, data []byte) hash.Hash { return hash.Sum("starling/dht/chunk", salt, data) }

func chunkName(h hash.Hash) string { return chunkPrefix + hex.EncodeToString(h[:]) }

// chunked is a value as it is kept in a register; of a large one the chunks are written
// first.
func (s *Store) chunked(ctx context.Context, value []byte) ([]byte, error) {
	if len(value) <= ChunkSize {
		return append([]byte{inline}, value...), nil
	}
	if len(value) > MaxValue {
		return nil, fmt.Errorf("a value of %d bytes, at most %d: %w", len(value), MaxValue, store.ErrTooLarge)
	}
	m := manifest{Size: uint64(len(value)), Salt: []byte{}, Chunks: make([]hash.Hash, (len(value)+ChunkSize-1)/ChunkSize)}
	if s.opts.Private {
		m.Salt = make([]byte, hash.Size)
		s.mu.Lock()
		_, err := s.author.Rand.Read(m.Salt)
		s.mu.Unlock()
		if err != nil {
			return nil, fmt.Errorf("cut a value: %w", err)
		}
	}
	err := s.eachChunk(ctx, len(m.Chunks), int64(len(value)), func(ctx context.Context, i int) (int, error) {
		data := value[i*ChunkSize : min((i+1)*ChunkSize, len(value))]
		m.Chunks[i] = chunkHash(m.Salt, data)
		err := s.create(ctx, s.Own(chunkName(m.Chunks[i])), crdt.Register, nil, store.Write(append([]byte{inline}, data...)))
		return len(data), unlessStale(err)
	})
	if err != nil {
		return nil, fmt.Errorf("write the chunks of a value: %w", err)
	}
	return append([]byte{cut}, canon.MustMarshal(m)...), nil
}

// unlessStale is no error where a chunk was just written by another: they are the same.
func unlessStale(err error) error {
	if errors.Is(err, store.ErrStale) {
		return nil
	}
	return err
}

// eachChunk does something for each chunk, some at once.
func (s *Store) eachChunk(ctx context.Context, n int, size int64, do func(ctx context.Context, i int) (int, error)) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(chunksAtOnce)
	var done atomic.Int64
	for i := range n {
		g.Go(func() error {
			bytes, err := do(ctx, i)
			if err == nil && s.opts.Progress != nil {
				s.opts.Progress(done.Add(int64(bytes)), size)
			}
			return err
		})
	}
	return g.Wait()
}

// manifestOf reads the manifest of a register's body; none if the value is in it.
func manifestOf(body []byte) (manifest, bool, error) {
	var m manifest
	if len(body) == 0 || body[0] == inline {
		return m, false, nil
	}
	if body[0] != cut {
		return m, false, fmt.Errorf("a value of form %d, which this version does not know: %w", body[0], store.ErrItem)
	}
	if err := canon.Unmarshal(body[1:], &m); err != nil {
		return m, false, fmt.Errorf("a value's list of chunks: %w: %w", store.ErrItem, err)
	}
	if m.Size > MaxValue || uint64(len(m.Chunks)) != (m.Size+ChunkSize-1)/ChunkSize {
		return m, false, fmt.Errorf("a value of %d bytes in %d chunks: %w", m.Size, len(m.Chunks), store.ErrItem)
	}
	return m, true, nil
}

// Size is how many bytes the value of a record has that [Store.Put] wrote.
func Size(rec *store.Record) (int64, error) {
	body, _ := rec.State.Value(nil)
	m, large, err := manifestOf(body)
	if err != nil || large {
		return int64(m.Size), err
	}
	return int64(max(len(body)-1, 0)), nil
}

// assembled is the value that a register keeps.
func (s *Store) assembled(ctx context.Context, rec *store.Record, body []byte) ([]byte, error) {
	m, large, err := manifestOf(body)
	if err != nil {
		return nil, err
	}
	if !large {
		return body[min(1, len(body)):], nil
	}
	value := make([]byte, m.Size)
	err = s.eachChunk(ctx, len(m.Chunks), int64(m.Size), func(ctx context.Context, i int) (int, error) {
		want := value[i*ChunkSize : min((i+1)*ChunkSize, len(value))]
		chunk, err := s.Record(ctx, store.Ref{Owner: rec.Ref.Owner, Name: chunkName(m.Chunks[i])})
		if err != nil {
			return 0, err
		}
		data, _ := chunk.State.Value(nil)
		if len(data) != 1+len(want) || chunkHash(m.Salt, data[1:]) != m.Chunks[i] {
			return 0, fmt.Errorf("chunk %d of %q is not what the value names: %w", i, rec.Ref.Name, store.ErrItem)
		}
		return copy(want, data[1:]), nil
	})
	if err != nil {
		return nil, fmt.Errorf("fetch the chunks of %q: %w", rec.Ref.Name, err)
	}
	return value, nil
}

// deleteChunks removes the chunks of a large value.
func (s *Store) deleteChunks(ctx context.Context, rec *store.Record) error {
	return s.ownChunks(ctx, rec, func(ctx context.Context, ref store.Ref, c *store.Record) ([]*store.Item, error) {
		return s.author.Delete(s.now(), ref, c.Header)
	})
}

// renewChunks lets the chunks of a large value live on.
func (s *Store) renewChunks(ctx context.Context, rec *store.Record) error {
	return s.ownChunks(ctx, rec, func(_ context.Context, _ store.Ref, c *store.Record) ([]*store.Item, error) {
		return s.author.Renew(s.now(), c, s.opts.Life)
	})
}

func (s *Store) ownChunks(ctx context.Context, rec *store.Record, items func(context.Context, store.Ref, *store.Record) ([]*store.Item, error)) error {
	if rec.State.Kind() != crdt.Register {
		return nil
	}
	body, _ := rec.State.Value(nil)
	m, large, err := manifestOf(body)
	if err != nil || !large {
		return err
	}
	return s.eachChunk(ctx, len(m.Chunks), int64(m.Size), func(ctx context.Context, i int) (int, error) {
		ref := s.Own(chunkName(m.Chunks[i]))
		c, err := s.Record(ctx, ref)
		if errors.Is(err, store.ErrNotFound) {
			return 0, nil // an equal chunk came before it
		}
		if err != nil {
			return 0, err
		}
		return ChunkSize, unlessStale(s.write(ctx, ref, func() ([]*store.Item, error) { return items(ctx, ref, c) }))
	})
}
