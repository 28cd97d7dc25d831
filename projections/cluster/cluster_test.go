package cluster_test

import (
	"cmp"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/resource"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections/canonical"
	"github.com/hodei-jobs/hodei/projections/cluster"
	"github.com/hodei-jobs/hodei/projections/worldtest"
)

type position = eventstore.Position

// model is a cluster in the simplest form.
type model struct {
	now      position
	nodes    map[id.ID]*cluster.Facts
	gained   map[id.ID]position
	attempts []cluster.Attempt
}

func newModel() *model {
	return &model{nodes: make(map[id.ID]*cluster.Facts), gained: make(map[id.ID]position)}
}

func (m *model) on(worker id.ID) (n int, sum resource.Amount) {
	for _, a := range m.attempts {
		if a.Node == worker {
			n++
			sum = sum.Add(a.Need)
		}
	}
	return n, sum
}

// Step does one random thing to both.
func (m *model) Step(t *rapid.T, c *cluster.Cluster) {
	m.now++
	worker := id.ID(rapid.IntRange(1, 4).Draw(t, "worker"))
	switch rapid.IntRange(0, 6).Draw(t, "step") {
	case 0, 1:
		m.put(t, c, worker)
	case 2:
		c.Remove(worker)
		if n, _ := m.on(worker); n == 0 {
			delete(m.nodes, worker)
			delete(m.gained, worker)
		} else if _, known := m.nodes[worker]; known {
			m.nodes[worker] = &cluster.Facts{ID: worker, Gone: true}
		}
	case 3, 4:
		m.bind(t, c, worker)
	default:
		m.attempt(t, c)
	}
}

func (m *model) put(t *rapid.T, c *cluster.Cluster, worker id.ID) {
	f := &cluster.Facts{
		ID: worker, Name: "atlas", Capacity: resource.Amount{CPU: resource.CPU(rapid.IntRange(1, 2).Draw(t, "cpu"))},
		Connected: rapid.Bool().Draw(t, "connected"), Cordoned: rapid.IntRange(0, 3).Draw(t, "cordoned") == 0,
	}
	before, known := m.nodes[worker]
	if f.Open() && (!known || !before.Open() || f.Capacity.CPU > before.Capacity.CPU) {
		m.gained[worker] = m.now
	}
	m.nodes[worker] = f
	c.Put(m.now, f)
}

func (m *model) bind(t *rapid.T, c *cluster.Cluster, worker id.ID) {
	a := cluster.Attempt{
		Job: id.ID(m.now), JobPosition: 1000 + m.now, Attempt: 1, Node: worker, BoundAt: m.now,
		Need:      resource.Amount{CPU: resource.CPU(rapid.IntRange(1, 3).Draw(t, "need")), Memory: 1},
		TimeLimit: int64(rapid.IntRange(0, 2).Draw(t, "limit")), Grace: 1,
	}
	if _, known := m.nodes[worker]; !known {
		m.nodes[worker] = &cluster.Facts{ID: worker, Gone: true}
	}
	m.attempts = append(m.attempts, a)
	c.Bind(a)
}

func (m *model) attempt(t *rapid.T, c *cluster.Cluster) {
	if len(m.attempts) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.attempts)-1).Draw(t, "which")
	a := &m.attempts[i]
	switch {
	case !a.Started && rapid.Bool().Draw(t, "start"):
		a.Started, a.StartedAt, a.StartedTime = true, m.now, int64(m.now)
		c.Start(a.JobPosition, m.now, int64(m.now))
	case rapid.Bool().Draw(t, "cancel"):
		if a.CancelAt == 0 {
			a.CancelAt = m.now
		}
		c.Cancel(a.JobPosition, m.now)
	default:
		worker := a.Node
		c.End(a.JobPosition, m.now)
		m.attempts = slices.Delete(m.attempts, i, i+1)
		f := m.nodes[worker]
		if n, _ := m.on(worker); n == 0 && f.Gone {
			delete(m.nodes, worker)
			delete(m.gained, worker)
		} else if f.Open() {
			m.gained[worker] = m.now
		}
	}
}

