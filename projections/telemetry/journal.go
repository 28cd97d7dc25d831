package telemetry

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/wal"
)

const (
	// DefaultRetention is how long samples are kept.
	DefaultRetention = 7 * 24 * time.Hour
	// DefaultMaxBytes is what all journals together may take on disk.
	DefaultMaxBytes = 1 << 30

	queued       = 4096           // samples that wait for the writer; further ones are dropped
	flushEvery   = time.Second    // how long a sample waits to share a sync
	flushBytes   = 256 << 10      // from this size on a frame is written at once
	journalBytes = 4 << 20        // of one journal
	journalSpan  = 12 * time.Hour // a journal is closed after it, so that it can be removed in time
)

// Options of a table with a journal. The zero value is usable.
type Options struct {
	// Position is asked for the position of the log when a sample arrives.
	Position  func() eventstore.Position // nil: always 0
	Clock     func() time.Time           // nil is time.Now
	Retention time.Duration              // 0 is DefaultRetention
	MaxBytes  int64                      // 0 is DefaultMaxBytes
	Files     wal.Files                  // what the journal does to its folder; nil is the disk
	Logger    *slog.Logger               // nil discards
}

// journal writes samples behind the table's back.
type journal struct {
	Options
	log   *wal.Log
	noted func() // is called once something of this opening is on disk

	queue  chan Record // bounded by queued; a full one drops
	broken atomic.Bool // it takes no more; the table does without

	// Owned by run.
	history history
	how     byte   // what the next frame begins with
	frame   []byte // HeaderSize bytes and the body so far
	count   uint32
	begun   time.Time // the current journal
	span    span      // of the current journal
	opening opening   // as the next journal's first frame is to say
}

// span is what is kept of a closed journal: the last position and time in it.
type span struct {
	position eventstore.Position
	time     int64
}

