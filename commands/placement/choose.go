package placement

import (
	"slices"
	"strings"

	"github.com/hodei-jobs/hodei/aggregates/resource"

	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
)

// match is how the workers with room stand to all classes that ask for the same.
type match struct {
	candidates []*Node
	refused    []refusals // by the standing filters
}

// asked is what such classes have in common.
type asked struct {
	need  resource.Amount
	shape string
}

// refusals counts workers refused for a reason.
type refusals struct {
	reason Reason
	count  uint32
}

// candidate is a worker with its score.
type candidate struct {
	node  *Node
	score float64
}

// choose returns the best worker for a job of the class, and why it is; nil if
// none can take it now. Of equals the one with the lowest id is taken.
func (p *planner) choose(s sleeper, c Class) (*Node, *eventv1.Decision) {
	m := p.match(s, c)
	var best [keptCandidates]candidate
	var kept int
	var busy uint32
	for _, n := range m.candidates {
		if _, refused := refusal(momentary, c, n); refused {
			busy++
			continue
		}
		kept = insert(&best, kept, candidate{n, p.score(c, n)})
	}
	if kept == 0 {
		return nil, nil
	}
	return best[0].node, p.decision(m, busy, best[:kept])
}

// insert keeps the best candidates in order and returns how many there are.
func insert(best *[keptCandidates]candidate, kept int, c candidate) int {
	at := kept
	for at > 0 && best[at-1].score < c.score {
		at--
	}
	if at == keptCandidates {
		return kept
	}
	copy(best[at+1:], best[at:])
	best[at] = c
	return min(kept+1, keptCandidates)
}

// match asks the standing filters once a pass for all that ask for the same.
func (p *planner) match(s sleeper, c Class) *match {
	key := asked{s.need, s.shape}
	if m := p.matches[key]; m != nil {
		return m
	}
	m := new(match)
	for i := range p.nodes {
		n := &p.nodes[i]
		if why, refused := refusal(standing, c, n); refused {
			m.refused = count(m.refused, why, 1)
		} else {
			m.candidates = append(m.candidates, n)
		}
	}
	p.matches[key] = m
	return m
}

func count(all []refusals, why Reason, n uint32) []refusals {
	i, found := slices.BinarySearchFunc(all, why, func(r refusals, why Reason) int {
		return strings.Compare(string(r.reason), string(why))
	})
	if found {
		all[i].count += n
		return all
	}
	return slices.Insert(all, i, refusals{why, n})
}

// decision records why the first of the candidates was chosen. Workers without
// any room were not looked at and are not counted.
func (p *planner) decision(m *match, busy uint32, best []candidate) *eventv1.Decision {
	d := &eventv1.Decision{
		Policy:          p.in.Settings.Policy,
		PlanVersion:     Version,
		Position:        uint64(p.in.Position),
		TelemetryOffset: reportedOffset(p.in.Telemetry),
		Considered:      uint32(len(p.nodes)),
		Best:            make([]*eventv1.Candidate, len(best)),
	}
	refused := m.refused
	if busy > 0 {
		refused = count(slices.Clone(refused), Busy, busy)
	}
	for _, r := range refused {
		d.Refused = append(d.Refused, &eventv1.Refusal{Reason: string(r.reason), Count: r.count})
	}
	for i, c := range best {
		d.Best[i] = &eventv1.Candidate{WorkerId: c.node.ID.String(), Score: c.score}
	}
	return d
}
