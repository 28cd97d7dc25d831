package joblog

import (
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hodei-jobs/hodei/eventstore/wal"
)

const fullRetry = time.Second // between tries to write to a full disk

// writer is the one goroutine that writes the journal. Logs with something new
// stand in its list, each at most once; what waits there is bounded by the
// windows.
type writer struct {
	log     *Log
	waiting atomic.Int64  // bytes of log in the list
	wake    chan struct{} // holds one: the list is not empty
	full    chan struct{} // holds one: batchBytes wait
	rollNow chan struct{} // holds one: close the journal
	quit    chan struct{}
	once    sync.Once
	done    chan struct{} // closed when run has returned

	mu    sync.Mutex
	list  []*attempt
	fresh chan struct{} // closed when a journal closes; nil while nobody waits

	err atomic.Pointer[error] // why it stopped; set before done is closed

	// Owned by run.
	frame  []byte // of the batch, begins with room for the header
	blocks uint32 // in frame
	marks  []mark
	warned bool

	journal contents    // of the newest journal
	age     *time.Timer // when the newest journal is to be closed
	aging   bool        // it is set
}

// mark remembers what of an attempt is in a batch.
type mark struct {
	a       *attempt
	first   uint64 // offset of its first byte in the batch
	durable uint64 // once the batch is synced
	end     bool
}

func newWriter(l *Log) *writer {
	return &writer{
		log: l, wake: make(chan struct{}, 1), full: make(chan struct{}, 1), rollNow: make(chan struct{}, 1),
		quit: make(chan struct{}), done: make(chan struct{}),
	}
}

// note puts a log into the list, or says that more bytes of it wait there.
func (w *writer) note(a *attempt, queue bool, fresh int) {
	if waiting := w.waiting.Add(int64(fresh)); waiting >= batchBytes && waiting-int64(fresh) < batchBytes {
		poke(w.full)
	}
	if !queue {
		return
	}
	w.mu.Lock()
	w.list = append(w.list, a)
	w.mu.Unlock()
	poke(w.wake)
}

func poke(signal chan struct{}) {
	select {
	case signal <- struct{}{}:
	default:
	}
}

// stopped returns why nothing can be written any more, or nil.
func (w *writer) stopped() error {
	if err := w.err.Load(); err != nil {
		return *err
	}
	return nil
}

// stop makes run write what there is and return, and waits for it.
func (w *writer) stop() {
	w.once.Do(func() { close(w.quit) })
	<-w.done
}

// run writes batches, at most one every SyncEvery unless a full one waits.
func (w *writer) run() {
	defer close(w.done)
	pause := time.NewTimer(w.log.options.SyncEvery)
	defer pause.Stop()
	defer w.age.Stop()
	for {
		select {
		case <-w.wake:
		case <-w.age.C:
			w.close()
			continue
		case <-w.rollNow:
			w.close()
			continue
		case <-w.quit:
			w.finish()
			return
		}
		pause.Reset(w.log.options.SyncEvery)
		if err := w.flush(); err != nil {
			w.fail(err)
			return
		}
		w.trimRings()
		w.warn()
		select {
		case <-pause.C:
		case <-w.full:
		case <-w.quit:
		}
	}
}

// finish writes what is left when the log closes.
func (w *writer) finish() {
	for w.listed() {
		if err := w.flush(); err != nil {
			w.fail(err)
			return
		}
	}
	w.fail(ErrClosed)
}

func (w *writer) fail(err error) { w.err.Store(&err) }

func (w *writer) listed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.list) > 0
}

// flush writes one batch with one sync, then settles its logs. A batch is full
// at batchBytes; what is left over stays in the list.
func (w *writer) flush() error {
	w.mu.Lock()
	list := w.list
	w.list = nil
	w.mu.Unlock()

	w.frame, w.blocks, w.marks = append(w.frame[:0], make([]byte, wal.HeaderSize)...), 0, w.marks[:0]
	taken := 0
	for len(list) > 0 && taken < batchBytes {
		taken += w.add(list[0])
		list = list[1:]
	}
	if len(list) > 0 {
		w.mu.Lock()
		w.list = append(list, w.list...)
		w.mu.Unlock()
		poke(w.wake)
	}
	w.waiting.Add(-int64(taken))
	if w.blocks == 0 {
		return nil
	}
	first, err := w.write()
	if err != nil {
		return err
	}
	for _, m := range w.marks {
		w.settle(m, first)
	}
	clear(w.marks)
	if cap(w.frame) > 4*batchBytes {
		w.frame = nil // it was an unusual one
	}
	return nil
}

