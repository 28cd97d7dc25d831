package commands

import (
	"context"
	"maps"

	"google.golang.org/protobuf/proto"

	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/spec"
)

// Rerun asks for a job that does again what another did.
type Rerun struct {
	Job     id.ID     // the other one
	Spec    spec.Spec // its own, or one that is made of it by [spec.Spec.Change]
	Key     string    // idempotency key, of its namespace; empty is none
	Replace bool      // the other one is cancelled, if it has not started
}

// RerunJob submits a job that does again what another did. Values of that one's own
// secrets are sealed anew for it, as long as they are kept. With Replace the other
// job is cancelled in the same step; one that runs can't be replaced.
func (s *Service) RerunJob(ctx context.Context, c Caller, r Rerun) Submitted {
	return s.SubmitJobs(ctx, c, []Submission{{Spec: r.Spec, Key: r.Key, rerunOf: r.Job, replaces: r.Replace}})[0]
}

// replace cancels the job that a submission is to stand in for. One that has ended
// needs no end.
func (s *Service) replace(ctx context.Context, u *unit, sub *Submission, by id.ID) error {
	if !sub.replaces {
		return nil
	}
	_, err := decide(ctx, u, s.jobs, jobStream(sub.rerunOf), func(state job.State, _ mark) ([]proto.Message, error) {
		switch {
		case state.Status.Terminal():
			return nil, nil
		case state.Status == job.Running:
			return nil, &fault.Error{Kind: fault.Refused, Op: "replace", Subject: "job " + sub.rerunOf.String(), Reason: "it runs already",
				Help: "cancel it first: hodei job cancel " + sub.rerunOf.String() + "    or run both: leave --replace out"}
		}
		messages, err := state.Decide(job.RequestCancel{Reason: "replaced by " + by.String()})
		return messages, fault.About(err, sub.rerunOf.String())
	})
	return err
}

// carried returns the submission's spec with the values that are still sealed for
// the job it does again, in the clear.
func (s *Service) carried(ctx context.Context, sub *Submission) (spec.Spec, error) {
	sp := sub.Spec
	if sub.rerunOf == 0 {
		return sp, nil
	}
	sp.Secrets = maps.Clone(sp.Secrets)
	for _, name := range sp.OwnSecrets() {
		secret := sp.Secrets[name]
		if secret.Sealed == nil {
			continue
		}
		value, err := s.unseal(ctx, secret.Key, secret.Sealed, belongsToJob(sp.Namespace, sub.rerunOf, name), "secret "+name)
		switch {
		case fault.KindOf(err) == fault.NotFound && err != nil:
			return sp, &fault.Error{Kind: fault.Refused, Op: "rerun", Subject: "job " + sub.rerunOf.String(),
				Reason: "the value of its secret " + name + " is not kept any more", Help: "give it again: --secret " + name + "=VALUE"}
		case err != nil:
			return sp, err
		}
		sp.Secrets[name] = spec.Secret{Value: spec.Plain(value)}
	}
	return sp, nil
}
