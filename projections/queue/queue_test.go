package queue_test

import (
	"cmp"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/resource"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections/canonical"
	"github.com/hodei-jobs/hodei/projections/queue"
	"github.com/hodei-jobs/hodei/projections/worldtest"
)

type position = eventstore.Position

func TestKey(t *testing.T) {
	const step = 60
	for _, row := range []struct {
		name          string
		first, second int64 // keys
	}{
		{"of two alike, the one submitted first", queue.Key(100, 0, step), queue.Key(101, 0, step)},
		{"a higher priority before an earlier submission", queue.Key(150, 1, step), queue.Key(100, 0, step)},
		{"one that has waited a step longer before one of a point more", queue.Key(100, 0, step), queue.Key(161, 1, step)},
		{"a lower priority last", queue.Key(150, 0, step), queue.Key(100, -1, step)},
	} {
		if row.first >= row.second {
			t.Errorf("%s: keys are %d and %d", row.name, row.first, row.second)
		}
	}
}

// model is the queue in the simplest form.
type model struct {
	now     position
	demand  map[position]queue.Demand // by class
	class   map[position]position     // by unfinished job
	waiting []queue.Entry
	held    []queue.Gated
	last    map[position]position // last arrival by class
	paused  map[string]bool
}

func newModel() *model {
	return &model{
		demand: make(map[position]queue.Demand), class: make(map[position]position),
		last: make(map[position]position), paused: make(map[string]bool),
	}
}

func demands() *rapid.Generator[queue.Demand] {
	return rapid.Custom(func(t *rapid.T) queue.Demand {
		return queue.Demand{
			Namespace: rapid.SampledFrom([]string{"web", "data"}).Draw(t, "namespace"),
			Pool:      rapid.SampledFrom([]string{"", "gpu"}).Draw(t, "pool"),
			Requires:  rapid.SampledFrom([]resource.Labels{nil, {{Key: "os", Value: "linux"}}}).Draw(t, "requires"),
			Need:      resource.Amount{CPU: resource.CPU(rapid.IntRange(1, 2).Draw(t, "cpu"))},
		}
	})
}

// Step does one random thing to both.
func (m *model) Step(t *rapid.T, q *queue.Queue) {
	m.now++
	switch rapid.IntRange(0, 7).Draw(t, "step") {
	case 0, 1, 2:
		d := demands().Draw(t, "demand")
		class := q.Join(m.now, d)
		if class == m.now {
			m.demand[class] = d
		}
		m.class[m.now] = class
		m.arrive(q, queue.Entry{Class: class, Key: rapid.Int64Range(-3, 3).Draw(t, "key"), Job: m.now, ID: id.ID(m.now), Attempt: 1})
	case 3, 4:
		if len(m.waiting) == 0 {
			return
		}
		i := rapid.IntRange(0, len(m.waiting)-1).Draw(t, "which")
		e := m.waiting[i]
		m.waiting = slices.Delete(m.waiting, i, i+1)
		q.Leave(e)
		m.after(t, q, e)
	case 5:
		if len(m.held) == 0 {
			return
		}
		i := rapid.IntRange(0, len(m.held)-1).Draw(t, "which")
		g := m.held[i]
		m.held = slices.Delete(m.held, i, i+1)
		q.Release(g)
		g.Attempt++
		m.arrive(q, g.Entry)
	case 6:
		ns := rapid.SampledFrom([]string{"web", "data"}).Draw(t, "namespace")
		m.paused[ns] = true
		q.Pause(ns)
	case 7:
		ns := rapid.SampledFrom([]string{"web", "data"}).Draw(t, "namespace")
		m.resume(q, ns)
	}
}

func (m *model) arrive(q *queue.Queue, e queue.Entry) {
	q.Arrive(m.now, e)
	m.waiting = append(m.waiting, e)
	m.last[e.Class] = m.now
}

func (m *model) after(t *rapid.T, q *queue.Queue, e queue.Entry) {
	if rapid.Bool().Draw(t, "held") {
		g := queue.Gated{Due: rapid.Int64Range(1, 5).Draw(t, "due"), Entry: e}
		q.Hold(g)
		m.held = append(m.held, g)
		return
	}
	q.End(e.Class)
	delete(m.class, e.Job)
	for _, class := range m.class {
		if class == e.Class {
			return
		}
	}
	delete(m.demand, e.Class)
	delete(m.last, e.Class)
}

