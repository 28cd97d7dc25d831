package api

import (
	"iter"
	"strconv"
	"strings"

	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections/jobs"
)

// jobOrder is the order of a list and where in it a page begins. Positions don't
// move, so pages are right whatever happens between them.
type jobOrder struct {
	ended, ascending bool
	at               eventstore.Position // descending: what comes before it
}

// letter marks cursors, so that one of another order is not taken for one of this.
func (o jobOrder) letter() string {
	switch {
	case o.ended && o.ascending:
		return "f"
	case o.ended:
		return "e"
	case o.ascending:
		return "a"
	}
	return ""
}

func parseOrder(in *listInput) (jobOrder, error) {
	o := jobOrder{ended: in.Sort == "ended", ascending: in.Order == "asc"}
	first := uint64(1<<63 - 1)
	if o.ascending {
		first = 0
	}
	text := in.Cursor
	if text != "" && text != "0" {
		var ok bool
		if text, ok = strings.CutPrefix(text, o.letter()); !ok {
			return o, invalid("query.cursor", "it is not the next of a page in this order", in.Cursor)
		}
	}
	at, err := parseCursor(text, first)
	o.at = eventstore.Position(at)
	return o, err
}

func (o jobOrder) from(all *jobs.Jobs) iter.Seq[jobs.Job] {
	switch {
	case o.ended && o.ascending:
		return all.EndedSince(o.at)
	case o.ended:
		return all.Ended(o.at - 1)
	case o.ascending:
		return all.Ascend(o.at)
	}
	return all.Descend(o.at - 1)
}

// next is the cursor of a page that begins with a job.
func (o jobOrder) next(j *jobs.Job) string {
	at := j.Position
	if o.ended {
		at = j.Last
	}
	if !o.ascending {
		at++
	}
	return o.letter() + strconv.FormatUint(uint64(at), 10)
}
