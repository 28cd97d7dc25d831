// Package joblog keeps what jobs print. An attempt's log is bytes with offsets
// that only grow. It is a read model with a second source: bytes come from the
// gateway, not from events.
//
//	Append ─▶ ring of the attempt ─▶ followers, at once
//	               │
//	               ▼  one writer for all, one sync every 2 ms or 1 MB
//	           journal (eventstore/wal) ─▶ durable offset ─▶ acknowledgements
//
// A ring never drops bytes at or above its attempt's durable offset; older bytes
// are read from the journal. So a reader sees each byte once and in order, from
// whatever offset it begins, however slow it is; it may see bytes before they
// are durable. If the server dies before the sync the agent sends those bytes
// again, and a reader that had seen them waits until they are back.
//
// A journal closes when it is full or old. What it has goes to the [Archive],
// then it is removed; a reader sees no seam. Without an archive journals are kept
// for ever, and when they exceed [Options.WarnBytes] that is logged. The index of
// where an attempt's bytes lie in journals is in memory, some 200 bytes for a log
// that has ended and at most 64 KiB for one that grows; opening reads it from the
// journals' seals. Of a log that is whole in the archive nothing is in memory.
package joblog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/eventstore/wal"
)

// Limits.
const (
	MaxOffset = 1<<40 - 1 // bytes of one attempt's log: what an event stream's ids can name
	MaxPiece  = maxBlock  // bytes of one piece

	MaxAttempt = 1<<31 - 1 // the highest number of an attempt

	// DefaultWindow is how many bytes above its durable offset an attempt may have.
	DefaultWindow = 1 << 20

	// PieceCost is what a piece above the durable offset counts beside its bytes: the
	// window bounds the bytes, and the pieces times this.
	PieceCost = 64

	minShare    = 64 << 10  // of memory that an attempt's ring may always use
	seriesShare = 2 << 10   // of memory that the ring of a series uses: hardly anybody follows one
	maxShare    = 1 << 20   // of memory that an attempt's ring uses at most for what is durable
	ringBudget  = 256 << 20 // of memory for all rings together
	batchBytes  = 1 << 20   // of log in one sync
	syncEvery   = 2 * time.Millisecond
	warnBytes   = 10 << 30

	journalBytes = 4 << 20
	journalAge   = time.Minute
)

// Errors of [Log.Take] and [Log.Append].
var (
	ErrFenced = errors.New("joblog: a newer session has taken the log, or none has")
	ErrGap    = errors.New("joblog: bytes are missing before these")
	ErrWindow = errors.New("joblog: more bytes or pieces than the window allows are not durable yet")
	ErrEnded  = errors.New("joblog: the log has ended")
	ErrLarge  = errors.New("joblog: the piece or the log is too large")
	ErrClosed = errors.New("joblog: closed")
)

// Key names an attempt's log, or its series.
type Key struct {
	Job     id.ID
	Attempt uint32 // at most MaxAttempt, but in the key of a series
}

// Piece is a run of bytes of one tag. Its data must not be changed.
type Piece struct {
	Tag    uint8  // 1 standard output, also a terminal's; 2 standard error; 3 a series
	Offset uint64 // of the first byte, counted over both tags
	Time   int64  // by the worker's clock, ns since 1970
	Data   []byte
}

// Options of a log. Zero values mean the defaults.
type Options struct {
	Window    int           // bytes above the durable offset an attempt may have, and pieces times PieceCost; DefaultWindow
	RingBytes int           // memory for all rings together; 256 MiB
	SyncEvery time.Duration // least time between two syncs; 2 ms
	WarnBytes int64         // size of the journals above which a warning is logged; 10 GiB
	Files     wal.Files     // what the journal does to its folder; the disk

	Archive      Archive       // where logs last; nil: journals are kept for ever
	JournalBytes int64         // size of a journal; 4 MiB
	JournalAge   time.Duration // after which a journal closes though it is small; 0: with an archive 1 min, else never

	Logger *slog.Logger // slog.Default
}

