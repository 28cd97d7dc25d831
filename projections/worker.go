package projections

import (
	"google.golang.org/protobuf/proto"

	"github.com/hodei-jobs/hodei/aggregates/event"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/resource"
	"github.com/hodei-jobs/hodei/aggregates/worker"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections/cluster"
	"github.com/hodei-jobs/hodei/projections/workers"
)

// message returns a record's event, decoded if need be.
func message(r *eventstore.Record) (proto.Message, error) {
	if m, ok := r.Value.(proto.Message); ok {
		return m, nil
	}
	return event.Decode(r.Type, r.Data)
}

// workerChanged takes any event of a worker.
func (w *World) workerChanged(r *eventstore.Record) Verdict {
	i, ok := workerOf(r.Stream)
	if !ok {
		return Impossible
	}
	m, err := message(r)
	if err != nil {
		return Undecodable
	}
	row := workers.Worker{ID: i}
	before, known := w.Workers.Get(i)
	if known {
		row = *before
	}
	if !workerNext(&row, m, r) {
		return Impossible
	}
	if _, connected := m.(*eventv1.WorkerConnected); connected {
		row.GoesOn = int64(w.Settings.OrphanAfter) // its Welcome says so, or what is set by then
	}
	if !known || row.Status != before.Status {
		row.Since, row.Last = r.Time, r.Position
	}
	w.setWorker(&row)
	return Applied
}

// workerNext changes a worker as the event says, or reports that it can't follow.
func workerNext(row *workers.Worker, m proto.Message, r *eventstore.Record) bool {
	switch e := m.(type) {
	case *eventv1.WorkerRequested:
		if row.Status != worker.None {
			return false
		}
		row.Status = worker.Requested
		row.Provider, row.Pool, row.TokenID = e.GetProvider(), e.GetPool(), e.GetTokenId()
		if e.GetLaunchLimitNs() > 0 {
			row.LaunchBy = later(r.Time, e.GetLaunchLimitNs())
		}
		return true
	case *eventv1.WorkerRegistered:
		if row.Registered() || len(e.GetPublicKey()) == 0 || row.Status == worker.Terminated {
			return false
		}
		row.Status, row.PublicKey, row.LaunchBy = worker.Disconnected, e.GetPublicKey(), 0
		row.Provider, row.Pool, row.TokenID = e.GetProvider(), e.GetPool(), e.GetTokenId()
		setFacts(row, e.GetFacts())
		return true
	}
	if row.Status == worker.None || row.Status == worker.Terminated {
		return false
	}
	return workerGoesOn(row, m, r)
}

// workerGoesOn is workerNext for a worker that is there and has not ended.
func workerGoesOn(row *workers.Worker, m proto.Message, r *eventstore.Record) bool {
	switch e := m.(type) {
	case *eventv1.WorkerLaunched:
		row.Handle = e.GetHandle()
		if row.Status == worker.Requested {
			row.Status = worker.Launched
		}
	case *eventv1.WorkerLaunchFailed:
		row.Status, row.Reason = worker.Terminated, e.GetCause()
	case *eventv1.WorkerTerminated:
		row.Status, row.Reason = worker.Terminated, e.GetReason()
	case *eventv1.WorkerConnected:
		row.Status, row.Epoch, row.Instance = worker.Connected, e.GetEpoch(), e.GetInstance()
		row.Reason = ""
		if e.GetFacts() != nil {
			setFacts(row, e.GetFacts())
		}
		return row.Registered()
	case *eventv1.WorkerDisconnected:
		row.Status, row.Reason = worker.Disconnected, e.GetReason()
		return row.Registered()
	case *eventv1.WorkerLost:
		row.Status = worker.Lost
		return row.Registered()
	case *eventv1.WorkerCordoned:
		row.Cordoned = true
	case *eventv1.WorkerUncordoned:
		row.Cordoned = false
	case *eventv1.WorkerDraining:
		row.Draining, row.Deadline = true, 0
		if e.GetDeadlineNs() > 0 {
			row.Deadline = later(r.Time, e.GetDeadlineNs())
		}
	}
	return true
}

func setFacts(row *workers.Worker, f *eventv1.WorkerFacts) {
	row.Name, row.OS, row.Arch, row.Version = f.GetName(), f.GetOs(), f.GetArch(), f.GetVersion()
	row.Capacity = resource.FromEvent(f.GetCapacity())
	row.Labels = resource.FromPairs(f.GetLabels())
}

// setWorker puts a worker in and tells the cluster what it offers.
func (w *World) setWorker(row *workers.Worker) {
	w.Workers.Set(row)
	if facts := factsOf(row); facts != nil {
		w.Cluster.Put(w.Position, facts)
	} else {
		w.Cluster.Remove(row.ID)
	}
}

// factsOf returns what a worker offers as a place for jobs, nil if it can be none:
// it has not registered or has ended.
func factsOf(row *workers.Worker) *cluster.Facts {
	if !row.Registered() || row.Status == worker.Terminated {
		return nil
	}
	return &cluster.Facts{
		ID: row.ID, Name: row.Name, OS: row.OS, Arch: row.Arch, Pool: row.Pool,
		Labels: row.Labels, Capacity: row.Capacity,
		Connected: row.Status == worker.Connected && !row.Frozen,
		Cordoned:  row.Cordoned, Draining: row.Draining,
	}
}

// freezeWorker lets a worker get no more jobs.
func (w *World) freezeWorker(i id.ID) {
	before, ok := w.Workers.Get(i)
	if !ok {
		return
	}
	row := *before
	row.Frozen = true
	w.setWorker(&row)
}
