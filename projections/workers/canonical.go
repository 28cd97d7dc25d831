package workers

import (
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/worker"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections/canonical"
)

// Encode writes the workers.
func (ws *Workers) Encode(w *canonical.Writer) {
	w.Uint(uint64(ws.rows.Len()))
	ws.rows.Scan(func(_ id.ID, row *Worker) bool {
		row.encode(w)
		return true
	})
}

func (row *Worker) encode(w *canonical.Writer) {
	canonical.ID(w, row.ID)
	w.Uint(uint64(row.Status))
	w.Int(row.Since)
	w.Uint(uint64(row.Last))
	w.Text(row.Name)
	w.Text(row.OS)
	w.Text(row.Arch)
	w.Text(row.Version)
	canonical.Labels(w, row.Labels)
	canonical.Amount(w, row.Capacity)
	w.Text(row.Provider)
	w.Text(row.Pool)
	w.Text(row.TokenID)
	w.Text(row.Handle)
	w.Text(string(row.PublicKey))
	w.Text(string(row.Instance))
	w.Uint(row.Epoch)
	w.Int(row.GoesOn)
	w.Bool(row.Cordoned)
	w.Bool(row.Draining)
	w.Int(row.Deadline)
	w.Int(row.LaunchBy)
	w.Text(row.Reason)
	w.Bool(row.Frozen)
}

// Decode reads what [Workers.Encode] wrote.
func Decode(r *canonical.Reader) *Workers {
	ws := New()
	for range r.Count() {
		row := decodeWorker(r)
		ws.rows.Load(row.ID, row)
		if row.Status == worker.Terminated {
			ws.ended.Set(row.Last, row.ID)
		}
		if row.launches() {
			ws.launches.Set(launch{row.LaunchBy, row.ID})
		}
	}
	return ws
}

func decodeWorker(r *canonical.Reader) *Worker {
	return &Worker{
		ID:        canonical.ReadID(r),
		Status:    worker.Status(r.Uint()),
		Since:     r.Int(),
		Last:      eventstore.Position(r.Uint()),
		Name:      r.Text(),
		OS:        r.Text(),
		Arch:      r.Text(),
		Version:   r.Text(),
		Labels:    canonical.ReadLabels(r),
		Capacity:  canonical.ReadAmount(r),
		Provider:  r.Text(),
		Pool:      r.Text(),
		TokenID:   r.Text(),
		Handle:    r.Text(),
		PublicKey: bytesOf(r.Text()),
		Instance:  bytesOf(r.Text()),
		Epoch:     r.Uint(),
		GoesOn:    r.Int(),
		Cordoned:  r.Bool(),
		Draining:  r.Bool(),
		Deadline:  r.Int(),
		LaunchBy:  r.Int(),
		Reason:    r.Text(),
		Frozen:    r.Bool(),
	}
}

func bytesOf(s string) []byte {
	if s == "" {
		return nil
	}
	return []byte(s)
}