func (m *model) Check(t *rapid.T, c *cluster.Cluster) {
	if c.Len() != len(m.nodes) || c.Live() != len(m.attempts) {
		t.Fatalf("%d nodes and %d attempts, want %d and %d", c.Len(), c.Live(), len(m.nodes), len(m.attempts))
	}
	var open []id.ID
	for worker, f := range m.nodes {
		n, sum := m.on(worker)
		got, ok := c.Node(worker)
		if !ok || got.Attempts != n || got.Reserved != sum || got.Open() != f.Open() || got.Gone != f.Gone {
			t.Fatalf("node %s is %+v (%v), want %d attempts, %v reserved, %+v", worker, got, ok, n, sum, f)
		}
		if f.Open() {
			open = append(open, worker)
		}
		var on []cluster.Attempt
		for _, a := range m.attempts {
			if a.Node == worker {
				on = append(on, a)
			}
		}
		if got := slices.Collect(c.Attempts(worker, 0)); !slices.Equal(got, on) {
			t.Fatalf("on %s are %+v, want %+v", worker, got, on)
		}
	}
	m.checkGained(t, c, open)
	m.checkExpiring(t, c)
	if got := slices.Collect(c.All()); !slices.Equal(got, m.attempts) {
		t.Fatalf("all are %+v, want %+v", got, m.attempts)
	}
}

func (m *model) checkGained(t *rapid.T, c *cluster.Cluster, open []id.ID) {
	after := position(rapid.IntRange(0, int(m.now)).Draw(t, "after"))
	slices.SortFunc(open, func(a, b id.ID) int { return cmp.Compare(m.gained[a], m.gained[b]) })
	open = slices.DeleteFunc(open, func(w id.ID) bool { return m.gained[w] <= after })
	var got []id.ID
	for n := range c.Gained(after) {
		got = append(got, n.ID)
	}
	if !slices.Equal(got, open) {
		t.Fatalf("gained after #%d have %v, want %v of %v", after, got, open, maps.Clone(m.gained))
	}
}

func (m *model) checkExpiring(t *rapid.T, c *cluster.Cluster) {
	var want []cluster.Attempt
	for _, a := range m.attempts {
		if _, ok := a.Expires(); ok {
			want = append(want, a)
		}
	}
	slices.SortStableFunc(want, func(a, b cluster.Attempt) int {
		x, _ := a.Expires()
		y, _ := b.Expires()
		return cmp.Compare(x, y)
	})
	if got := slices.Collect(c.Expiring()); !slices.Equal(got, want) {
		t.Fatalf("expiring are %+v, want %+v", got, want)
	}
}

func (m *model) Load(t *rapid.T, r *canonical.Reader) *cluster.Cluster {
	loaded := cluster.Decode(r, func(worker id.ID) *cluster.Facts {
		if f := m.nodes[worker]; !f.Gone {
			return f
		}
		return nil
	})
	return loaded
}

func TestClusterAgreesWithItsModel(t *testing.T) {
	worldtest.AgreesWithItsModel(t, func() (*cluster.Cluster, worldtest.Model[*cluster.Cluster]) {
		return cluster.New(), newModel()
	})
}

func TestExpires(t *testing.T) {
	for _, row := range []struct {
		name    string
		attempt cluster.Attempt
		at      int64
		ok      bool
	}{
		{"one that has not started never does", cluster.Attempt{TimeLimit: 5}, 0, false},
		{"one without a limit never does", cluster.Attempt{Started: true, StartedTime: 3}, 0, false},
		{"else after limit and grace", cluster.Attempt{Started: true, StartedTime: 3, TimeLimit: 5, Grace: 2}, 10, true},
	} {
		if at, ok := row.attempt.Expires(); at != row.at || ok != row.ok {
			t.Errorf("%s: got %d, %v", row.name, at, ok)
		}
	}
}
