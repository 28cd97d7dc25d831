package embedded

import (
	"context"
	"slices"
	"sync"

	"github.com/hodei-jobs/hodei/eventstore"
)

type snapshots struct {
	mu     sync.Mutex
	byName map[string][]eventstore.Snapshot
}

func (s *Store) openSnapshots(eventstore.Position) error {
	s.snaps.byName = make(map[string][]eventstore.Snapshot)
	return nil
}

// SaveSnapshot implements [eventstore.Snapshots].
func (s *Store) SaveSnapshot(ctx context.Context, snap eventstore.Snapshot, keep int) error {
	chain, err := s.ChainAt(ctx, snap.Position)
	if err != nil {
		return err
	}
	snap.Chain = chain
	s.snaps.mu.Lock()
	defer s.snaps.mu.Unlock()
	all := append(s.snaps.byName[snap.Name], snap)
	s.snaps.byName[snap.Name] = all[max(0, len(all)-keep):]
	return nil
}

// LoadSnapshot implements [eventstore.Snapshots].
func (s *Store) LoadSnapshot(_ context.Context, name, version string, at eventstore.Position) (eventstore.Snapshot, bool, []error, error) {
	s.snaps.mu.Lock()
	defer s.snaps.mu.Unlock()
	for _, snap := range slices.Backward(s.snaps.byName[name]) {
		if snap.Version == version && (at == 0 || snap.Position <= at) {
			return snap, true, nil, nil
		}
	}
	return eventstore.Snapshot{}, false, nil, nil
}

// ListSnapshots implements [eventstore.Snapshots].
func (s *Store) ListSnapshots(_ context.Context, name string) (at []eventstore.Position, err error) {
	s.snaps.mu.Lock()
	defer s.snaps.mu.Unlock()
	for _, snap := range s.snaps.byName[name] {
		at = append(at, snap.Position)
	}
	return at, nil
}