func (o Options) withDefaults() Options {
	if o.Window <= 0 {
		o.Window = DefaultWindow
	}
	if o.RingBytes <= 0 {
		o.RingBytes = ringBudget
	}
	if o.SyncEvery <= 0 {
		o.SyncEvery = syncEvery
	}
	if o.JournalBytes <= 0 {
		o.JournalBytes = journalBytes
	}
	if o.JournalAge <= 0 && o.Archive != nil {
		o.JournalAge = journalAge
	}
	if o.WarnBytes <= 0 {
		o.WarnBytes = warnBytes
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// Log keeps the logs of all attempts. All methods are safe for concurrent use.
type Log struct {
	dir      string
	options  Options
	registry registry
	writer   *writer
	journal  *wal.Log
	frames   frameCache
	rings    atomic.Int64 // memory that all rings hold
	size     atomic.Int64 // bytes of the journals
	close    sync.Once
	closeErr error
}

// Open opens the journals in dir, which it creates if there are none, and reads
// from them which logs there are. Only one process can have them open.
func Open(dir string, o Options) (*Log, error) {
	l := &Log{dir: dir, options: o.withDefaults()}
	journal, recovered, err := wal.Open(dir, wal.Options{
		JournalBytes: l.options.JournalBytes, Check: checkFrame, Files: o.Files,
		MetaBytes: 1, // whether there is any; what is in a journal is in the registry
	})
	if err != nil {
		return nil, fmt.Errorf("cannot open job logs: %w", err)
	}
	for _, note := range recovered.Notes {
		l.options.Logger.Warn("job logs: " + note)
	}
	l.journal, l.writer = journal, newWriter(l)
	if err := l.load(); err != nil {
		return nil, fmt.Errorf("cannot read job logs: %w", errors.Join(err, journal.Close(nil)))
	}
	l.writer.arm()
	go l.writer.run()
	return l, nil
}

// Take gives the attempt's log to the session with this epoch. From then on
// bytes of older sessions are refused, which is why it can say where to go on:
// it waits until all bytes there are have been synced and returns the durable
// offset. After each later sync rose is called with the new durable offset; it
// must not block and may be nil.
//
// Errors: ErrFenced (a newer session has it), ErrEnded (with the log's end),
// ctx's, or that of the journal.
func (l *Log) Take(ctx context.Context, k Key, epoch uint64, rose func(durable uint64)) (have uint64, err error) {
	a, end, ended, err := l.open(k)
	switch {
	case err != nil:
		return 0, err
	case ended:
		return end, ErrEnded
	}
	head, err := a.take(epoch, rose)
	if err != nil {
		return head, err
	}
	return head, l.WaitDurable(ctx, k, head)
}

// Append adds a piece to the log the session with this epoch has taken. It never
// waits for a disk. Bytes that are there already are dropped: the sender
// repeats them after a cut.
//
// Errors: ErrFenced, ErrGap, ErrWindow, ErrEnded, ErrLarge, or that of the
// journal when it has stopped. Nothing was added then.
func (l *Log) Append(k Key, epoch uint64, p Piece) error {
	if err := l.writer.stopped(); err != nil {
		return err
	}
	if len(p.Data) > MaxPiece || p.Offset > MaxOffset-uint64(len(p.Data)) {
		return ErrLarge
	}
	a, _, ended := l.find(k)
	switch {
	case ended:
		return ErrEnded
	case a == nil:
		return ErrFenced
	}
	fresh, cost, queue, err := a.add(epoch, p, l.options.Window, l.share(k))
	if err != nil {
		return err
	}
	l.rings.Add(int64(cost))
	l.writer.note(a, queue, fresh)
	return nil
}

// Finish says that no more bytes come: the log ends at its head, which is end
// unless bytes were lost. Readers see the end at once; it is made durable like
// bytes are. Later calls change nothing.
func (l *Log) Finish(k Key, end uint64) {
	a, _, ended, err := l.open(k)
	if ended || err != nil {
		return
	}
	head, queue := a.finish()
	if head != end {
		l.options.Logger.Warn("job log ends elsewhere than its worker said",
			"job", k.Job, "attempt", k.Attempt, "end", head, "said", end)
	}
	l.writer.note(a, queue, 0)
}

// Ended returns the length of a log to which no more bytes come, and whether it
// is one.
func (l *Log) Ended(k Key) (end uint64, ok bool) {
	a, end, ended := l.find(k)
	if a == nil {
		return end, ended
	}
	if end, ok = a.end(); !ok {
		return 0, false
	}
	return end, true
}

// Head returns the offset after the last byte there is, durable or not; 0 for an
// attempt that has no log.
func (l *Log) Head(k Key) uint64 {
	a, end, _ := l.find(k)
	if a == nil {
		return end
	}
	end, _ = a.end()
	return end
}

// Durable returns the offset below which all bytes are synced.
func (l *Log) Durable(k Key) uint64 {
	a, end, _ := l.find(k)
	if a == nil {
		return end
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.durable
}

// Wait returns the offset after the log's last byte, the durable offset, and a
// channel that is closed when one of them, or the end, changes. It never blocks:
// read up to head, then wait for the channel, and nothing is missed. For an
// attempt that has no log yet the channel is closed, perhaps early, when it
// gets one. It is nil when nothing can change any more: look at [Log.Ended]
// before waiting.
func (l *Log) Wait(k Key) (head, durable uint64, next <-chan struct{}) {
	a, end, ended, born := l.registry.watch(k)
	if a == nil && !ended {
		a, end, ended = l.find(k)
	}
	switch {
	case ended:
		return end, end, nil
	case a == nil:
		return 0, 0, born
	}
	return a.wait()
}

// WaitDurable returns when the durable offset has reached offset. Errors: ctx's,
// ErrEnded if the log ended below it, or that of the journal.
func (l *Log) WaitDurable(ctx context.Context, k Key, offset uint64) error {
	for {
		_, durable, next := l.Wait(k)
		switch {
		case durable >= offset:
			return nil
		case next == nil:
			return ErrEnded
		}
		select {
		case <-next:
		case <-ctx.Done():
			return ctx.Err()
		case <-l.writer.done:
			return l.writer.stopped()
		}
	}
}

// Open returns the attempts whose logs have not ended, in no order.
func (l *Log) Open() []Key { return l.registry.unended() }

// Failed returns a channel that is closed when the log has stopped, by Close or
// because the journal could not be written, and [Log.Err] says why.
func (l *Log) Failed() <-chan struct{} { return l.writer.done }

// Err is nil while the log works, ErrClosed after Close, else why it stopped.
func (l *Log) Err() error { return l.writer.stopped() }

// Close syncs what there is, then closes the journal. It may be called twice.
func (l *Log) Close() error {
	l.close.Do(func() {
		l.writer.stop()
		l.closeErr = l.journal.Close(nil)
	})
	return l.closeErr
}

// Size returns the bytes of all journals on disk.
func (l *Log) Size() int64 { return l.size.Load() }

// share is how much memory a ring may use for bytes that are durable.
func (l *Log) share(k Key) int {
	if k.IsSeries() {
		return seriesShare
	}
	open := max(1, int(l.registry.count.Load()))
	return max(minShare, min(maxShare, l.options.RingBytes/open))
}
