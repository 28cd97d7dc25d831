package job

import (
	"fmt"
	"strings"

	"github.com/hodei-jobs/hodei/aggregates/event"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
)

// ReadSecrets records that the worker of a bound attempt is given stored secrets.
// The same again yields nothing; after a cut the worker may be given newer
// versions.
type ReadSecrets struct {
	Attempt uint32
	Worker  string
	Secrets []*eventv1.SecretUse // at least one, sorted by variable
}

// WithholdSecrets ends a bound attempt because a secret of it can't be had. An
// attempt that is not live any more yields nothing.
type WithholdSecrets struct {
	Attempt uint32
	Detail  string // which and why, without any value; cut to maxDetail bytes
}

// ShredSecrets records that the job's own secrets can't be read any more. A job
// that has none yields nothing.
type ShredSecrets struct{}

func (c ReadSecrets) decide(s *State) (events, error) {
	if err := s.current("read the secrets of", c.Attempt, c.Worker); err != nil {
		return nil, err
	}
	switch {
	case s.Status != Bound:
		return nil, s.refuse("read the secrets of", "%s", s.Status.already())
	case len(c.Secrets) == 0:
		return nil, malformed("read the secrets of", "secrets", "there are none")
	case s.newest.read == uses(c.Secrets):
		return nil, nil
	}
	return events{&eventv1.SecretRead{Attempt: c.Attempt, WorkerId: c.Worker, Secrets: c.Secrets}}, nil
}

// uses returns a text that is the same for the same secrets only.
func uses(secrets []*eventv1.SecretUse) string {
	var b strings.Builder
	for _, u := range secrets {
		fmt.Fprintf(&b, "%s %s %d\n", u.GetVariable(), u.GetName(), u.GetVersion())
	}
	return b.String()
}

func (c WithholdSecrets) decide(s *State) (events, error) {
	if gone, err := s.gone("withhold the secrets of", c.Attempt); gone || err != nil {
		return nil, err
	}
	if s.Status != Bound {
		return nil, s.refuse("withhold the secrets of", "attempt %d has started", c.Attempt)
	}
	retried := s.retries(causeSecretUnavailable)
	return s.again(&eventv1.JobFailed{
		Attempt: s.Attempt, WorkerId: s.Worker, Cause: causeSecretUnavailable, Detail: event.Cut(c.Detail, maxDetail), Retried: retried,
	}, retried), nil
}

func (c ShredSecrets) decide(s *State) (events, error) {
	switch {
	case s.Status == None:
		return nil, missing("shred the secrets of")
	case !s.Sealed, s.Shredded:
		return nil, nil
	case !s.Status.Terminal():
		return nil, s.refuse("shred the secrets of", "%s", s.Status.already())
	}
	return events{&eventv1.JobSecretsShredded{}}, nil
}
