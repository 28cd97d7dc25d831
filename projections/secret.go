package projections

import (
	"github.com/hodei-jobs/hodei/aggregates/event"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections/secrets"
)

func (w *World) secretChanged(r *eventstore.Record) Verdict {
	namespace, name, ok := event.ParseSecretStream(string(r.Stream))
	if !ok {
		return Impossible
	}
	m, err := message(r)
	if err != nil {
		return Undecodable
	}
	if e, ok := m.(*eventv1.SecretSet); ok {
		by, err := event.DecodeMetadata(r.Metadata)
		if err != nil {
			return Undecodable
		}
		w.Secrets.Set(secrets.Secret{Namespace: namespace, Name: name, Version: e.GetVersion(), Set: r.Time, By: by.GetActor()})
		return Applied
	}
	w.Secrets.Delete(namespace, name)
	return Applied
}

// jobSecretsShredded forgets a job's own secrets. The job may have left memory
// long ago.
func (w *World) jobSecretsShredded(r *eventstore.Record) Verdict {
	i, ok := jobOf(r.Stream)
	if !ok || !w.Secrets.Shred(i) {
		return Impossible
	}
	return Applied
}
