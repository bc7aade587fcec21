package node

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// minFree is the free space below which a node stops: less than a full set of the
// database's memory tables might need.
const minFree = 256 << 20

// ErrDiskFull means that the disk has too little room left for the node to go on.
var ErrDiskFull = errors.New("the disk is almost full: make room, or move the home to a larger disk, then start the node again; nothing is lost")

// freeSpace is replaced by tests.
var freeSpace = func(dir string) (uint64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return s.Bavail * uint64(s.Bsize), nil
}

// checkDisk refuses to go on when the disk is almost full.
func (n *Node) checkDisk() error {
	free, err := freeSpace(n.cfg.Home)
	if err != nil {
		return fmt.Errorf("free space in %s: %w", n.cfg.Home, err)
	}
	if free < minFree {
		return fmt.Errorf("%s has %d MiB left: %w", n.cfg.Home, free>>20, ErrDiskFull)
	}
	return nil
}
