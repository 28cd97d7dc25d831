package commands

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hodei-jobs/hodei/aggregates/event"
	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/secret"
	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/keyring"
)

// Keys is where data keys are; a keyring.Keyring is it. What it writes is durable
// when it returns, so a key is there before the event that needs it.
type Keys interface {
	CreateDataKeys(ctx context.Context, names ...string) ([]keyring.DataKey, error)
	DataKey(ctx context.Context, name string) (keyring.DataKey, error)
	DropDataKeys(ctx context.Context, names ...string) error
	DataKeyNames(ctx context.Context, prefix string) ([]string, error)
}

// Names of data keys.
const (
	jobKeys    = "job/"               // and the job's id: of its own secrets
	secretKeys = "secret/"            // and namespace, name, 16 random digits: of one version of a stored secret
	digestKey  = "digest/idempotency" // of the digests of submissions with secrets
)

func jobKey(i id.ID) string { return jobKeys + i.String() }

func newSecretKey(namespace, name string) string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return secretKeys + namespace + "/" + name + "/" + hex.EncodeToString(b[:])
}

// noKeys is what a service without a keyring has.
type noKeys struct{}

var errNoKeys = errors.New("this server has no keyring")

func (noKeys) CreateDataKeys(context.Context, ...string) ([]keyring.DataKey, error) {
	return nil, errNoKeys
}

func (noKeys) DataKey(context.Context, string) (keyring.DataKey, error) {
	return keyring.DataKey{}, errNoKeys
}

func (noKeys) DropDataKeys(context.Context, ...string) error { return nil }

func (noKeys) DataKeyNames(context.Context, string) ([]string, error) { return nil, nil }

// keyFault is the answer when the keyring can't do what it was asked for.
func keyFault(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &fault.Error{Kind: fault.Unavailable, Op: "use", Subject: "the keyring", Reason: "it can't be written or read now", Cause: err}
}

// refusedForGood reports whether a command that failed has recorded nothing for
// certain. After other errors what was to be recorded may be there.
func refusedForGood(err error) bool {
	switch fault.KindOf(err) {
	case fault.Invalid, fault.NotFound, fault.Refused, fault.Conflict, fault.Forbidden, fault.TooLarge, fault.Busy:
		return err != nil
	}
	return false
}

// What a sealed text belongs to: it can't be opened for anything else. The parts
// have no NUL.
func belongsToJob(namespace string, i id.ID, variable string) []byte {
	return []byte("a job's secret\x00" + namespace + "\x00" + i.String() + "\x00" + variable)
}

func belongsToSecret(namespace, name string, version uint32) []byte {
	return fmt.Appendf(nil, "a stored secret\x00%s\x00%s\x00%d", namespace, name, version)
}

// dropKeys drops keys that nothing needs. What can't be dropped now is at the
// server's next start; see SweepKeys.
func (s *Service) dropKeys(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	if err := s.keyring.DropDataKeys(context.WithoutCancel(ctx), names...); err != nil {
		return keyFault(err)
	}
	return nil
}

// digest identifies a submission. A secret must not be found by trying which
// gives the digest in the log, so if there is one a key of the keyring goes in.
func (s *Service) digest(ctx context.Context, sp spec.Spec) ([]byte, error) {
	canonical, own := sp.WithDefaults().Canonical(), sp.OwnSecrets()
	if len(own) == 0 {
		sum := sha256.Sum256(canonical)
		return sum[:], nil
	}
	key, err := s.digestKey(ctx)
	if err != nil {
		return nil, keyFault(err)
	}
	mac := hmac.New(sha256.New, key[:])
	add := func(b []byte) {
		_ = binary.Write(mac, binary.BigEndian, uint64(len(b))) // a hash takes all
		mac.Write(b)
	}
	add(canonical)
	for _, name := range own {
		add([]byte(name))
		add([]byte(sp.Secrets[name].Value))
	}
	return mac.Sum(nil), nil
}

func (s *Service) digestKey(ctx context.Context) (keyring.DataKey, error) {
	key, err := s.keyring.DataKey(ctx, digestKey)
	var missing *keyring.MissingError
	if !errors.As(err, &missing) {
		return key, err
	}
	if keys, err := s.keyring.CreateDataKeys(ctx, digestKey); err == nil {
		return keys[0], nil
	}
	return s.keyring.DataKey(ctx, digestKey) // another caller has made it, or it can't be made
}

// SweepKeys drops the data keys that nothing needs: of submissions and secrets
// that were never recorded because the server died in between, and of deleted
// secrets. sealed tells of a job whether its own secrets are still needed; jobs it
// doesn't know are looked up. What can't be looked up keeps its key. It must be
// called while no other command is given, and returns how many keys were dropped.
func (s *Service) SweepKeys(ctx context.Context, sealed func(id.ID) bool) (int, error) {
	var idle []string
	for prefix, needed := range map[string]func(context.Context, string) bool{
		jobKeys: func(ctx context.Context, rest string) bool {
			i, err := id.Parse(rest)
			return err != nil || sealed(i) || s.jobNeedsKey(ctx, i)
		},
		secretKeys: s.secretNeedsKey,
	} {
		names, err := s.keyring.DataKeyNames(ctx, prefix)
		if err != nil {
			return 0, keyFault(err)
		}
		for _, name := range names {
			if !needed(ctx, strings.TrimPrefix(name, prefix)) {
				idle = append(idle, name)
			}
		}
	}
	if err := s.dropKeys(ctx, idle); err != nil {
		return 0, err
	}
	return len(idle), nil
}

// jobNeedsKey looks a job up in its own stream.
func (s *Service) jobNeedsKey(ctx context.Context, i id.ID) bool {
	state, _, err := s.LoadJob(ctx, i)
	if err != nil {
		return fault.KindOf(err) != fault.NotFound
	}
	return !state.Shredded
}

// secretNeedsKey looks a stored secret's version up by its key: namespace, name
// and random digits.
func (s *Service) secretNeedsKey(ctx context.Context, rest string) bool {
	parts := strings.Split(rest, "/")
	if len(parts) != 3 {
		return true
	}
	state, err := s.secretState(ctx, parts[0], parts[1])
	return err != nil || slices.ContainsFunc(state.Versions, func(v secret.Version) bool { return v.KeyID == secretKeys+rest })
}

// secretState returns a stored secret as its stream has it now.
func (s *Service) secretState(ctx context.Context, namespace, name string) (secret.State, error) {
	never := func(secret.State) bool { return false }
	return look(ctx, s, s.secrets, secretStream(namespace, name), never)
}

func secretStream(namespace, name string) eventstore.StreamID {
	return eventstore.StreamID(event.SecretStream(namespace, name))
}
