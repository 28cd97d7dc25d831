package api

import (
	"context"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/commands/placement"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections"
	"github.com/hodei-jobs/hodei/projections/queue"
)

// nextShown is how many jobs of a class are named.
const nextShown = 10

type queueInput struct {
	Namespace string `query:"namespace" maxLength:"63" doc:"Only what waits in this namespace"`
	PageInput
}

type queueOutput struct{ Body wire.Queue }

func (s *server) queue(api huma.API) {
	register(s, api, needs(token.Viewer, huma.Operation{
		OperationID: "getQueue", Method: http.MethodGet, Path: "/v1/queue", Tags: []string{"queue"},
		Summary: "Show what waits, and why", Errors: []int{http.StatusNotFound, http.StatusUnprocessableEntity},
		Description: "Waiting jobs in classes: those with the same namespace, pool and needs. The reason is that of the class's first job.",
	}), s.getQueue)
}

func (s *server) getQueue(ctx context.Context, in *queueInput) (*queueOutput, error) {
	after, err := parseCursor(in.Cursor, 0)
	if err != nil {
		return nil, err
	}
	w := s.Runner.World()
	if err := who(ctx).in(w, in.Namespace); err != nil {
		return nil, err
	}
	return s.queueAt(w, who(ctx), in, after), nil
}

// queueAt is the queue as w has it and p may see it, from the class after one.
func (s *server) queueAt(w *projections.World, p *principal, in *queueInput, after uint64) *queueOutput {
	out := &queueOutput{Body: wire.Queue{Items: []wire.Class{}}}
	var shown []queue.Class
	for c := range w.Queue.Classes() {
		if !p.sees(c.Namespace) || in.Namespace != "" && in.Namespace != c.Namespace || c.Waiting+c.Backoff == 0 {
			continue
		}
		out.Body.Waiting += c.Waiting + c.Backoff
		out.Body.Backoff += c.Backoff
		switch {
		case uint64(c.Origin) <= after:
		case len(shown) < in.Limit:
			shown = append(shown, c)
		case out.Body.Next == "":
			out.Body.Next = strconv.FormatUint(uint64(shown[in.Limit-1].Origin), 10)
		}
	}
	delayed := delayedOf(w.Queue, shown)
	for _, c := range shown {
		out.Body.Items = append(out.Body.Items, s.classView(w, c, delayed[c.Origin]))
	}
	return out
}

// delayedOf returns, of each class whose every job waits for the delay of a
// retry, those that are due first.
func delayedOf(q *queue.Queue, classes []queue.Class) map[eventstore.Position][]queue.Gated {
	delayed, open := map[eventstore.Position][]queue.Gated{}, 0
	for _, c := range classes {
		if c.Waiting == 0 {
			delayed[c.Origin] = nil
			open++
		}
	}
	if open == 0 {
		return nil
	}
	for g := range q.Due() {
		first, wanted := delayed[g.Class]
		if !wanted || len(first) == nextShown {
			continue
		}
		delayed[g.Class] = append(first, g)
		if len(first)+1 == nextShown {
			if open--; open == 0 {
				break
			}
		}
	}
	return delayed
}

func (s *server) classView(w *projections.World, c queue.Class, delayed []queue.Gated) wire.Class {
	v := wire.Class{Class: className(c.Origin), Namespace: c.Namespace, Pool: c.Pool, Waiting: c.Waiting + c.Backoff,
		Needs: wire.Needs{CPU: c.Need.CPU.String(), Requires: c.Requires.Map()}}
	if c.Need.Memory > 0 {
		v.Needs.Memory = c.Need.Memory.String()
	}
	if c.Need.Disk > 0 {
		v.Needs.Disk = c.Need.Disk.String()
	}
	var why placement.Why
	var next []queue.Entry
	if len(delayed) > 0 {
		why = placement.ExplainBackoff(delayed[0], s.Clock().UnixNano())
		for _, g := range delayed {
			next = append(next, g.Entry)
		}
	} else {
		why = s.reasons.of(s.input(w), c)
		next = firstEntries(w.Queue, c.Origin)
	}
	v.Reason, v.Summary, v.Explanation, v.Help = string(why.Code), why.Brief, why.Summary, why.Help
	for i, e := range next {
		if j, ok := w.Jobs.At(e.Job); ok && i == 0 {
			v.Oldest = instantOrNone(j.Submitted)
		}
		v.Next = append(v.Next, e.ID.String())
	}
	return v
}

func firstEntries(q *queue.Queue, class eventstore.Position) (first []queue.Entry) {
	for e := range q.Entries(class) {
		if first = append(first, e); len(first) == nextShown {
			break
		}
	}
	return first
}

func className(origin eventstore.Position) string {
	return "c" + strconv.FormatUint(uint64(origin), 10)
}
