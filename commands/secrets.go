package commands

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/secret"
	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/keyring"
)

// GivenSecret is a variable of a job's environment with its value in the clear.
type GivenSecret struct {
	Variable string
	Value    []byte
}

// Format hides the value from every verb of package fmt.
func (g GivenSecret) Format(s fmt.State, _ rune) { _, _ = fmt.Fprintf(s, "{%s ***}", g.Variable) }

// SetSecret gives a stored secret its next version and returns that. The value is
// sealed before it is recorded.
func (s *Service) SetSecret(ctx context.Context, c Caller, namespace, name string, value []byte) (version uint32, at eventstore.Position, err error) {
	if err := checkSecret(namespace, name, value); err != nil {
		return 0, 0, err
	}
	if err := s.requireNamespace(ctx, "set a secret in", namespace); err != nil {
		return 0, 0, err
	}
	keyID := newSecretKey(namespace, name)
	keys, err := s.keyring.CreateDataKeys(ctx, keyID)
	if err != nil {
		return 0, 0, keyFault(err)
	}
	var old []string
	at, err = s.write(ctx, c, s.secretDecision(namespace, name, func(state secret.State) (secret.Command, error) {
		version, old = state.Newest+1, nil
		if n := len(state.Versions); n >= secret.MaxVersions {
			old = []string{state.Versions[0].KeyID}
		}
		sealed, err := keys[0].Seal(value, belongsToSecret(namespace, name, version))
		return secret.Put{Namespace: namespace, Name: name, Version: version, Sealed: sealed, KeyID: keyID}, err
	}))
	switch {
	case err == nil:
		_ = s.dropKeys(ctx, old) // else the next start drops it
	case refusedForGood(err):
		_ = s.dropKeys(ctx, []string{keyID})
	}
	return version, at, err
}

func checkSecret(namespace, name string, value []byte) error {
	var wrong []fault.Field
	add := func(location string, err error) {
		if err != nil {
			wrong = append(wrong, fault.Field{Location: location, Message: err.Error()})
		}
	}
	add("namespace", spec.ValidNamespace(namespace))
	add("name", spec.ValidSecretName(name))
	add("value", spec.ValidSecretValue(value))
	return fault.Malformed("set", "this secret", wrong...)
}

// DeleteSecret ends all versions of a stored secret and drops their keys. Jobs
// that ask for it from then on fail.
func (s *Service) DeleteSecret(ctx context.Context, c Caller, namespace, name string) (eventstore.Position, error) {
	var old []string
	at, err := s.write(ctx, c, s.secretDecision(namespace, name, func(state secret.State) (secret.Command, error) {
		old = nil
		for _, v := range state.Versions {
			old = append(old, v.KeyID)
		}
		return secret.Delete{}, nil
	}))
	if err != nil {
		return at, err
	}
	return at, s.dropKeys(ctx, old)
}

func (s *Service) secretDecision(namespace, name string, command func(secret.State) (secret.Command, error)) build {
	return func(ctx context.Context, u *unit) error {
		_, err := decide(ctx, u, s.secrets, secretStream(namespace, name), func(state secret.State, _ mark) ([]proto.Message, error) {
			c, err := command(state)
			if err != nil {
				return nil, err
			}
			messages, err := state.Decide(c)
			return messages, fault.About(err, name)
		})
		return err
	}
}

// requireSecrets returns which stored secrets a job asks for and can't have, or
// nil. One that is deleted later is found missing when the job is given to a
// worker.
func (s *Service) requireSecrets(ctx context.Context, namespace string, secrets map[string]spec.Secret) error {
	var wrong []fault.Field
	for _, variable := range slices.Sorted(maps.Keys(secrets)) {
		asked := secrets[variable]
		if asked.Own() || spec.ValidSecretName(asked.From) != nil || spec.ValidNamespace(namespace) != nil {
			continue // the check of the spec says what is wrong
		}
		there := func(state secret.State) bool { _, err := state.Find(asked.Version); return err == nil }
		state, err := look(ctx, s, s.secrets, secretStream(namespace, asked.From), there)
		if err != nil {
			return err
		}
		if _, err := state.Find(asked.Version); err != nil {
			wrong = append(wrong, fault.Field{
				Location: "secrets." + variable + ".from", Message: fmt.Sprintf("secret %s of namespace %s: %s", asked.From, namespace, reasonOf(err)),
			})
		}
	}
	if wrong == nil {
		return nil
	}
	return &fault.Error{Kind: fault.NotFound, Op: "submit", Subject: "job", Fields: wrong, Help: "the secrets there are: hodei secret list -n " + namespace}
}

func reasonOf(err error) string {
	var f *fault.Error
	if errors.As(err, &f) && f.Reason != "" {
		return f.Reason
	}
	return err.Error()
}

