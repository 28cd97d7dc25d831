package placement

import (
	"container/heap"
	"slices"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/resource"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections/queue"
)

// planner is one pass.
type planner struct {
	in    Input
	limit int
	score scorer

	nodes   []Node // that may have room, by id
	roomy   int    // nodes with free CPU
	memory  Memory // of this pass; it becomes the next one's
	turn    lineup
	drawn   map[eventstore.Position]*line // classes that had a turn
	matches map[asked]*match
	bound   []Binding
}

// Plan binds waiting jobs to workers, at most [Input.Limit]. It never gives away
// more than a worker has, and never leaves a job waiting that fits a worker,
// unless it reached the limit. The next pass must see a World that includes what
// became of these bindings; see [Memory.Returned] for those that came to nothing.
func Plan(previous Memory, in Input) ([]Binding, Memory) {
	p := planner{
		in: in, limit: in.Limit, score: scorerOf(in.Settings.Policy),
		drawn: make(map[eventstore.Position]*line), matches: make(map[asked]*match),
	}
	if p.limit <= 0 {
		p.limit = MaxBindings
	}
	if outgrown(previous) {
		previous = Memory{}
	}
	p.memory = previous.fork()
	room, anchors := p.lookAtWorkers(previous)
	p.lookAtArrivals(previous, room, anchors)
	for s := range p.memory.groups(room, anchors) {
		p.turn = append(p.turn, s)
	}
	heap.Init(&p.turn)
	p.place()
	return p.bound, p.remember(previous)
}

// outgrown reports whether so many classes have come since everything was looked
// at that those which are no longer there, and which no gain ever reaches, may
// be most of them.
func outgrown(m Memory) bool {
	const slack = 1024
	return m.Waiting() > 2*m.seen+slack
}

// lookAtWorkers fills nodes with those that had room and those that have gained,
// and returns what those that have gained can wake: the most room there is on one
// of them, in each dimension by itself, and the anchors they offer. What a worker
// has given back by using less is no event, so when telemetry has moved every
// worker is looked at.
func (p *planner) lookAtWorkers(previous Memory) (room resource.Amount, anchors []string) {
	after := previous.position
	if reportedOffset(p.in.Telemetry) != previous.reported {
		after = 0
	}
	gained := make(map[id.ID]bool, len(previous.returned))
	for _, w := range previous.returned {
		gained[w] = true
	}
	for n := range p.in.Cluster.Gained(after) {
		gained[n.ID] = true
	}
	var waking []*Node
	candidates := slices.Clone(previous.open)
	for w := range gained {
		candidates = append(candidates, w)
	}
	slices.Sort(candidates)
	for _, w := range slices.Compact(candidates) {
		n, ok := p.in.Cluster.Node(w)
		if !ok || !n.Open() {
			continue
		}
		node := nodeOf(n, p.in.Telemetry)
		if node.Free.CPU == 0 {
			continue
		}
		p.nodes = append(p.nodes, node)
		if previous.full || gained[w] {
			room = room.Max(node.Free)
			waking = append(waking, &node)
		}
	}
	p.roomy = len(p.nodes)
	return room, offered(waking)
}

// lookAtArrivals makes the classes that have arrivals known, and lines up the
// groups of those that room doesn't wake anyway: one that had no job until now
// was never tried on the workers that had room all the time.
func (p *planner) lookAtArrivals(previous Memory, room resource.Amount, anchors []string) {
	for c := range p.in.Queue.Arrived(previous.position) {
		first, ok := p.draw(c.Origin).head()
		if !ok {
			continue
		}
		s := p.memory.put(sleeperOf(c, first))
		_, fits := s.need.Fits(room)
		if _, offered := slices.BinarySearch(anchors, s.anchor); !fits || !offered {
			p.turn = append(p.turn, s)
		}
	}
	slices.SortFunc(p.turn, sleeper.compareDemand)
	p.turn = slices.CompactFunc(p.turn, func(a, b sleeper) bool { return a.compareDemand(b) == 0 })
	for i, s := range p.turn {
		p.turn[i], _ = p.memory.first(s)
	}
}