func (m *model) resume(q *queue.Queue, ns string) {
	q.Resume(m.now, ns)
	delete(m.paused, ns)
	for class, d := range m.demand {
		if d.Namespace == ns && len(m.of(class)) > 0 {
			m.last[class] = m.now
		}
	}
}

func (m *model) of(class position) []queue.Entry {
	var of []queue.Entry
	for _, e := range m.waiting {
		if e.Class == class {
			of = append(of, e)
		}
	}
	slices.SortFunc(of, func(a, b queue.Entry) int { return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Job, b.Job)) })
	return of
}

func (m *model) Check(t *rapid.T, q *queue.Queue) {
	var due []queue.Gated = slices.Clone(m.held)
	slices.SortFunc(due, func(a, b queue.Gated) int { return cmp.Or(cmp.Compare(a.Due, b.Due), cmp.Compare(a.Job, b.Job)) })
	if got := slices.Collect(q.Due()); !slices.Equal(got, due) || q.Backoff() != len(due) || q.Waiting() != len(m.waiting) {
		t.Fatalf("held are %v, want %v; %d wait, want %d", got, due, q.Waiting(), len(m.waiting))
	}
	var offered []queue.Class
	for origin, d := range m.demand {
		c, ok := q.Class(origin)
		of := m.of(origin)
		if !ok || c.Waiting != len(of) || c.Paused != m.paused[d.Namespace] || c.LastArrival != m.last[origin] {
			t.Fatalf("class %d is %+v (%v), want %d waiting, paused %v, last arrival %d",
				origin, c, ok, len(of), m.paused[d.Namespace], m.last[origin])
		}
		if got := slices.Collect(q.Entries(origin)); !slices.Equal(got, of) {
			t.Fatalf("class %d holds %v, want %v", origin, got, of)
		}
		for i, e := range of {
			if got := q.Place(e); got != i {
				t.Fatalf("%v stands behind %d, want %d", e, got, i)
			}
		}
		if len(of) > 0 && !c.Paused {
			offered = append(offered, c)
		}
	}
	m.checkArrived(t, q, offered)
}

func (m *model) checkArrived(t *rapid.T, q *queue.Queue, offered []queue.Class) {
	after := position(rapid.IntRange(0, int(m.now)).Draw(t, "after"))
	var want, got []position
	slices.SortFunc(offered, func(a, b queue.Class) int {
		return cmp.Or(cmp.Compare(a.LastArrival, b.LastArrival), cmp.Compare(a.Origin, b.Origin))
	})
	for _, c := range offered {
		if c.LastArrival > after {
			want = append(want, c.Origin)
		}
	}
	for c := range q.Arrived(after) {
		got = append(got, c.Origin)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("arrived after %d: %v, want %v", after, got, want)
	}
}

func (m *model) Load(t *rapid.T, r *canonical.Reader) *queue.Queue {
	l := queue.Decode(r)
	for _, e := range m.waiting {
		l.Waiting(e)
	}
	for _, g := range m.held {
		l.Held(g)
	}
	return l.Done()
}

func TestQueueAgreesWithItsModel(t *testing.T) {
	worldtest.AgreesWithItsModel(t, func() (*queue.Queue, worldtest.Model[*queue.Queue]) {
		return queue.New(), newModel()
	})
}

func BenchmarkPlaceAmongAMillion(b *testing.B) {
	q := queue.New()
	var class position
	for i := range position(1_000_000) {
		class = q.Join(i+1, queue.Demand{Namespace: "default"})
		q.Arrive(i+1, queue.Entry{Class: class, Key: int64(i), Job: i + 1, ID: id.ID(i + 1), Attempt: 1})
	}
	e := queue.Entry{Class: class, Key: 777_777, Job: 777_778, ID: 777_778, Attempt: 1}
	for b.Loop() {
		if q.Place(e) != 777_777 {
			b.Fatal("wrong place")
		}
	}
}
