package api

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hodei-jobs/hodei/aggregates/resource"
	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/projections/usage"
)

const usageTime = 10 * time.Second // to read the use of one attempt

type usageInput struct {
	ID      string `path:"id" doc:"The job's id" example:"7f3k9qd2"`
	Attempt uint32 `query:"attempt" doc:"The attempt; without it the current or last"`
	Since   string `query:"since" maxLength:"64" doc:"Only samples that end after then, by the worker's clock: RFC 3339, or an age by the server's" example:"10m"`
	Until   string `query:"until" maxLength:"64" doc:"Only samples that begin before then, as since"`
	Step    string `query:"step" maxLength:"20" doc:"How much time a point is of, in whole seconds; without it the finest that gives at most as many points as are asked for" example:"1m"`
	Points  int    `query:"points" minimum:"1" maximum:"10000" default:"500" doc:"At most so many points, if there is no step"`
}

type usageOutput struct{ Body *wire.UsageSeries }

func (s *server) usage(api huma.API) {
	register(s, api, needs(token.Viewer, huma.Operation{
		OperationID: "getJobUsage", Method: http.MethodGet, Path: "/v1/jobs/{id}/usage", Tags: []string{"jobs"},
		Summary: "Read what an attempt used over time",
		Description: "CPU, memory, disk and network of the attempt's process tree, which its worker samples once a second, in points of a step: " +
			"of an attempt that was long a second or a day each. An attempt that was over within a second has none. " +
			"To go on, ask with since: at and seconds of the last point, added.",
		Errors: []int{http.StatusNotFound, http.StatusGone, http.StatusUnprocessableEntity, http.StatusServiceUnavailable},
	}), func(ctx context.Context, in *usageInput) (*usageOutput, error) {
		series, err := s.usageOf(ctx, in)
		return &usageOutput{series}, err
	})
}

func (s *server) usageOf(ctx context.Context, in *usageInput) (*wire.UsageSeries, error) {
	q, err := in.query(s.Clock())
	if err != nil {
		return nil, err
	}
	key, err := s.findLog(ctx, in.ID, in.Attempt)
	if err != nil {
		return nil, err
	}
	sp, err := s.Commands.Spec(ctx, key.Job)
	if err != nil {
		return nil, err
	}
	out := &wire.UsageSeries{Attempt: key.Attempt, Requests: requestsOf(sp.Resources)}
	// Of an attempt that was short there is a log and no series.
	_, logEnded := s.Logs.Ended(key)
	_, ended := s.Logs.Ended(key.Series())
	end := s.Logs.Head(key.Series())
	out.Whole = ended || logEnded && end == 0
	ctx, cancel := context.WithTimeout(ctx, usageTime)
	defer cancel()
	r, err := usage.Read(ctx, s.Logs, key, end, q)
	switch {
	case errors.Is(err, usage.ErrTooFine):
		return nil, invalid("query.step", fmt.Sprintf("it gives more than %d points; take a longer one, or a part by since and until", usage.MaxPoints), in.Step)
	case err != nil:
		return nil, unreadable("the use", key, err)
	case r.Damaged:
		s.Logger.Warn("what a worker sent of an attempt's use can't be read", "job", key.Job.String(), "attempt", key.Attempt)
	}
	out.Step, out.Items = r.Step.Seconds(), make([]wire.UsagePoint, 0, len(r.Points))
	for _, p := range r.Points {
		out.Items = append(out.Items, pointOf(p))
	}
	return out, nil
}

// query checks the parameters.
func (in *usageInput) query(now time.Time) (q usage.Query, err error) {
	q.Points = in.Points
	if q.Since, err = parseMoment("query.since", in.Since, now); err != nil {
		return q, err
	}
	if q.Until, err = parseMoment("query.until", in.Until, now); err != nil || in.Step == "" {
		return q, err
	}
	step, err := spec.ParseDuration(in.Step)
	if q.Step = step.Std(); err != nil || q.Step < time.Second || q.Step%time.Second != 0 {
		return q, invalid("query.step", "it must be whole seconds, such as 10s or 1m", in.Step)
	}
	return q, nil
}

func requestsOf(a resource.Amount) wire.Requests {
	return wire.Requests{CPU: float64(a.CPU) / 1000, Memory: uint64(a.Memory), Disk: uint64(a.Disk)}
}

func pointOf(p usage.Point) wire.UsagePoint {
	v := wire.UsagePoint{
		At: p.At, Seconds: p.Over.Seconds(), CPU: spreadOf(p.CPU, 1000), Processes: p.Processes,
		DiskRead: p.Read, DiskWrite: p.Written, NetRx: p.Received, NetTx: p.Sent,
	}
	if p.Memory != nil {
		memory := spreadOf(*p.Memory, 1)
		v.Memory = &memory
	}
	return v
}

// spreadOf rounds to parts of one.
func spreadOf(s usage.Spread, parts float64) wire.Spread {
	round := func(v float64) float64 { return math.Round(v*parts) / parts }
	return wire.Spread{Min: round(s.Min), Mean: round(s.Mean), Max: round(s.Max)}
}
