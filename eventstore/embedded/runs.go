package embedded

import (
	"fmt"

	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/embedded/index"
)

// runMaker turns frames into runs, which need to know where each stream began.
type runMaker struct {
	index   index.Index
	origins [2]map[eventstore.StreamID]eventstore.Position // newer and older
	runs    []index.Run
	events  int
}

// maxOrigins is how many streams a runMaker remembers at least; for others it
// asks the index, which then has them.
const maxOrigins = 1 << 17

func newRunMaker(ix index.Index) *runMaker {
	m := &runMaker{index: ix}
	for i := range m.origins {
		m.origins[i] = make(map[eventstore.StreamID]eventstore.Position)
	}
	return m
}

func (m *runMaker) take(f *frame) error {
	m.events += len(f.records)
	for i, start := range f.starts {
		end := int32(len(f.records))
		if i+1 < len(f.starts) {
			end = f.starts[i+1]
		}
		for at := start; at < end; {
			r := &f.records[at]
			n := at + 1
			for n < end && f.records[n].Stream == r.Stream {
				n++
			}
			origin, err := m.origin(r)
			if err != nil {
				return err
			}
			m.runs = append(m.runs, index.Run{
				Stream: r.Stream, Origin: origin, Revision: r.Revision, Position: r.Position,
				Count: uint32(n - at), ID: r.ID, AppendID: at == start,
			})
			at = n
		}
	}
	return nil
}

func (m *runMaker) origin(r *eventstore.Record) (origin eventstore.Position, err error) {
	if r.Revision == 1 {
		origin = r.Position
	} else if o, ok := m.origins[0][r.Stream]; ok {
		return o, nil
	} else if o, ok := m.origins[1][r.Stream]; ok {
		origin = o
	} else {
		err = m.index.View(func(v index.Reader) error {
			var ok bool
			if origin, ok = v.Origin(r.Stream); !ok {
				return fmt.Errorf("the index does not have the beginning of %s", r.Stream)
			}
			return nil
		})
	}
	if err == nil {
		m.origins[0][r.Stream] = origin
	}
	return origin, err
}

func (m *runMaker) write(ix index.Index, to index.Checkpoint) error {
	if m.events == 0 {
		return nil
	}
	if err := ix.Write(m.runs, to); err != nil {
		return err
	}
	m.runs, m.events = m.runs[:0], 0
	if len(m.origins[0]) > maxOrigins { // the index has the older ones by now
		m.origins[0], m.origins[1] = m.origins[1], m.origins[0]
		clear(m.origins[0])
	}
	return nil
}