// GiveSecrets returns the secrets of a job for the worker of its bound attempt, by
// variable. That a worker is given stored secrets is recorded first. If one can't
// be had, the attempt is ended as secret_unavailable, and the answer is a Refused
// fault.
func (s *Service) GiveSecrets(ctx context.Context, c Caller, i id.ID, attempt uint32, worker string, sp spec.Spec) ([]GivenSecret, error) {
	var given []GivenSecret
	var used []*eventv1.SecretUse
	var gone []string
	for _, variable := range slices.Sorted(maps.Keys(sp.Secrets)) {
		value, version, err := s.openSecret(ctx, i, variable, sp)
		switch {
		case fault.KindOf(err) == fault.NotFound && err != nil:
			gone = append(gone, reasonOf(err))
		case err != nil:
			return nil, err
		case version > 0:
			used = append(used, &eventv1.SecretUse{Variable: variable, Name: sp.Secrets[variable].From, Version: version})
		}
		given = append(given, GivenSecret{variable, value})
	}
	var err error
	switch {
	case gone != nil:
		detail := strings.Join(gone, "; ")
		if _, err := s.write(ctx, c, s.jobDecision(i, job.WithholdSecrets{Attempt: attempt, Detail: detail})); err != nil {
			return nil, err
		}
		return nil, fault.Refuse("give", "job "+i.String()+" its secrets", "%s", detail)
	case used != nil:
		_, err = s.write(ctx, c, s.jobDecision(i, job.ReadSecrets{Attempt: attempt, Worker: worker, Secrets: used}))
	}
	if err != nil {
		return nil, err
	}
	return given, nil
}

// openSecret returns the value of one secret, and the version of a stored one. A
// NotFound fault says that it can't be had any more.
func (s *Service) openSecret(ctx context.Context, i id.ID, variable string, sp spec.Spec) (value []byte, version uint32, err error) {
	asked := sp.Secrets[variable]
	if asked.Own() {
		value, err = s.unseal(ctx, asked.Key, asked.Sealed, belongsToJob(sp.Namespace, i, variable), "secret "+variable)
		return value, 0, err
	}
	state, err := s.secretState(ctx, sp.Namespace, asked.From)
	if err != nil {
		return nil, 0, storeFault(err)
	}
	what := "stored secret " + asked.From
	v, err := state.Find(asked.Version)
	if err != nil {
		return nil, 0, fault.Missing("give", what, "%s: %s", what, reasonOf(err))
	}
	sealed, err := s.sealedVersion(ctx, secretStream(sp.Namespace, asked.From), v)
	if err != nil {
		return nil, 0, err
	}
	value, err = s.unseal(ctx, v.KeyID, sealed, belongsToSecret(sp.Namespace, asked.From, v.Number), what)
	return value, v.Number, err
}

// unseal opens what is sealed with a key of the keyring.
func (s *Service) unseal(ctx context.Context, keyID string, sealed, belongs []byte, what string) ([]byte, error) {
	key, err := s.keyring.DataKey(ctx, keyID)
	var missing *keyring.MissingError
	switch {
	case errors.As(err, &missing):
		return nil, fault.Missing("give", what, "%s: its data key is not in the keyring any more", what)
	case err != nil:
		return nil, keyFault(err)
	}
	value, err := key.Open(sealed, belongs)
	if err != nil {
		return nil, fault.Missing("give", what, "%s: it can't be opened with its data key", what)
	}
	return value, nil
}

// sealedVersion reads a version's sealed value from the secret's stream, in which
// the newest stand last.
func (s *Service) sealedVersion(ctx context.Context, stream eventstore.StreamID, v secret.Version) ([]byte, error) {
	from := eventstore.Revision(0) // the end
	for {
		records, err := s.store.ReadStream(ctx, nil, stream, from, readPage, eventstore.Backwards)
		if err != nil {
			return nil, storeFault(err)
		}
		for _, r := range records {
			m, err := message(r)
			if err != nil {
				return nil, storeFault(err)
			}
			if set, ok := m.(*eventv1.SecretSet); ok && set.GetVersion() == v.Number {
				return set.GetSealed(), nil
			}
			from = r.Revision - 1
		}
		if len(records) == 0 || from == 0 {
			return nil, fault.Missing("give", "secret", "version %d is not in the log", v.Number)
		}
	}
}

// ShredSecrets drops the data keys of jobs that have ended, in one write, and
// records of each that its own secrets can't be read any more.
func (s *Service) ShredSecrets(ctx context.Context, c Caller, jobs []id.ID) (eventstore.Position, []error) {
	names, builds := make([]string, len(jobs)), make([]build, len(jobs))
	for n, i := range jobs {
		names[n], builds[n] = jobKey(i), s.jobDecision(i, job.ShredSecrets{})
	}
	if err := s.dropKeys(ctx, names); err != nil {
		return 0, slices.Repeat([]error{err}, len(jobs))
	}
	return s.writeJobs(ctx, c, builds)
}
