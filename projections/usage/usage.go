// Package usage reads what attempts used second by second, summed up into so few
// points as somebody wants to look at. One pass over a series, whose bytes lie
// beside the attempt's log, in memory that doesn't grow with it.
package usage

import (
	"context"
	"errors"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/series"
	"github.com/hodei-jobs/hodei/projections/joblog"
)

// MaxPoints is how many points a reading has at most.
const MaxPoints = 10_000

const (
	readBytes = 1 << 20 // of a series read at once
	// leastOver is of how much time a sample must be for its rate to count as least or
	// most: CPU time is counted in steps of 10 ms.
	leastOver = 500 * time.Millisecond
)

// ErrTooFine says that the step gives more than MaxPoints points.
var ErrTooFine = errors.New("usage: the step gives too many points")

// Source has the bytes of series; it is a [joblog.Log].
type Source interface {
	Read(ctx context.Context, k joblog.Key, from uint64, limit int) ([]joblog.Piece, uint64, error)
}

// Query says what of a series is read. Zero fields mean all of it.
type Query struct {
	Since, Until int64         // ns since 1970: only samples of which some lies from the one on and before the other
	Step         time.Duration // of a point, whole seconds; of one second samples are points as they are
	Points       int           // without a step: the finest step is taken that gives no more; MaxPoints
}

// Reading is what was read.
type Reading struct {
	Step    time.Duration
	Points  []Point // in order, none without a sample
	Damaged bool    // what follows could not be read
}

// Spread is of the samples of a point.
type Spread struct{ Min, Mean, Max float64 }

// Point sums up samples. What is not known of any of them is absent.
type Point struct {
	At   time.Time     // where it begins: a multiple of the step, or where the sample began
	Over time.Duration // how much of it was measured

	CPU       Spread  // in CPUs
	Memory    *Spread // bytes
	Processes uint32  // the most

	Read, Written  *uint64 // bytes from and to storage
	Received, Sent *uint64 // bytes over the network
}

// Read reads a series up to end. Errors: the source's, ErrTooFine. Bytes that are no
// series are no error: what was before them is returned.
func Read(ctx context.Context, source Source, k joblog.Key, end uint64, q Query) (Reading, error) {
	f := newFold(q)
	var decoder series.Decoder
	for from := uint64(0); from < end && !f.over; {
		pieces, next, err := source.Read(ctx, k.Series(), from, readBytes)
		switch {
		case err != nil:
			return Reading{}, err
		case next == from:
			return Reading{}, joblog.ErrDamaged
		}
		for _, p := range pieces {
			if err := decoder.Decode(p.Data, f.add); err != nil {
				r := f.reading()
				r.Damaged = true
				return r, nil
			}
		}
		if f.err != nil {
			return Reading{}, f.err
		}
		from = next
	}
	return f.reading(), nil
}
