package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/wal"
)

// DefaultScrubBytes is how many bytes a second the scrub reads: 84 GiB a day.
const DefaultScrubBytes = 1 << 20

const (
	scrubAfter = 10 * time.Minute // a start has more urgent things to read
	scrubEvery = 24 * time.Hour   // from the beginning of one scrub to that of the next, if it doesn't take longer
)

// scrub verifies what nobody may read for years: all sealed journals, over and
// over, slowly. What is newer was read at the start or is in memory. Damage that is
// found ends the store, as it does for any reader.
type scrub struct {
	store *Store
	rate  int64 // bytes a second
}

// run scrubs until ctx ends or the store has failed. The first time it begins
// anywhere, so that each journal has its turn however often the server starts. What
// can't be read is no proof of damage: it is tried again, and told of meanwhile.
func (s *scrub) run(ctx context.Context) {
	pause := scrubAfter
	from := rand.Float64()
	for s.wait(ctx, pause) {
		begun := time.Now()
		journals, bytes, err := s.all(ctx, from)
		took := time.Since(begun)
		switch {
		case ctx.Err() != nil, s.store.Err() != nil: // somebody has said why
			return
		case err != nil:
			s.store.logger.Error("the log can't be verified", "error", err, "again in", scrubAfter)
			s.store.unverified.Store(&err)
			pause, from = scrubAfter, 0
		default:
			s.store.logger.Info("the log was verified", "journals", journals, "bytes", bytes, "took", took)
			s.store.unverified.Store(nil)
			pause, from = max(0, scrubEvery-took), 0
		}
	}
}

// Unverified returns why the log could not be verified in the background when that
// was tried last, nil if it could or was not tried yet. Damage that is found ends the
// store; this is what can't be read. It is safe for concurrent use.
func (s *Store) Unverified() error {
	if err := s.unverified.Load(); err != nil {
		return *err
	}
	return nil
}

// wait returns false if ctx ended or the store failed meanwhile.
func (s *scrub) wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	case <-s.store.failed:
		return false
	}
}

// all verifies the journals that are sealed now, from the one that is at that share
// of them on.
func (s *scrub) all(ctx context.Context, from float64) (journals int, bytes int64, err error) {
	sealed := s.store.log.Journals()
	sealed = sealed[:len(sealed)-1]
	for _, j := range sealed[int(from*float64(len(sealed))):] {
		n, err := s.journal(ctx, j)
		if err != nil {
			return journals, bytes, err
		}
		journals, bytes = journals+1, bytes+n
	}
	return journals, bytes, nil
}

// journal verifies a sealed journal: checksums, chain, order and times. One that
// was removed meanwhile is passed over.
func (s *scrub) journal(ctx context.Context, j wal.Journal) (bytes int64, err error) {
	chain := eventstore.Chain{Hash: j.Chain, Position: eventstore.Position(j.First) - 1}
	var last int64 // a time
	for position := j.First; position < j.Next; {
		frames, err := s.store.log.Block(position)
		if errors.Is(err, wal.ErrRemoved) {
			return bytes, nil
		}
		if err != nil {
			return bytes, s.store.stop(err)
		}
		var read int64
		for _, w := range frames {
			f, err := decode(w)
			if err == nil {
				err = f.follows(&chain, last)
			}
			if err == nil && w.Next() == j.Next && chain.Hash != j.ChainAfter {
				err = fmt.Errorf("the seal of %s has another chain", j.Folder())
			}
			if err != nil {
				return bytes, s.store.damage(w, err)
			}
			last = f.records[len(f.records)-1].Time
			position = w.Next()
			read += int64(wal.HeaderSize + len(w.Body))
		}
		bytes += read
		if !s.wait(ctx, time.Duration(float64(read)/float64(s.rate)*float64(time.Second))) {
			return bytes, cmp.Or(ctx.Err(), s.store.Err())
		}
	}
	return bytes, nil
}
