package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/hodei-jobs/hodei/eventstore/embedded/index"
)

const (
	indexName   = "index.db"
	copyName    = "copy.db"
	damagedName = "damaged.db" // the last index that was set aside, for whoever wants to look at it

	// markerName is there from before the index is opened until it was scrubbed or
	// closed. If it is found at a start, the index killed the process: bbolt panics
	// in goroutines of its own on some damage. From the opening on it holds the
	// index's checkpoint, so that what the index knew of the log is not lost with it.
	markerName = "OPENING"

	// copyEvery is after how many journals a copy of the index is made, from which a
	// damaged one is brought up to date instead of made from nothing.
	copyEvery = 64

	dirMode  = 0o700
	fileMode = 0o600
)

// indexFiles are the files of the index: all of them can be made anew.
type indexFiles struct {
	dir    string
	openDB func(path string) (index.Index, error)
}

func (f indexFiles) path(name string) string { return filepath.Join(f.dir, name) }

// openFirst opens the index at a start. Why is not empty if there was one that
// can't be used; another is then in its place, which has to be brought up to date.
// An index that killed the process is set aside only after check was asked about
// its checkpoint.
func (f indexFiles) openFirst(check func(index.Checkpoint) error) (ix index.Index, why string, err error) {
	if err := os.MkdirAll(f.dir, dirMode); err != nil {
		return nil, "", err
	}
	if text, err := os.ReadFile(f.path(markerName)); err == nil {
		why = "the process ended while it was being opened"
		if err := check(markedCheckpoint(text)); err != nil {
			return nil, why, err // the marker stays: the next start finds the same
		}
	} else if ix, err = f.open(); err == nil {
		return ix, "", nil
	} else {
		why = err.Error()
	}
	ix, err = f.replace()
	return ix, why, err
}

// replace sets the index aside and opens another: the copy, or an empty one.
func (f indexFiles) replace() (index.Index, error) {
	if err := f.setAside(); err != nil {
		return nil, err
	}
	// The copy is used up by this: one that is damaged is not tried twice.
	if os.Rename(f.path(copyName), f.path(indexName)) == nil {
		if ix, err := f.open(); err == nil {
			return ix, nil
		}
		if err := os.Remove(f.path(indexName)); err != nil {
			return nil, err
		}
	}
	return f.open()
}

func (f indexFiles) open() (index.Index, error) {
	if err := os.WriteFile(f.path(markerName), nil, fileMode); err != nil {
		return nil, err
	}
	ix, err := f.openDB(f.path(indexName))
	if err != nil {
		f.unmark()
		return nil, err
	}
	c := ix.Checkpoint()
	if err := os.WriteFile(f.path(markerName), fmt.Appendf(nil, markerForm, c.Position, c.Chain[:]), fileMode); err != nil {
		return nil, errors.Join(err, f.close(ix))
	}
	return ix, nil
}

const markerForm = "%d %x\n"

// markedCheckpoint reads a marker; it is zero if the index never got open.
func markedCheckpoint(text []byte) (c index.Checkpoint) {
	var chain []byte
	if _, err := fmt.Sscanf(string(text), markerForm, &c.Position, &chain); err != nil || len(chain) != len(c.Chain) {
		return index.Checkpoint{}
	}
	copy(c.Chain[:], chain)
	return c
}

// unmark says that the process has survived the index: it was found whole, or
// it is closed. If the marker stays, the next start makes the index anew.
func (f indexFiles) unmark() { _ = os.Remove(f.path(markerName)) }

// close closes the index in order.
func (f indexFiles) close(ix index.Index) error {
	err := ix.Close()
	f.unmark()
	return err
}

// setAside moves the index away.
func (f indexFiles) setAside() error {
	err := os.Rename(f.path(indexName), f.path(damagedName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// copy keeps a copy of the index.
func (f indexFiles) copy(ctx context.Context, ix index.Index) error {
	temp := f.path(copyName) + ".tmp"
	if err := ix.Copy(ctx, temp); err != nil {
		return errors.Join(err, os.RemoveAll(temp))
	}
	return os.Rename(temp, f.path(copyName))
}

// copying is a copy of the index that is being made beside all else. The indexer
// begins and ends it; anybody may give it up.
type copying struct {
	mu     sync.Mutex // never held while something is waited for
	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended; nil if there was none yet
}

// begin makes a copy unless one is being made.
func (c *copying) begin(ctx context.Context, do func(context.Context)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done != nil {
		select {
		case <-c.done:
		default:
			return false
		}
	}
	done := make(chan struct{})
	ctx, c.cancel = context.WithCancel(ctx)
	c.done = done
	go func() {
		defer close(done)
		do(ctx)
	}()
	return true
}

// giveUp ends a copy, and does not wait for that.
func (c *copying) giveUp() (ended <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cancel != nil {
		c.cancel()
	}
	return c.done
}

// end ends a copy and returns when it has ended.
func (c *copying) end() {
	if ended := c.giveUp(); ended != nil {
		<-ended
	}
}

// copyIfDue begins a copy of the index now and then.
func (x *indexer) copyIfDue(ctx context.Context) {
	x.mu.Lock()
	due := x.rolled >= copyEvery
	x.mu.Unlock()
	if !due {
		return
	}
	ix := x.state.Load().index
	begun := x.copying.begin(ctx, func(ctx context.Context) {
		switch err := x.files.copy(ctx, ix); {
		case ctx.Err() != nil:
			x.logger.Info("a copy of the index was given up; there will be another")
		case err != nil:
			x.logger.Warn("cannot copy index", "error", err)
		}
	})
	if begun {
		x.mu.Lock()
		x.rolled = 0
		x.mu.Unlock()
	}
}

// journalEnded counts a journal. Called by the writer.
func (x *indexer) journalEnded() {
	x.mu.Lock()
	x.rolled++
	x.mu.Unlock()
}
