package projections

import (
	"bytes"
	"context"
	"log/slog"
	"time"

	"github.com/hodei-jobs/hodei/eventstore"
)

const (
	// SnapshotName is what the World's snapshots are called in the store.
	SnapshotName = "world"

	snapshotEvents  = 25_000           // a snapshot is due after as many events, or as there are jobs if that is more
	snapshotsKept   = 8                // the past is replayed from the nearest of them
	lastSaveTimeout = 30 * time.Second // of the snapshot that is saved at the end
)

// saver writes snapshots of published Worlds in the background, one at a time.
// The log does without them; a failure is logged and the next one tried.
type saver struct {
	store eventstore.Store
	log   *slog.Logger
	due   chan *World // holds one; closed by finish

	saved eventstore.Position // of the newest that was handed over or loaded
}

func newSaver(store eventstore.Store, log *slog.Logger) *saver {
	return &saver{store: store, log: log, due: make(chan *World, 1)}
}

// run saves what is handed over until finish.
func (s *saver) run() {
	for w := range s.due {
		s.save(w)
	}
}

// offer hands a World over if a snapshot is due and the last one was written.
func (s *saver) offer(w *World) {
	if w.Position < s.saved+eventstore.Position(max(snapshotEvents, w.Jobs.Len())) {
		return
	}
	select {
	case s.due <- w:
		s.saved = w.Position
	default:
	}
}

// finish hands over the last World, which nobody changes any more.
func (s *saver) finish(w *World) {
	if w.Position > s.saved {
		s.due <- w
	}
	close(s.due)
}

func (s *saver) save(w *World) {
	ctx, cancel := context.WithTimeout(context.Background(), lastSaveTimeout)
	defer cancel()
	var form bytes.Buffer
	err := w.Encode(&form)
	if err == nil {
		err = s.store.SaveSnapshot(ctx, eventstore.Snapshot{
			Name: SnapshotName, Version: Version, Position: w.Position, Data: form.Bytes(),
		}, snapshotsKept)
	}
	if err != nil {
		s.log.Warn("a snapshot of the World was not saved", "position", uint64(w.Position), "error", err)
	}
}

// load returns the World of the newest snapshot that can be used, else the empty
// one.
func (s *saver) load(ctx context.Context) *World {
	below := eventstore.Position(0)
	for {
		snapshot, ok, skipped, err := s.store.LoadSnapshot(ctx, SnapshotName, Version, below)
		for _, why := range skipped {
			s.log.Warn("a snapshot of the World can't be used", "error", why)
		}
		if err != nil {
			s.log.Warn("snapshots of the World can't be read", "error", err)
		}
		if err != nil || !ok {
			return NewWorld()
		}
		w, err := Decode(snapshot.Data)
		if err == nil && w.Position == snapshot.Position {
			s.saved = w.Position
			return w
		}
		s.log.Warn("a snapshot of the World can't be used", "position", uint64(snapshot.Position), "error", err)
		if snapshot.Position <= 1 {
			return NewWorld()
		}
		below = snapshot.Position - 1
	}
}