// place gives the group with the earliest job a turn until there is no room, no
// group, or the limit is reached. A group that fits nowhere leaves: in one pass
// room only shrinks.
func (p *planner) place() {
	for len(p.turn) > 0 && p.roomy > 0 && len(p.bound) < p.limit {
		s := p.turn[0]
		if p.bindFirst(s) {
			if next, ok := p.memory.first(s); ok {
				p.turn[0] = next
				heap.Fix(&p.turn, 0)
				continue
			}
		}
		heap.Pop(&p.turn)
	}
}

// bindFirst binds the first job of a class, if there still is one and it stands
// where the class was thought to stand. It reports false if it fits nowhere.
func (p *planner) bindFirst(s sleeper) bool {
	line := p.draw(s.class)
	first, ok := line.head()
	if !ok {
		p.memory.remove(s.class)
		return true
	}
	if first.Key != s.key {
		p.advance(s, first)
		return true
	}
	worker, decision := p.choose(s, line.demand)
	if worker == nil {
		return false
	}
	if worker.take(line.demand.Need); worker.Free.CPU == 0 {
		p.roomy--
	}
	p.bound = append(p.bound, Binding{Job: first.ID, Attempt: first.Attempt, Worker: worker.ID, Decision: decision})
	if next, ok := line.next(); ok {
		p.advance(s, next)
	} else {
		p.memory.remove(s.class)
	}
	return true
}

func (p *planner) advance(s sleeper, first queue.Entry) {
	s.key = first.Key
	p.memory.put(s)
}

// remember makes the memory the next pass starts from. Workers that this pass
// filled stay open: whether they are full is the next World's to say.
func (p *planner) remember(previous Memory) Memory {
	m := p.memory
	m.position, m.reported = p.in.Position, reportedOffset(p.in.Telemetry)
	m.full = len(p.bound) == p.limit && len(p.turn) > 0 && p.roomy > 0
	m.returned = nil
	m.open = make([]id.ID, len(p.nodes))
	for i := range p.nodes {
		m.open[i] = p.nodes[i].ID
	}
	if previous.position == 0 {
		m.seen = m.asleep.Len()
	}
	return m
}

// lineup is a heap of groups by their earliest job.
type lineup []sleeper

func (l lineup) Len() int           { return len(l) }
func (l lineup) Less(i, j int) bool { return l[i].earlier(l[j]) }
func (l lineup) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }
func (l *lineup) Push(s any)        { *l = append(*l, s.(sleeper)) }
func (l *lineup) Pop() any {
	last := (*l)[len(*l)-1]
	*l = (*l)[:len(*l)-1]
	return last
}

// line is the jobs of a class in their order, as far as this pass has drawn them.
type line struct {
	queue   *queue.Queue
	class   eventstore.Position
	demand  Class
	entries []queue.Entry
	used    int
	whole   bool // the class has no more
}

// draw returns the line of a class. One that may not be placed has no jobs.
func (p *planner) draw(class eventstore.Position) *line {
	l := p.drawn[class]
	if l == nil {
		c, ok := p.in.Queue.Class(class)
		l = &line{queue: p.in.Queue, class: class, demand: c.Demand, whole: !ok || c.Paused}
		p.drawn[class] = l
	}
	return l
}

func (l *line) head() (queue.Entry, bool) {
	if l.used == len(l.entries) && !l.whole {
		l.extend()
	}
	if l.used == len(l.entries) {
		return queue.Entry{}, false
	}
	return l.entries[l.used], true
}

func (l *line) next() (queue.Entry, bool) {
	l.used++
	return l.head()
}

// extend draws as many again as were drawn, at least the first: all extensions
// of one pass together read less than twice what it binds, and one.
func (l *line) extend() {
	want := max(1, 2*len(l.entries))
	skip := len(l.entries)
	l.whole = true
	for e := range l.queue.Entries(l.class) {
		if skip > 0 {
			skip--
			continue
		}
		if len(l.entries) == want {
			l.whole = false
			return
		}
		l.entries = append(l.entries, e)
	}
}

func sortedIDs(a, b []id.ID) []id.ID {
	all := append(slices.Clone(a), b...)
	slices.Sort(all)
	return slices.Compact(all)
}
