package node

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/ipfs/go-datastore"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/starlingmesh/starling/dht/store"
	"github.com/starlingmesh/starling/dht/store/driver"
	"github.com/starlingmesh/starling/node/api"
)

// dataStore is the node's part in keeping data for others.
type dataStore struct {
	driver *driver.Driver
	disk   datastore.Batching
}

const dataDir = "dht"

func (n *Node) openData(Keys) error {
	disk, err := driver.OpenDisk(filepath.Join(n.cfg.Home, dataDir))
	if err != nil {
		return err
	}
	d, err := driver.New(n.host, driver.Config{
		Network: n.networkName(), Disk: disk, Member: n.cfg.DHT.Hold, Leave: n.cfg.DHT.Leave, PeerBytes: n.cfg.DHT.PeerRate,
		Limits: store.Limits{Bytes: n.cfg.DHT.MaxBytes, OwnerBytes: n.cfg.DHT.OwnerBytes},
		Core:   store.Config{Rate: n.cfg.DHT.RepairRate},
		Reach:  func(ctx context.Context, id peer.ID) error { return n.mesh.discovery.FindPeer(ctx, id) },
	}, n.log.With("component", "dht"))
	if err != nil {
		return errors.Join(err, disk.Close())
	}
	n.data = &dataStore{d, disk}
	return nil
}

func (d *dataStore) close() error {
	d.driver.Close()
	return d.disk.Close()
}

// Data implements api.Backend.
func (b backend) Data() api.Data { return b.data.driver }

// watch adds the store's metrics.
func (d *dataStore) watch(gauge, counter func(name, help string, f func() float64)) {
	of := func(pick func(driver.Status) float64) func() float64 {
		return func() float64 { return pick(d.driver.Status()) }
	}
	gauge("starling_dht_records", "Records held.", of(func(s driver.Status) float64 { return float64(s.Records) }))
	gauge("starling_dht_bytes", "Their size.", of(func(s driver.Status) float64 { return float64(s.Bytes) }))
	gauge("starling_dht_known", "Peers in the table of fingers.", of(func(s driver.Status) float64 { return float64(s.Known) }))
	gauge("starling_dht_settled", "1 if the node holds what it must.", of(func(s driver.Status) float64 {
		if s.Settled {
			return 1
		}
		return 0
	}))
	for _, c := range []struct {
		name, help string
		pick       func(driver.Status) uint64
	}{
		{"gets", "Reads of this node's users.", func(s driver.Status) uint64 { return s.Count.Gets }},
		{"puts", "Writes of this node's users.", func(s driver.Status) uint64 { return s.Count.Puts }},
		{"requests", "Requests sent for these.", func(s driver.Status) uint64 { return s.Count.Requests }},
		{"served", "Requests of others that were answered.", func(s driver.Status) uint64 { return s.Count.Served }},
		{"refused", "Items of others that were not taken: stale, too large, not allowed.", func(s driver.Status) uint64 { return s.Count.Refused }},
		{"forged", "Items of others with a wrong signature.", func(s driver.Status) uint64 { return s.Forged }},
		{"damaged", "Items that were damaged on disk.", func(s driver.Status) uint64 { return uint64(s.Damaged) }},
		{"equivocations", "Changes of one replica that have one number and differ.", func(s driver.Status) uint64 { return uint64(s.Twice) }},
		{"repaired", "Holders that a read brought up to date.", func(s driver.Status) uint64 { return s.Count.Repaired }},
		{"moved_bytes", "Bytes that were copied to other holders.", func(s driver.Status) uint64 { return s.Count.MovedBytes }},
		{"handed_over", "Records that others hold now.", func(s driver.Status) uint64 { return s.Count.HandedOver }},
	} {
		counter("starling_dht_"+c.name+"_total", c.help, of(func(s driver.Status) float64 { return float64(c.pick(s)) }))
	}
}