// add puts what is new of one log into the batch and returns its bytes.
func (w *writer) add(a *attempt) (taken int) {
	pieces, head, end := a.collect()
	if len(pieces) == 0 && !end {
		return 0
	}
	m := mark{a: a, first: head, durable: head, end: end}
	if len(pieces) > 0 {
		m.first = pieces[0].Offset
	}
	for len(pieces) > 0 {
		n, size := 1, len(pieces[0].Data)
		for n < len(pieces) && size+len(pieces[n].Data) <= maxBlock {
			size += len(pieces[n].Data)
			n++
		}
		w.block(func(buf []byte) []byte { return appendPieces(buf, a.key, pieces[:n]) })
		pieces, taken = pieces[n:], taken+size
	}
	if end {
		w.block(func(buf []byte) []byte { return appendHead(buf, kindEnd, a.key, head) })
	}
	w.marks = append(w.marks, m)
	return taken
}

// block appends a block to the frame, with its length before it.
func (w *writer) block(write func([]byte) []byte) {
	at := len(w.frame)
	w.frame = write(append(w.frame, 0, 0, 0, 0))
	binary.BigEndian.PutUint32(w.frame[at:], uint32(len(w.frame)-at-blockPrefix))
	w.blocks++
}

// write appends the frame and returns the position of its first block. While
// the disk is full it tries again, and agents wait.
func (w *writer) write() (first uint64, err error) {
	for told := false; ; told = true {
		first, err = w.tryWrite()
		if !errors.Is(err, wal.ErrFull) {
			return first, err
		}
		if !told {
			w.log.options.Logger.Error("job logs wait: their disk is full", "folder", w.log.dir)
		}
		select {
		case <-time.After(fullRetry):
		case <-w.quit:
			return 0, err
		}
	}
}

func (w *writer) tryWrite() (first uint64, err error) {
	if w.log.journal.Full(len(w.frame)) {
		if err := w.roll(); err != nil {
			return 0, err
		}
	}
	before := w.log.journal.Current()
	first = before.Next
	if err := w.log.journal.Append(wal.Header{First: first, Count: w.blocks}, w.frame); err != nil {
		return 0, err
	}
	w.log.size.Add(w.log.journal.Current().Bytes - before.Bytes)
	w.arm()
	return first, nil
}

// settle says that a log's part of the batch is durable.
func (w *writer) settle(m mark, entry uint64) {
	p := part{key: m.a.key, first: m.first, end: m.durable, ended: m.end}
	if m.durable > m.first {
		p.spans = spans{{m.first, entry}}
	}
	w.journal.add(p)
	rose, cost := m.a.settle(m.durable, span{m.first, entry}, m.end, w.log.share(m.a.key))
	w.log.rings.Add(int64(cost))
	if m.end {
		w.log.registry.retire(m.a, m.durable)
	}
	if rose != nil {
		rose(m.durable)
	}
}

// trimRings brings all rings down to their share once they hold more than they
// may together: those that got nothing lately still have what they had when
// there were fewer.
func (w *writer) trimRings() {
	if w.log.rings.Load() <= int64(w.log.options.RingBytes) {
		return
	}
	for _, a := range w.log.registry.attempts() {
		w.log.rings.Add(int64(a.trim(w.log.share(a.key))))
	}
}

// warn says once that the journals have become large.
func (w *writer) warn() {
	if w.warned || w.log.options.Archive != nil {
		return // an archive says itself when it lags
	}
	if size := w.log.Size(); size > w.log.options.WarnBytes {
		w.warned = true
		w.log.options.Logger.Warn("job logs are large; they are kept for ever",
			"folder", w.log.dir, "bytes", size, "warn_above", w.log.options.WarnBytes)
	}
}