// Open opens the journal in a folder, which it creates, and returns an empty
// table that goes on with it. Samples are written once [Table.Run] runs; Position
// and Clock are not asked before a sample comes or that.
func Open(dir string, o Options) (*Table, error) {
	log, _, err := wal.Open(dir, wal.Options{JournalBytes: journalBytes, Files: o.Files})
	if err != nil {
		return nil, fmt.Errorf("cannot open telemetry: %w", err)
	}
	if o.Position == nil {
		o.Position = func() eventstore.Position { return 0 }
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Retention <= 0 {
		o.Retention = DefaultRetention
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	opening, err := openingOf(log)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot open telemetry: %w", err), log.Close(nil))
	}
	t := New()
	t.journal = &journal{Options: o, log: log, opening: opening, noted: t.stamp, queue: make(chan Record, queued)}
	t.offset, t.highest, t.unstamped = opening.offset, opening.position, true
	return t, nil
}

// offer hands a sample to the writer, or reports that it can't. A journal that
// is broken takes all and keeps none.
func (j *journal) offer(offset uint64, worker id.ID, s Sample) bool {
	if j.broken.Load() {
		return true
	}
	select {
	case j.queue <- Record{Offset: offset, Position: j.Position(), Time: j.Clock().UnixNano(), Worker: worker, Sample: s}:
		return true
	default:
		return false
	}
}

// Run writes the journal until ctx ends, and then what has been queued. Without
// a journal it only waits. It returns nil if ctx ended, else why the journal can't
// be written; the table works on without one then. It is called once.
func (t *Table) Run(ctx context.Context) error {
	j := t.journal
	if j == nil {
		<-ctx.Done()
		return nil
	}
	err := j.run(ctx)
	if err != nil {
		j.broken.Store(true)
	}
	return errors.Join(err, j.log.Close(nil))
}

func (j *journal) run(ctx context.Context) error {
	j.begun = j.Clock()
	j.begin(frameBegins)
	timer := time.NewTimer(flushEvery)
	timer.Stop()
	err := j.note()
	for err == nil {
		select {
		case r := <-j.queue:
			if j.count == 0 {
				timer.Reset(flushEvery)
			}
			err = j.take(&r)
		case <-timer.C:
			err = j.flush()
		case <-ctx.Done():
			return j.drain()
		}
	}
	return err
}

// drain writes what was queued before ctx ended.
func (j *journal) drain() error {
	for {
		select {
		case r := <-j.queue:
			if err := j.take(&r); err != nil {
				return err
			}
		default:
			return j.flush()
		}
	}
}

func (j *journal) begin(how byte) {
	if how == frameBegins {
		j.history.reset()
	}
	j.how, j.count = how, 0
}

func (j *journal) take(r *Record) error {
	if len(r.Attempts) > maxFrameAttempts {
		r.Attempts = r.Attempts[:maxFrameAttempts]
	}
	if j.count == 0 {
		j.frame = append(append(j.frame[:0], make([]byte, wal.HeaderSize)...), j.how)
		j.frame = binary.AppendUvarint(j.frame, r.Offset)
	}
	j.frame = j.history.append(j.frame, r)
	j.count++
	j.span = span{r.Position, r.Time}
	j.opening = opening{r.Offset, max(j.opening.position, r.Position)}
	if len(j.frame) < flushBytes {
		return nil
	}
	return j.flush()
}

// flush writes the frame. When the disk is full its samples are lost, and said so.
func (j *journal) flush() error {
	if j.count == 0 {
		return nil
	}
	err := j.log.Append(wal.Header{First: j.log.Next(), Count: j.count}, j.frame)
	if errors.Is(err, wal.ErrFull) {
		j.Logger.Warn("telemetry was not written", "samples", j.count, "error", err)
		j.begin(frameBegins)
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot write telemetry: %w", err)
	}
	j.noted()
	if j.log.Full(0) || j.Clock().Sub(j.begun) >= journalSpan {
		return j.roll()
	}
	j.begin(frameContinues)
	return nil
}

// roll closes the current journal and removes those that are too old or too much.
func (j *journal) roll() error {
	meta := binary.AppendUvarint(nil, uint64(j.span.position))
	meta = binary.AppendVarint(meta, j.span.time)
	if err := j.log.Roll([32]byte{}, meta); err != nil && !errors.Is(err, wal.ErrFull) {
		return fmt.Errorf("cannot close a journal of telemetry: %w", err)
	}
	j.begun = j.Clock()
	j.begin(frameBegins)
	if err := j.note(); err != nil { // those before may go
		return err
	}
	all := j.log.Journals()
	var bytes int64
	for _, one := range all {
		bytes += one.Bytes
	}
	oldest := j.Clock().Add(-j.Retention).UnixNano()
	for _, one := range all[:len(all)-1] {
		if bytes <= j.MaxBytes && spanOf(one).time >= oldest {
			return nil
		}
		err := j.log.Remove(one.Next - 1)
		if errors.Is(err, wal.ErrFull) {
			return nil // the next roll tries again
		}
		if err != nil {
			return fmt.Errorf("cannot remove old telemetry: %w", err)
		}
		bytes -= one.Bytes
	}
	return nil
}

// Read yields the samples that arrived while the log was at positions from to
// to, both included, as far as they are on disk. After an error it ends. It reads
// the journals concerned from their beginning, some 4 MB each.
func (t *Table) Read(ctx context.Context, from, to eventstore.Position) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		if t.journal == nil {
			return
		}
		for _, one := range t.journal.log.Journals() {
			if one.Frames == 0 || spanOf(one).position < from {
				continue
			}
			if !t.journal.read(ctx, one, from, to, yield) {
				return
			}
		}
	}
}

func (j *journal) read(ctx context.Context, one wal.Journal, from, to eventstore.Position, yield func(Record, error) bool) bool {
	var h history
	for f, err := range j.log.Frames(one.First) {
		if err == nil {
			err = ctx.Err()
		}
		if errors.Is(err, wal.ErrRemoved) {
			return true // too old by now
		}
		if err != nil {
			return yield(Record{}, err) && false
		}
		if f.First >= one.Next {
			return true
		}
		records, err := h.frame(f.Body, f.Count)
		if err != nil {
			return yield(Record{}, fmt.Errorf("cannot read telemetry at sample %d: %w", f.First, err)) && false
		}
		for _, r := range records {
			if r.Position > to {
				return false
			}
			if r.Position >= from && !yield(r, nil) {
				return false
			}
		}
	}
	return true
}
