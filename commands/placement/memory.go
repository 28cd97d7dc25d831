package placement

import (
	"cmp"
	"iter"
	"math"
	"strings"

	"github.com/tidwall/btree"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/resource"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections/queue"
)

// Memory is what a pass leaves to the next one, so that it needn't look at
// everything again. The zero Memory knows nothing: the pass after it looks at
// every class and every worker. A Memory may be planned from more than once, but
// not by two goroutines at the same time.
type Memory struct {
	position eventstore.Position // of the World the pass looked at
	reported uint64              // telemetry offset it looked at
	full     bool                // the pass ended at its limit: any class may fit anywhere
	open     []id.ID             // workers that may have room, sorted; all others have none
	returned []id.ID             // workers of bindings that came to nothing, sorted

	// Every class with jobs that may be placed. Unless full, none of them fits a
	// worker as it was.
	asleep  *btree.BTreeG[sleeper]
	byName  *btree.Map[eventstore.Position, sleeper]
	anchors anchors
	seen    int // classes when everything was last looked at
}

// sleeper is a class that waits for room. In their order, those that ask for the
// same stand together, the one with the earliest job first.
type sleeper struct {
	anchor string // what it asks of a worker that few others ask; see anchors
	need   resource.Amount
	shape  string // pool and labels
	key    int64  // at or before that of its first job
	class  eventstore.Position
}

func (a sleeper) less(b sleeper) bool {
	if c := a.compareDemand(b); c != 0 {
		return c < 0
	}
	return a.earlier(b)
}

// compareDemand orders by what is asked for, below an anchor the least CPU first.
func (a sleeper) compareDemand(b sleeper) int {
	return cmp.Or(
		strings.Compare(a.anchor, b.anchor),
		cmp.Compare(a.need.CPU, b.need.CPU), cmp.Compare(a.need.Memory, b.need.Memory),
		cmp.Compare(a.need.Disk, b.need.Disk), strings.Compare(a.shape, b.shape),
	)
}

// earlier is the fair order between classes.
func (a sleeper) earlier(b sleeper) bool {
	return a.key < b.key || a.key == b.key && a.class < b.class
}

// begin and end bound those that ask for the same as a.
func (a sleeper) begin() sleeper { a.key, a.class = math.MinInt64, 0; return a }
func (a sleeper) end() sleeper   { a.key, a.class = math.MaxInt64, math.MaxUint64; return a }

func sleeperOf(c queue.Class, first queue.Entry) sleeper {
	return sleeper{need: slot(c.Need), shape: shape(c.Demand), key: first.Key, class: c.Origin}
}

// fork returns a Memory to change, which shares the sleepers with m until then.
func (m Memory) fork() Memory {
	if m.asleep == nil {
		m.asleep = btree.NewBTreeGOptions(sleeper.less, btree.Options{NoLocks: true})
		m.byName = new(btree.Map[eventstore.Position, sleeper])
		m.anchors = newAnchors()
		return m
	}
	m.asleep, m.byName, m.anchors = m.asleep.Copy(), m.byName.Copy(), m.anchors.fork()
	return m
}

// Waiting returns how many classes m knows.
func (m Memory) Waiting() int {
	if m.asleep == nil {
		return 0
	}
	return m.asleep.Len()
}

// Returned tells m that the workers have the room after all that the last pass
// gave away: the bindings came to nothing.
func (m Memory) Returned(workers ...id.ID) Memory {
	m.returned = sortedIDs(m.returned, workers)
	return m
}

// put replaces what is known of a class, and returns it with its anchor.
func (m *Memory) put(s sleeper) sleeper {
	if old, known := m.byName.Get(s.class); known {
		m.asleep.Delete(old)
		s.anchor = old.anchor // what a class asks for never changes
	} else {
		s.anchor = m.anchors.take(s.shape)
	}
	m.asleep.Set(s)
	m.byName.Set(s.class, s)
	return s
}

func (m *Memory) remove(class eventstore.Position) {
	if old, ok := m.byName.Delete(class); ok {
		m.asleep.Delete(old)
		m.anchors.release(old.shape)
	}
}

// first returns the first of those that ask for the same as s.
func (m *Memory) first(s sleeper) (first sleeper, ok bool) {
	m.asleep.Ascend(s.begin(), func(found sleeper) bool {
		first, ok = found, found.compareDemand(s) == 0
		return false
	})
	return first, ok
}

// groups returns, of the classes that ask for the same, the first, for all that
// hang at one of the anchors and whose need is within room. It costs one step a
// group, and reads nothing that needs more CPU.
func (m *Memory) groups(room resource.Amount, anchors []string) iter.Seq[sleeper] {
	return func(yield func(sleeper) bool) {
		rows := m.asleep.Iter()
		defer rows.Release()
		for _, anchor := range anchors {
			for more := rows.Seek((sleeper{anchor: anchor}).begin()); more; {
				s := rows.Item()
				if s.anchor != anchor || s.need.CPU > room.CPU {
					break
				}
				if _, fits := s.need.Fits(room); fits && !yield(s) {
					return
				}
				if more = rows.Next(); more && rows.Item().compareDemand(s) == 0 {
					more = rows.Seek(s.end())
				}
			}
		}
	}
}
