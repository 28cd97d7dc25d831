package projections

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections/access"
	"github.com/hodei-jobs/hodei/projections/canonical"
	"github.com/hodei-jobs/hodei/projections/cluster"
	"github.com/hodei-jobs/hodei/projections/jobs"
	"github.com/hodei-jobs/hodei/projections/queue"
	"github.com/hodei-jobs/hodei/projections/secrets"
	"github.com/hodei-jobs/hodei/projections/workers"
)

// magic begins a World's canonical form; it holds its version.
const magic = "hodei world " + Version + "\n"

// Encode writes the World's canonical form, which is also its snapshot: equal
// Worlds give equal bytes. What follows from the rest is left out.
func (w *World) Encode(to io.Writer) error {
	c := canonical.NewWriter(to, magic)
	c.Uint(uint64(w.Position))
	c.Int(w.Time)
	encodeSettings(c, &w.Settings)
	c.Uint(uint64(w.frozen.Len()))
	w.frozen.Scan(func(stream string, f Freeze) bool {
		c.Text(stream)
		c.Uint(uint64(f.Position))
		c.Uint(uint64(f.Why))
		return true
	})
	w.Workers.Encode(c)
	w.Access.Encode(c)
	w.Secrets.Encode(c)
	w.Queue.Encode(c)
	w.Jobs.Encode(c)
	w.Cluster.Encode(c)
	return c.Close()
}

// Digest returns the SHA-256 of the World's canonical form.
func (w *World) Digest() [32]byte {
	h := sha256.New()
	_ = w.Encode(h) // a hash takes all
	return [32]byte(h.Sum(nil))
}

// Decode returns the World whose canonical form this is.
func Decode(form []byte) (*World, error) {
	r, err := canonical.NewReader(form, magic)
	if err != nil {
		return nil, fmt.Errorf("cannot load a World: %w", err)
	}
	w := NewWorld()
	w.Position, w.Time = eventstore.Position(r.Uint()), r.Int()
	decodeSettings(r, &w.Settings)
	for range r.Count() {
		w.frozen.Set(r.Text(), Freeze{eventstore.Position(r.Uint()), Verdict(r.Uint())})
	}
	w.Workers = workers.Decode(r)
	w.Access = access.Decode(r)
	w.Secrets = secrets.Decode(r)
	waiting := queue.Decode(r)
	w.Jobs = jobs.Decode(r)
	w.Cluster = cluster.Decode(r, func(i id.ID) *cluster.Facts {
		if row, ok := w.Workers.Get(i); ok {
			return factsOf(row)
		}
		return nil
	})
	if r.Err() == nil {
		w.Queue = w.enqueue(waiting, r)
	}
	if err := r.Close(); err != nil {
		return nil, fmt.Errorf("cannot load a World: %w", err)
	}
	return w, nil
}

var errClass = errors.New("a job is of a class that is not there")

// enqueue puts the jobs where they stand in the queue.
func (w *World) enqueue(q *queue.Loader, r *canonical.Reader) *queue.Queue {
	for j := range w.Jobs.Ascend(0) {
		if j.Status.Terminal() || j.Frozen {
			continue
		}
		if !q.Has(j.Class) {
			r.Fail(errClass)
			break
		}
		switch {
		case j.Status == job.Pending && !j.Backoff:
			q.Waiting(entry(&j))
		case j.Due != 0:
			q.Held(queue.Gated{Due: j.Due, Entry: entry(&j)})
		default:
			q.Elsewhere(j.Class)
		}
	}
	return q.Done()
}
