package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/dgraph-io/badger/v4"
)

// batch gathers the records of one write under one timestamp and remembers
// which records it touched. It sends them in transactions of moderate size, so
// that the database writes while more are being made. It is safe for concurrent
// use until flush or cancel.
type batch struct {
	db    *badger.DB
	ts    uint64
	fault func(b *batch, step string) error // of tests

	mu      sync.Mutex
	txn     *badger.Txn
	size    int      // of txn, in bytes
	touched [][]byte // encoded lists of keys, chunkBytes each
	err     error

	sent  sync.WaitGroup // transactions under way
	slots chan struct{}  // one each
}

const (
	// chunkBytes bounds one record of the touched list, well below badger's
	// limit for a transaction.
	chunkBytes = 64 << 10
	// txnBytes is when a transaction is sent.
	txnBytes = 512 << 10
	// maxSent bounds the transactions under way, and so the memory.
	maxSent = 16
)

func (s *State) newBatch(ts uint64) *batch {
	db := s.db.badger
	return &batch{db: db, ts: ts, txn: db.NewTransactionAt(ts, true), fault: s.opts.fault, slots: make(chan struct{}, maxSent)}
}

// put writes a record, or removes it if value is nil, and notes its key for a
// rollback.
func (b *batch) put(key, value []byte) error {
	b.mu.Lock()
	last := len(b.touched) - 1
	if last < 0 || len(b.touched[last])+len(key)+binary.MaxVarintLen16 > chunkBytes {
		b.touched = append(b.touched, make([]byte, 0, 4096))
		last++
	}
	list := binary.AppendUvarint(b.touched[last], uint64(len(key)))
	b.touched[last] = append(list, key...)
	b.mu.Unlock()
	return b.write(key, value)
}

// write is put for records that a rollback treats by itself.
func (b *batch) write(key, value []byte) error {
	if b.fault != nil {
		if err := b.fault(b, "write"); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.size += len(key) + len(value); b.size > txnBytes {
		b.send()
		b.size = len(key) + len(value)
	}
	err := b.set(key, value)
	if errors.Is(err, badger.ErrTxnTooBig) { // by badger's count, which is finer
		b.send()
		err = b.set(key, value)
	}
	if err != nil {
		return fmt.Errorf("write record %x: %w", key, err)
	}
	return nil
}

func (b *batch) set(key, value []byte) error {
	if value == nil {
		return b.txn.Delete(key)
	}
	return b.txn.Set(key, value)
}

// send commits the transaction without waiting and begins the next; b.mu is
// held. Badger writes transactions in the order in which they are sent.
func (b *batch) send() {
	b.slots <- struct{}{}
	b.sent.Add(1)
	err := b.txn.CommitAt(b.ts, func(err error) {
		defer b.sent.Done()
		<-b.slots // before b.mu, which send may hold while it waits for a slot
		if err != nil {
			b.mu.Lock()
			b.err = errors.Join(b.err, err)
			b.mu.Unlock()
		}
	})
	if err != nil { // never, with a callback
		b.err = errors.Join(b.err, err)
	}
	b.txn = b.db.NewTransactionAt(b.ts, true)
}

// writeTouched stores the list of touched keys and returns the number of chunks.
func (b *batch) writeTouched() (chunks uint32, err error) {
	for i, list := range b.touched {
		key := touchedKey(b.ts, uint32(i))
		if err := b.write(key, seal(key, list)); err != nil {
			return 0, err
		}
	}
	return uint32(len(b.touched)), nil
}

func (b *batch) dropTouched(p point) error {
	for i := range p.chunks {
		if err := b.write(touchedKey(p.ts, i), nil); err != nil {
			return err
		}
	}
	return b.write(versionKey(p.version), nil)
}

// flush returns once all records are written, though not durable.
func (b *batch) flush() error {
	b.mu.Lock()
	b.send()
	b.mu.Unlock()
	b.sent.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return fmt.Errorf("write batch: %w", b.err)
	}
	if b.fault != nil {
		return b.fault(b, "flushed")
	}
	return nil
}

// cancel drops what was not sent and waits for the rest. It does nothing after
// flush.
func (b *batch) cancel() {
	b.sent.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.txn.Discard()
}

// readTouched hands over the keys that the version at p touched.
func readTouched(txn *badger.Txn, p point, fn func(key []byte)) error {
	for i := range p.chunks {
		key := touchedKey(p.ts, i)
		list, err := readSealed(txn, key)
		if err != nil {
			return err
		}
		if list == nil {
			return fmt.Errorf("record %x is missing: %w", key, ErrCorrupt)
		}
		for len(list) > 0 {
			n, used := binary.Uvarint(list)
			if used <= 0 || uint64(len(list)-used) < n {
				return fmt.Errorf("record %x: %w", key, ErrCorrupt)
			}
			fn(list[used : used+int(n)])
			list = list[used+int(n):]
		}
	}
	return nil
}
