package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/embedded/index"
	"github.com/hodei-jobs/hodei/eventstore/wal"
)

const (
	logName      = "log"
	indexDir     = "index"
	snapshotsDir = "snapshots"

	damageHelp = "restore the folder from a backup, or move the file away for inspection; nothing was changed"
	lostHelp   = "if the log was put back from a backup on purpose, remove index and snapshots beside it and start again"
)

// Report tells what Open found and did.
type Report struct {
	Head  eventstore.Position
	Clean bool          // the store had been closed in order
	Cut   int64         // bytes of a torn last frame that were cut off
	Index string        // why the index is made anew; empty if it isn't
	Took  time.Duration // until reads were possible
	Notes []string      // all that is worth telling, in words
}

// Open opens the store in cfg.Dir, which it makes if there is none, for this
// process alone. Reads are possible when it returns; for appends see
// [Store.Ready]. Errors: *eventstore.DamageError if the log is not what was
// written, or lost records that something else in the folder knows of;
// *wal.LockedError if another process has it open.
func Open(ctx context.Context, cfg Config) (*Store, Report, error) {
	return open(ctx, cfg, index.Open)
}

func open(ctx context.Context, cfg Config, openDB func(string) (index.Index, error)) (*Store, Report, error) {
	began := time.Now()
	if cfg.ReserveBytes == 0 {
		cfg.ReserveBytes = DefaultReserveBytes
	}
	s := &Store{dir: cfg.Dir, logger: cmp.Or(cfg.Logger, slog.Default()), failed: make(chan struct{})}
	var report Report
	_, _, err := wal.Open(filepath.Join(cfg.Dir, logName), wal.Options{
		JournalBytes: cfg.JournalBytes, Check: checkBody, Files: cfg.Files, MetaBytes: sealMetaBytes,
		// Nothing is cut off the log before all that stands beside it agrees.
		Accept: func(log *wal.Log, rec wal.Recovery) error {
			s.log = log
			if err := s.openLog(cfg, rec, &report); err != nil {
				return err
			}
			return s.openRest(ctx, cfg, openDB, &report)
		},
	})
	if err != nil {
		if s.index != nil {
			s.index.flush()
		}
		return nil, report, portDamage(err)
	}
	s.start(cfg.ScrubBytes)
	report.Took = time.Since(began)
	s.waitReady(ctx)
	return s, report, nil
}

// openLog takes the log's newest journal into memory.
func (s *Store) openLog(cfg Config, rec wal.Recovery, report *Report) error {
	report.Clean, report.Cut, report.Notes = rec.Clean, rec.Cut, rec.Notes
	t, err := s.readNewest()
	if err != nil {
		return err
	}
	if rec.Clean && string(rec.Meta) != string(t.chain[:]) {
		return s.refuse(t.head, "the log was closed in order with another chain than it has", damageHelp)
	}
	if t.head < cfg.MinHead {
		return s.refuse(t.head, fmt.Sprintf("the log ends at #%d, though #%d is known to have been in it", t.head, cfg.MinHead), lostHelp)
	}
	s.tail.Store(t)
	report.Head = t.head
	return nil
}

func (s *Store) refuse(last eventstore.Position, reason, help string) error {
	return &eventstore.DamageError{File: filepath.Join(s.dir, logName), Position: last, Reason: reason, Help: help}
}

// readNewest verifies the newest journal, chain and order included, and returns
// the tail; heads gets the highest event id.
func (s *Store) readNewest() (*tail, error) {
	current := s.log.Current()
	head := eventstore.Position(current.First) - 1
	t := &tail{begin: head + 1, head: head, chain: current.Chain, next: make(chan struct{})}
	var maxID int64
	journals := s.log.Journals()
	if n := len(journals) - 1; n > 0 {
		if meta, ok := decodeSealMeta(journals[n-1].Meta); ok {
			t.time, maxID = meta.lastTime, meta.maxID
		}
	}
	chain := eventstore.Chain{Hash: t.chain, Position: head}
	for w, err := range s.log.Frames(current.First) {
		if err != nil {
			return nil, portDamage(err)
		}
		f, err := decode(w)
		if err == nil {
			err = f.follows(&chain, t.time)
		}
		if err != nil {
			return nil, s.refuse(chain.Position, err.Error(), damageHelp)
		}
		for _, start := range f.starts {
			maxID = max(maxID, f.records[start].ID.Milli())
		}
		t.frames = append(t.frames, f)
		t.head, t.chain, t.time = f.last(), chain.Hash, f.records[len(f.records)-1].Time
	}
	s.heads = newHeads(maxID)
	return t, nil
}

