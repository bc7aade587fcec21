package driver

import (
	"fmt"

	"github.com/dgraph-io/badger/v4/options"
	"github.com/ipfs/go-datastore"
	badger "github.com/ipfs/go-ds-badger4"
)

// OpenDisk opens, or makes, a badger database in a folder. Who calls it closes it, after the
// driver. Writes reach the operating system before they are acknowledged: a process that is
// killed loses nothing; a machine that loses power may lose the last seconds, which the other
// holders still have.
func OpenDisk(dir string) (datastore.Batching, error) {
	o := badger.DefaultOptions
	o.Options = o.WithMemTableSize(8 << 20).WithNumMemtables(2).WithNumCompactors(2).WithBlockCacheSize(0).WithCompression(options.None).
		WithValueLogFileSize(64 << 20).WithMetricsEnabled(false).WithSyncWrites(false).WithDetectConflicts(false)
	d, err := badger.NewDatastore(dir, &o)
	if err != nil {
		return nil, fmt.Errorf("open the store %s: %w (is another node running there?)", dir, err)
	}
	return d, nil
}
