package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/google/renameio/v2"

	"github.com/starlingmesh/starling/chain/types"
)

// placeFile says on which file the vote log was written. A home that was copied, or
// restored from a backup, has other files of the same content: its vote log may be
// older than what the validator has signed since.
const placeFile = "votes.place"

// place names the folder of the vote log as the file system does.
func place(home string) (string, error) {
	info, err := os.Stat(filepath.Join(home, voteLogDir))
	if err != nil {
		return "", fmt.Errorf("look at the vote log: %w", err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", nil // nothing can be told here
	}
	return fmt.Sprintf("device %d inode %d", st.Dev, st.Ino), nil
}

// copied reports whether the vote log of a home is on another file than the one it was
// written on. In a fresh home there is nothing to doubt.
func copied(home string, fresh bool) (bool, error) {
	here, err := place(home)
	if err != nil {
		return false, err
	}
	raw, err := os.ReadFile(filepath.Join(home, placeFile))
	if errors.Is(err, fs.ErrNotExist) {
		return !fresh, nil
	}
	if err != nil {
		return false, fmt.Errorf("read %s: %w", placeFile, err)
	}
	return strings.TrimSpace(string(raw)) != here, nil
}

// settle notes where the vote log is now.
func settle(home string) error {
	here, err := place(home)
	if err != nil {
		return err
	}
	if err := renameio.WriteFile(filepath.Join(home, placeFile), []byte(here+"\n"), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", placeFile, err)
	}
	return nil
}

// doubtful reports whether the vote log may be an old copy. records is how many it
// holds: an empty one of a chain that has moved on is doubtful too.
func (n *Node) doubtful(records int) (bool, error) {
	if !n.cfg.Consensus.VoteLogIsNewest {
		moved, err := copied(n.cfg.Home, records == 0 && n.state.Version() == 0)
		if err != nil {
			return false, err
		}
		if moved {
			n.log.Warn("this home was copied or restored: nothing is signed until the network has passed the views that the vote log may lack " +
				"(consensus.vote_log_is_newest = true signs at once; only if no other copy can have run since)")
			return true, nil
		}
	}
	return false, settle(n.cfg.Home)
}

// reassured follows the core's word that it may sign again.
func (n *Node) reassured(v types.View) error {
	n.log.Info("the network has passed what the vote log may lack: this validator signs again", "view", uint64(v))
	return settle(n.cfg.Home)
}
