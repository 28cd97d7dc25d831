// Package embedded is the event store in a folder of this machine, the default.
//
//	DIR/log/        the truth: journals of frames (see package wal)
//	DIR/index/      names, revisions and ids to positions; made anew from the log when damaged
//	DIR/snapshots/  read models' states; they can be lost
//	DIR/reserve     room that is given up when the disk is full
//
// One goroutine at a time appends: the caller that has the turn takes what has
// queued up, judges it and writes it as one frame with one sync. One goroutine,
// the indexer, writes the index behind it. Readers take the tail, an immutable
// value, and never wait for either.
//
// Nothing in the index is believed unchecked. A positive answer is held against
// the record it names; a negative one counts only after the whole index was
// scrubbed at this start. Until then, and while a damaged index is made anew,
// reads work and appends are answered with *eventstore.ReadOnlyError.
package embedded

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/embedded/snapshot"
	"github.com/hodei-jobs/hodei/eventstore/wal"
)

// DefaultReserveBytes is the room kept for essential events on a full disk.
const DefaultReserveBytes = 32 << 20

// startWait is how long Open waits for the index at most. A small one is ready
// by then; with a large one reads can begin.
const startWait = time.Second

// Config of a store. Only Dir must be set.
type Config struct {
	Dir          string
	JournalBytes int64            // from which size on a new journal begins; 0 means wal.DefaultJournalBytes
	Clock        func() time.Time // nil means the machine's, whose time passes also while it sleeps
	Logger       *slog.Logger     // nil means slog.Default()

	// MinHead is a position that the caller knows to have been durable. A log
	// that ends before it was lost or swapped, and is refused.
	MinHead eventstore.Position

	// ReserveBytes is kept free for Essential, the types of events that are taken
	// even when the disk is full; 0 means DefaultReserveBytes, less than 0 none.
	ReserveBytes int64
	Essential    []string

	// ScrubBytes is how many bytes a second are read in the background to verify
	// sealed journals; 0 means DefaultScrubBytes, less than 0 none.
	ScrubBytes int64

	// ClockStepped is told when the wall clock was set by more than a second; the
	// log's time goes on as before. It must not wait for an append.
	ClockStepped func(by time.Duration)

	// Files lets tests make steps on disk fail; nil means the disk.
	Files wal.Files
}

// Store is an open store; it implements [eventstore.Store].
type Store struct {
	dir    string
	logger *slog.Logger
	log    *wal.Log
	clock  *logClock
	space  *space
	index  *indexer
	writer *writer
	heads  *heads
	tail   atomic.Pointer[tail]
	blocks blocks
	snaps  *snapshot.Store

	// writing is held by the writer for each frame, and by the indexer when it
	// changes what the writer believes. Readers never take it.
	writing sync.Mutex

	stopRest context.CancelFunc // of indexer and scrub
	scrubbed chan struct{}      // closed when the scrub has ended
	closing  sync.Once
	closeErr error
	isClosed atomic.Bool

	unverified atomic.Pointer[error] // why the last scrub could not read the log; nil if it could

	failing sync.Once
	failed  chan struct{}
	err     error // why it failed; written before failed is closed
}

var _ eventstore.Store = (*Store)(nil)

// Append implements [eventstore.Store].
func (s *Store) Append(ctx context.Context, batches ...eventstore.Batch) (eventstore.Result, error) {
	results, err := s.AppendEach(ctx, []eventstore.Append{{Batches: batches}})
	if err != nil {
		return eventstore.Result{Err: err}, err
	}
	return results[0], results[0].Err
}

// AppendEach implements [eventstore.Store].
func (s *Store) AppendEach(ctx context.Context, appends []eventstore.Append) ([]eventstore.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c := &call{appends: appends, results: make([]eventstore.Result, len(appends)), done: make(chan struct{})}
	for i := range appends {
		if err := appends[i].Validate(); err != nil {
			c.results[i].Err = err
		} else {
			c.left++
		}
	}
	if c.left == 0 {
		if s.closed() || s.Err() != nil {
			return nil, s.gone()
		}
		return c.results, nil
	}
	if err := s.writer.send(ctx, c); err != nil {
		return nil, err
	}
	return c.results, nil
}

// Ready returns a channel that is closed when the store has taken appends for
// the first time since it was opened: the index was found whole or made anew.
func (s *Store) Ready() <-chan struct{} { return s.index.ready }

// Progress returns why appends are refused at present and how far what makes
// them possible again is, from 0 to 1; nil if they are taken.
func (s *Store) Progress() *eventstore.ReadOnlyError {
	_, err := s.index.usable()
	if err == nil && s.space.isLow() {
		err = s.space.refusal()
	}
	var refusal *eventstore.ReadOnlyError
	errors.As(err, &refusal)
	return refusal
}

// SpaceIsLow reports whether the disk was found full, so that what room there is
// is for essential events. Who writes anything else to it asks before each write,
// as logs on [wal.Sparing] do.
func (s *Store) SpaceIsLow() bool { return s.space.isLow() }

// Now returns the log's time: what a record would get that is written now. It
// never goes back and is not changed when the wall clock is set.
func (s *Store) Now() time.Time {
	log, _ := s.clock.read()
	return time.Unix(0, max(log, s.tail.Load().time)).UTC()
}

// Close implements [eventstore.Store].
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.writer.close()
		s.isClosed.Store(true)
		s.stopRest()
		<-s.index.stopped
		<-s.scrubbed
		t := s.tail.Load()
		s.closeErr = s.log.Close(t.chain[:])
		close(t.next)
	})
	return s.closeErr
}

func (s *Store) closed() bool { return s.isClosed.Load() }

// gone is the answer to appends that were not taken.
func (s *Store) gone() error {
	if err := s.Err(); err != nil {
		return err
	}
	return eventstore.ErrClosed
}

// Failed implements [eventstore.Store].
func (s *Store) Failed() <-chan struct{} { return s.failed }

// Err implements [eventstore.Store].
func (s *Store) Err() error {
	select {
	case <-s.failed:
		return s.err
	default:
		return nil
	}
}

func (s *Store) fail(cause error) {
	s.failing.Do(func() {
		s.err = &eventstore.FailedError{Cause: cause}
		s.logger.Error("event store has stopped", "error", cause)
		close(s.failed)
	})
}

// stop ends the store if err is damage of the log, which it returns in the
// port's form. A log that is damaged in one place is not written to further.
func (s *Store) stop(err error) error {
	err = portDamage(err)
	var damaged *eventstore.DamageError
	if errors.As(err, &damaged) {
		s.fail(err)
	}
	return err
}

// damage ends the store because a frame with a right checksum has a wrong body.
func (s *Store) damage(w wal.Frame, err error) error {
	return s.stop(&eventstore.DamageError{
		File: filepath.Join(s.dir, logName), Position: eventstore.Position(w.First) - 1, Reason: err.Error(), Help: damageHelp,
	})
}

func portDamage(err error) error {
	var d *wal.DamageError
	if !errors.As(err, &d) {
		return err
	}
	return &eventstore.DamageError{
		File: d.File, Offset: d.Offset, Position: eventstore.Position(d.Position), Reason: d.Reason, Help: damageHelp,
	}
}