// follows takes a frame into the chain and verifies that it continues the log.
func (f *frame) follows(chain *eventstore.Chain, time int64) error {
	if f.chain != chain.Hash {
		return fmt.Errorf("the chain before #%d is not that of the records before it", f.first)
	}
	for i := range f.records {
		r := &f.records[i]
		if r.Time < time {
			return fmt.Errorf("the time of #%d is before that of the record before it", r.Position)
		}
		time = r.Time
		chain.AddRecord(r)
	}
	return nil
}

// openRest opens what stands beside the log and holds it against it.
func (s *Store) openRest(ctx context.Context, cfg Config, openDB func(string) (index.Index, error), report *Report) error {
	t := s.tail.Load()
	if err := s.openSnapshots(t.head); err != nil {
		return err
	}
	files := indexFiles{dir: filepath.Join(cfg.Dir, indexDir), openDB: openDB}
	ix, why, err := files.openFirst(func(c index.Checkpoint) error { return s.checkMarked(c, t) })
	if err != nil {
		return fmt.Errorf("cannot open event store: cannot make its index: %w", err)
	}
	cause, err := s.checkIndex(ctx, ix, t) // of damage in the index that is open
	if err != nil {
		return errors.Join(err, files.close(ix))
	}
	s.index = newIndexer(s, files, ix, cause)
	if report.Index = why; cause != nil {
		report.Index = cause.Error()
	}
	if report.Index != "" {
		report.Notes = append(report.Notes, "the index is made anew from the log: "+report.Index)
	}
	s.clock = newLogClock(bothClocks(cfg.Clock), t.time, cfg.ClockStepped)
	s.space = newSpace(cfg)
	if err := s.space.allocate(); err != nil {
		report.Notes = append(report.Notes, "no room is held in reserve for a full disk: "+err.Error())
	}
	s.writer = newWriter(s)
	for _, f := range t.frames {
		for i := range f.records {
			if f.records[i].Revision == 1 {
				s.writer.begun = append(s.writer.begun, f.records[i].Stream)
			}
		}
	}
	return nil
}

// checkIndex holds the index's checkpoint against the log. An index that is
// whole and knows more than the log, or other records, proves that the log was
// lost or swapped; one that is damaged proves nothing, and the damage says so.
func (s *Store) checkIndex(ctx context.Context, ix index.Index, t *tail) (damage, err error) {
	reason, err := s.lost(ix.Checkpoint(), t)
	if err != nil || reason == "" {
		return nil, err
	}
	if err := ix.Scrub(ctx, nil); err != nil && ctx.Err() == nil {
		return err, nil
	}
	return nil, s.refuse(t.head, reason, lostHelp)
}

// checkMarked is checkIndex for an index of which only the checkpoint is left.
// It had a checksum, so that damage can't have made it up.
func (s *Store) checkMarked(c index.Checkpoint, t *tail) error {
	reason, err := s.lost(c, t)
	if err != nil || reason == "" {
		return err
	}
	return s.refuse(t.head, reason, lostHelp)
}

// lost returns why an index with this checkpoint was not made from the log as it
// is; empty if it was.
func (s *Store) lost(c index.Checkpoint, t *tail) (reason string, err error) {
	if c.Position > t.head {
		return fmt.Sprintf("the log ends at #%d, but its index goes to #%d", t.head, c.Position), nil
	}
	if c.Position == 0 || uint64(c.Position) < s.log.First() {
		return "", nil
	}
	chain, err := s.chainAt(t, c.Position)
	if err == nil && chain != c.Chain {
		reason = fmt.Sprintf("the chain at #%d is not the one that the index has", c.Position)
	}
	return reason, err
}

// start sets indexer and scrub going.
func (s *Store) start(scrubBytes int64) {
	ctx, cancel := context.WithCancel(context.Background())
	s.stopRest, s.scrubbed = cancel, make(chan struct{})
	go s.index.run(ctx)
	go func() {
		defer close(s.scrubbed)
		if scrubBytes >= 0 {
			(&scrub{store: s, rate: cmp.Or(scrubBytes, DefaultScrubBytes)}).run(ctx)
		}
	}()
}

func (s *Store) waitReady(ctx context.Context) {
	timer := time.NewTimer(startWait)
	defer timer.Stop()
	select {
	case <-s.index.ready:
	case <-s.failed:
	case <-timer.C:
	case <-ctx.Done():
	}
}
