package storetest_test

import (
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/embedded"
	"github.com/hodei-jobs/hodei/eventstore/storetest"
)

// smallJournals makes even a short case seal journals, so that what is read from
// disk is held to the contract as well as what is in memory.
const smallJournals = 2 << 10

func TestTheEmbeddedStoreKeepsTheContract(t *testing.T) {
	storetest.Run(t, openEmbedded(smallJournals))
}

func TestTheEmbeddedStoreInOneJournalKeepsTheContract(t *testing.T) {
	if testing.Short() {
		t.Skip("the same with small journals has run")
	}
	storetest.Run(t, openEmbedded(0))
}

func openEmbedded(journal int64) func(*testing.T) storetest.Harness {
	return func(t *testing.T) storetest.Harness {
		h := &embeddedHarness{t: t}
		h.config = embedded.Config{
			Dir: filepath.Join(t.TempDir(), "events"), JournalBytes: journal, ReserveBytes: -1,
			Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
			Clock:  func() time.Time { return time.Now().Add(time.Duration(h.step.Load())) },
		}
		h.open()
		t.Cleanup(func() {
			if err := h.store.Close(); err != nil {
				t.Errorf("cannot close the store: %v", err)
			}
		})
		return h
	}
}

type embeddedHarness struct {
	t      *testing.T
	config embedded.Config
	store  *embedded.Store
	step   atomic.Int64 // of the wall clock, ns
}

func (h *embeddedHarness) open() {
	h.t.Helper()
	store, _, err := embedded.Open(context.Background(), h.config)
	if err != nil {
		h.t.Fatal(err)
	}
	select {
	case <-store.Ready():
	case <-store.Failed():
		h.t.Fatal(store.Err())
	}
	h.store = store
}

// Store implements [storetest.Harness].
func (h *embeddedHarness) Store() eventstore.Store { return h.store }

// Reopen implements [storetest.Harness].
func (h *embeddedHarness) Reopen() eventstore.Store {
	h.t.Helper()
	if err := h.store.Close(); err != nil {
		h.t.Fatal(err)
	}
	h.open()
	return h.store
}

// SetWallClock implements [storetest.WallClock].
func (h *embeddedHarness) SetWallClock(by time.Duration) { h.step.Store(int64(by)) }
