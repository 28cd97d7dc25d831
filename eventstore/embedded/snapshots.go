package embedded

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/embedded/snapshot"
)

// openSnapshots opens the folder of snapshots and holds it against the log: one
// at a position that the log has not reached proves that the log lost records.
func (s *Store) openSnapshots(head eventstore.Position) (err error) {
	if s.snaps, err = snapshot.Open(filepath.Join(s.dir, snapshotsDir)); err != nil {
		return err
	}
	highest, err := s.snaps.Highest()
	if err == nil && highest > head {
		err = s.refuse(head, fmt.Sprintf("the log ends at #%d, but there is a snapshot of #%d", head, highest), lostHelp)
	}
	return err
}

// SaveSnapshot implements [eventstore.Snapshots].
func (s *Store) SaveSnapshot(ctx context.Context, snap eventstore.Snapshot, keep int) (err error) {
	if s.space.isLow() {
		return s.space.refusal()
	}
	if snap.Chain, err = s.ChainAt(ctx, snap.Position); err != nil {
		return err
	}
	return s.snaps.Save(ctx, snap, keep)
}

// LoadSnapshot implements [eventstore.Snapshots].
func (s *Store) LoadSnapshot(ctx context.Context, name, version string, at eventstore.Position) (eventstore.Snapshot, bool, []error, error) {
	if s.closed() {
		return eventstore.Snapshot{}, false, nil, eventstore.ErrClosed
	}
	return s.snaps.Load(ctx, name, version, at, func(snap eventstore.Snapshot) error {
		chain, err := s.ChainAt(ctx, snap.Position)
		if err == nil && chain != snap.Chain {
			err = fmt.Errorf("snapshot %s of #%d is of another log: its chain is %s, the log's %s", name, snap.Position, snap.Chain, chain)
		}
		return err
	})
}

// ListSnapshots implements [eventstore.Snapshots].
func (s *Store) ListSnapshots(ctx context.Context, name string) ([]eventstore.Position, error) {
	if s.closed() {
		return nil, eventstore.ErrClosed
	}
	return s.snaps.List(ctx, name)
}
