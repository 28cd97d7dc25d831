package commands

import (
	"context"
	"maps"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/eventstore/keyring"
)

// sealer gives the submissions of one call their jobs' ids, and data keys to those
// with secrets of their own. The keys are made ahead in one write of the keyring.
type sealer struct {
	s     *Service
	ahead []lot    // by submission
	made  []string // names of all keys that were made
}

// lot is an id with the data key of its job.
type lot struct {
	job id.ID
	key keyring.DataKey
}

// newSealer makes the keys for all submissions that can be accepted. If it can't,
// next makes them one by one and says why not.
func (s *Service) newSealer(ctx context.Context, submissions []Submission) *sealer {
	k := &sealer{s: s, ahead: make([]lot, len(submissions))}
	var lots []lot
	var names []string
	var places []int
	for n := range submissions {
		sp := &submissions[n].Spec
		if len(sp.OwnSecrets()) == 0 || sp.Validate() != nil {
			continue
		}
		if i, err := s.NewID(); err == nil {
			lots, names, places = append(lots, lot{job: i}), append(names, jobKey(i)), append(places, n)
		}
	}
	if len(names) == 0 {
		return k
	}
	keys, err := s.keyring.CreateDataKeys(ctx, names...)
	if err != nil {
		return k
	}
	k.made = names
	for n, place := range places {
		lots[n].key = keys[n]
		k.ahead[place] = lots[n]
	}
	return k
}

// next returns an id for a submission's job, and a key if it has secrets of its
// own. The second time, after a conflict, both are new.
func (k *sealer) next(ctx context.Context, n int, sp *spec.Spec) (l lot, err error) {
	l, k.ahead[n] = k.ahead[n], lot{}
	if l.job != 0 {
		return l, nil
	}
	if l.job, err = k.s.NewID(); err != nil || len(sp.OwnSecrets()) == 0 || sp.Validate() != nil {
		return l, err
	}
	keys, err := k.s.keyring.CreateDataKeys(ctx, jobKey(l.job))
	if err != nil {
		return l, keyFault(err)
	}
	k.made, l.key = append(k.made, jobKey(l.job)), keys[0]
	return l, nil
}

// seal returns the spec with its own secrets sealed for its job.
func (l lot) seal(sp spec.Spec, namespace string) (spec.Spec, error) {
	own := sp.OwnSecrets()
	if len(own) == 0 || l.key == (keyring.DataKey{}) {
		return sp, nil // what has no key is refused, whatever it holds
	}
	sp.Secrets = maps.Clone(sp.Secrets)
	for _, name := range own {
		sealed, err := l.key.Seal([]byte(sp.Secrets[name].Value), belongsToJob(namespace, l.job, name))
		if err != nil {
			return sp, keyFault(err)
		}
		sp.Secrets[name] = spec.Secret{Key: jobKey(l.job), Sealed: sealed}
	}
	return sp, nil
}

// tidy drops the keys that nothing was sealed with. One of a submission that may
// have been recorded in spite of its error stays until the next start.
func (k *sealer) tidy(ctx context.Context, done []Submitted) {
	if len(k.made) == 0 {
		return
	}
	kept := map[string]bool{}
	for _, d := range done {
		switch {
		case d.Err == nil && !d.Existing:
			kept[jobKey(d.ID)] = true
		case d.Err != nil && !refusedForGood(d.Err):
			return // it is not known which key that would be
		}
	}
	var idle []string
	for _, name := range k.made {
		if !kept[name] {
			idle = append(idle, name)
		}
	}
	_ = k.s.dropKeys(ctx, idle) // else the next start drops them
}
