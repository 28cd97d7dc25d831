package commands

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hodei-jobs/hodei/aggregates/event"
	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/idempotency"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/namespace"
	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/eventstore"
)

// Submission asks for a job.
type Submission struct {
	Spec spec.Spec
	Key  string // idempotency key, of the spec's namespace; empty is none
	// Place is that of the job in a batch of Of jobs, from 1; both are 0 if it is by
	// itself. The key of a batch stands for another job at each place.
	Place, Of int

	rerunOf  id.ID // the job that it does again; 0 is none
	replaces bool  // that one is cancelled
}

// Submitted is what became of a submission.
type Submitted struct {
	ID       id.ID
	Position eventstore.Position // of the job's submission
	Existing bool                // the key had been used for the same submission before: it is that job
	Err      error               // why there is no job
}

// SubmitJobs submits jobs, each by itself. A submission with a key that was used
// for the same submission within the last 7 days gives that job; a key that was
// used for another is a Conflict.
func (s *Service) SubmitJobs(ctx context.Context, c Caller, submissions []Submission) []Submitted {
	done := make([]Submitted, len(submissions))
	builds := make([]build, len(submissions))
	keys := s.newSealer(ctx, submissions)
	for i := range submissions {
		builds[i] = s.submission(keys, i, &submissions[i], &done[i])
	}
	for i, a := range s.writeEach(ctx, c, builds) {
		switch {
		case a.err != nil:
			done[i] = Submitted{Err: a.err}
		case !done[i].Existing:
			done[i].Position = a.position
		}
	}
	keys.tidy(ctx, done)
	return done
}

// submission builds the append of a new job: its first event, and the use of its
// key. A clash of the job's id is a conflict as any other, and each try takes a
// new id, and a new data key if it has secrets of its own.
func (s *Service) submission(keys *sealer, n int, sub *Submission, done *Submitted) build {
	namespace := namespaceOf(sub)
	return func(ctx context.Context, u *unit) error {
		*done = Submitted{}
		if err := s.requireNamespace(ctx, "submit to", namespace); err != nil {
			return err
		}
		given, err := keys.next(ctx, n, &sub.Spec)
		if err != nil {
			return err
		}
		i := given.job
		done.ID = i
		if sub.Key != "" {
			existing, err := s.useKey(ctx, u, sub, namespace, i)
			if err != nil {
				return err
			}
			if existing != 0 {
				return s.existing(ctx, existing, done)
			}
		}
		if err := s.requireSecrets(ctx, namespace, sub.Spec.Secrets); err != nil {
			return err
		}
		open, err := s.carried(ctx, sub)
		if err != nil {
			return err
		}
		sealed, err := given.seal(open, namespace)
		if err != nil {
			return err
		}
		if err := s.replace(ctx, u, sub, i); err != nil {
			return err
		}
		return create(ctx, u, s.jobs, jobStream(i), func(state job.State, _ mark) ([]proto.Message, error) {
			return state.Decide(job.Submit{ID: i, Spec: sealed, RerunOf: sub.rerunOf})
		})
	}
}

// useKey adds the use of a key for job i to the unit, or returns the job that the
// key stands for already.
func (s *Service) useKey(ctx context.Context, u *unit, sub *Submission, namespace string, i id.ID) (existing id.ID, err error) {
	if len(sub.Key) > idempotency.MaxKey {
		return 0, fault.Malformed("submit", "job", fault.Field{
			Location: "idempotency_key", Message: fmt.Sprintf("it has %d bytes, at most %d may be", len(sub.Key), idempotency.MaxKey),
		})
	}
	digest, err := s.digest(ctx, sub.Spec)
	if err != nil {
		return 0, err
	}
	use := idempotency.Use{JobIDs: []string{i.String()}, Digest: digest}
	key := sub.Key
	if sub.Place > 0 {
		key += "\x00" + strconv.Itoa(sub.Place) // no key has a NUL: it is a header's value
		sum := sha256.Sum256(binary.BigEndian.AppendUint64(use.Digest, uint64(sub.Of)))
		use.Digest = sum[:]
	}
	if sub.rerunOf != 0 { // the same spec by itself is another submission
		sum := sha256.Sum256(append(use.Digest, (jobKey(sub.rerunOf) + strconv.FormatBool(sub.replaces))...))
		use.Digest = sum[:]
	}
	stream := eventstore.StreamID(event.KeyStream(namespace, key))
	state, err := decide(ctx, u, s.keys, stream, func(state idempotency.State, at mark) ([]proto.Message, error) {
		use.Age = s.clock().Sub(time.Unix(0, at.time))
		messages, err := state.Decide(use)
		return messages, fault.About(err, sub.Key)
	})
	if err != nil || len(state.JobIDs) == 0 || state.JobIDs[0] == i.String() {
		return 0, err
	}
	return id.Parse(state.JobIDs[0])
}

// existing answers a submission with the job that it was answered with before.
func (s *Service) existing(ctx context.Context, i id.ID, done *Submitted) error {
	records, err := s.store.ReadStream(ctx, nil, jobStream(i), 1, 1, eventstore.Forwards)
	if err != nil {
		return err
	}
	if len(records) == 0 {
		return noJob("find", i)
	}
	*done = Submitted{ID: i, Position: records[0].Position, Existing: true}
	return nil
}

// requireNamespace returns why nothing can be put into a namespace, or nil.
// Namespaces are never removed. What can't be a namespace's name is left to the
// check of the spec, which says all that is wrong.
func (s *Service) requireNamespace(ctx context.Context, op, name string) error {
	if spec.ValidNamespace(name) != nil {
		return nil
	}
	exists := func(n namespace.State) bool { return n.Status != namespace.None }
	state, err := look(ctx, s, s.namespaces, eventstore.StreamID(event.NamespaceStream(name)), exists)
	if err != nil || exists(state) {
		return err
	}
	return &fault.Error{
		Kind: fault.NotFound, Op: op, Subject: "namespace " + event.Printable(name), Reason: "there is no such namespace",
		Help:   "leave the namespace out, or name one that there is",
		Fields: []fault.Field{{Location: "namespace", Message: "there is no such namespace"}},
	}
}

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
