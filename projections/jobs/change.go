package jobs

import (
	"github.com/hodei-jobs/hodei/aggregates/job"
)

// What follows changes jobs. The World calls it and has checked that the change
// is possible.

// Room reports whether a job of that namespace can be added; see [MaxNamespaces].
func (js *Jobs) Room(namespace string) bool {
	js.index()
	_, known := js.byName[namespace]
	return known || js.namespaces.Len() < MaxNamespaces
}

// Add takes a new job of a namespace in. There must be room for it.
func (js *Jobs) Add(j Job, name string, limit Limit) {
	js.index()
	index, known := js.byName[name]
	if !known {
		index = uint32(js.namespaces.Len())
		js.byName[name] = index
	}
	n, _ := js.namespaces.Get(index)
	n.name = name
	n.counts[j.Status]++
	js.namespaces.Set(index, n)

	j.namespace = index
	js.rows.Load(j.Position, pack(&j)) // the highest so far
	js.byID.Set(j.ID, j.Position)
	if limit.Time > 0 {
		js.limits.Load(j.Position, limit)
	}
}

// Set replaces a job that had the status before. One that has ended now goes to
// the newest of those that have.
func (js *Jobs) Set(j *Job, before job.Status) {
	js.rows.Set(j.Position, pack(j))
	if j.Status == before {
		return
	}
	n, _ := js.namespaces.Get(j.namespace)
	n.counts[before]--
	n.counts[j.Status]++
	js.namespaces.Set(j.namespace, n)
	if j.Status.Terminal() {
		js.ended.Set(j.Last, j.Position)
		js.limits.Delete(j.Position)
	}
}

// Trim lets go of the jobs that ended first until no more than keep are left.
func (js *Jobs) Trim(keep int) {
	for js.ended.Len() > max(0, keep) {
		_, at, _ := js.ended.PopMin()
		r, _ := js.rows.Delete(at)
		js.byID.Delete(r.unpack(at).ID)
	}
}

// index makes byName anew, for jobs that were forked or loaded.
func (js *Jobs) index() {
	if js.byName != nil {
		return
	}
	js.byName = make(map[string]uint32, js.namespaces.Len())
	js.namespaces.Scan(func(i uint32, n namespace) bool {
		js.byName[n.name] = i
		return true
	})
}
