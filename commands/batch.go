package commands

import (
	"cmp"
	"context"
	"slices"

	"github.com/hodei-jobs/hodei/aggregates/event"
	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/eventstore"
)

// SubmitBatch submits jobs of one batch, each by itself, as SubmitJobs does. It
// returns a Conflict, and appends nothing, if the key of the submissions was used for
// another batch within the last 7 days: with another number of jobs, or with another
// job at one of the places. A place whose job was refused then is free. Batches under
// one key take turns, so that of two that differ one is refused as a whole.
func (s *Service) SubmitBatch(ctx context.Context, c Caller, submissions []Submission) ([]Submitted, error) {
	release, err := s.holdBatch(ctx, submissions)
	if err != nil {
		return nil, err
	}
	defer release()
	if err := s.checkBatch(ctx, submissions); err != nil {
		return nil, err
	}
	return s.SubmitJobs(ctx, c, submissions), nil
}

// holdBatch makes the caller the only one in this process that submits a batch under
// its keys, of which there is one a namespace. They are held in one order by all. The
// streams have no events and no job's key has their names.
func (s *Service) holdBatch(ctx context.Context, submissions []Submission) (release func(), err error) {
	var streams []eventstore.StreamID
	for i := range submissions {
		if sub := &submissions[i]; sub.Key != "" {
			streams = append(streams, eventstore.StreamID(event.KeyStream(namespaceOf(sub), sub.Key+"\x00")))
		}
	}
	slices.Sort(streams)
	var releases []func()
	release = func() {
		for _, f := range releases {
			f()
		}
	}
	for _, stream := range slices.Compact(streams) {
		e, err := s.keys.hold(ctx, stream, true)
		if err != nil {
			release()
			return nil, err
		}
		releases = append(releases, func() { s.keys.release(e, false) })
	}
	return release, nil
}

func (s *Service) checkBatch(ctx context.Context, submissions []Submission) error {
	for i := range submissions {
		u, sub := &unit{s: s, wait: true}, &submissions[i]
		if sub.Key == "" {
			continue
		}
		_, err := s.useKey(ctx, u, sub, namespaceOf(sub), 0)
		u.done(nil)
		if err != nil {
			return err
		}
	}
	return nil
}

func namespaceOf(sub *Submission) string { return cmp.Or(sub.Spec.Namespace, spec.DefaultNamespace) }
