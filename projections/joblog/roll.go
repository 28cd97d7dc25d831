package joblog

import "time"

const neverAge = 1 << 62 // ns: a timer that is not set

// arm sets when the newest journal is to be closed, if it has something.
func (w *writer) arm() {
	if w.age == nil {
		w.age = time.NewTimer(neverAge)
	}
	if age := w.log.options.JournalAge; age > 0 && !w.aging && w.log.journal.Current().Frames > 0 {
		w.age.Reset(age)
		w.aging = true
	}
}

// close closes the newest journal though it is not full. What keeps it from that
// is met again by the next write, which says it; a full disk may have room later.
func (w *writer) close() {
	if err := w.roll(); err != nil {
		w.aging = false
		w.age.Reset(fullRetry)
	}
}

// roll closes the newest journal, with its contents as its seal.
func (w *writer) roll() error {
	if err := w.log.journal.Roll([32]byte{}, w.journal.encode()); err != nil {
		return err
	}
	w.log.size.Add(w.log.journal.Current().Bytes) // an empty one has a header
	w.journal, w.aging = contents{}, false
	w.age.Stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fresh != nil {
		close(w.fresh)
		w.fresh = nil
	}
	return nil
}

// rolled returns a channel that is closed when the next journal closes.
func (w *writer) rolled() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fresh == nil {
		w.fresh = make(chan struct{})
	}
	return w.fresh
}
