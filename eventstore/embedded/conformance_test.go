package embedded

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/storetest"
)

// harness holds a store of small journals against the contract.
type harness struct {
	t     *testing.T
	cfg   Config
	shift atomic.Int64 // of the wall clock, ns
	store *Store
}

func newHarness(t *testing.T) storetest.Harness {
	h := &harness{t: t, cfg: config(newDir(t))}
	h.cfg.JournalBytes = 16 << 10
	h.cfg.Clock = func() time.Time { return time.Now().Add(time.Duration(h.shift.Load())) }
	h.open()
	t.Cleanup(func() {
		if err := h.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func (h *harness) open() {
	h.t.Helper()
	s, _, err := Open(h.t.Context(), h.cfg)
	if err != nil {
		h.t.Fatal(err)
	}
	waitReady(h.t, s)
	h.store = s
}

func (h *harness) Store() eventstore.Store { return h.store }

func (h *harness) Reopen() eventstore.Store {
	h.t.Helper()
	if err := h.store.Close(); err != nil {
		h.t.Fatal(err)
	}
	h.open()
	return h.store
}

func (h *harness) SetWallClock(by time.Duration) { h.shift.Add(int64(by)) }

func TestTheContractIsKept(t *testing.T) { storetest.Run(t, newHarness) }
