package projections

import (
	"time"

	"github.com/hodei-jobs/hodei/aggregates/event"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/settings"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections/access"
	"github.com/hodei-jobs/hodei/projections/canonical"
)

func (w *World) tokenCreated(r *eventstore.Record) Verdict {
	i, ok := tokenOf(r.Stream)
	if !ok {
		return Impossible
	}
	m, err := message(r)
	e, ok := m.(*eventv1.TokenCreated)
	if err != nil || !ok || len(e.GetHash()) != len(access.Token{}.Hash) {
		return Undecodable
	}
	t := &access.Token{
		ID: i, Hash: [32]byte(e.GetHash()), Hint: e.GetHint(), Name: e.GetName(),
		Namespace: e.GetNamespace(), Created: r.Time, Lifetime: e.GetLifetimeNs(),
	}
	t.Role, _ = token.ParseRole(e.GetRole())
	_, known := w.Access.Token(i)
	_, twice := w.Access.ByHash(t.Hash)
	if known || twice {
		return Impossible
	}
	w.Access.SetToken(t)
	return Applied
}

// tokenRevoked ends an API token. That a worker's token is revoked changes
// nothing here: the gateway asks the token's own stream.
func (w *World) tokenRevoked(r *eventstore.Record) Verdict {
	i, ok := tokenOf(r.Stream)
	if !ok {
		return Impossible
	}
	w.revoke(i)
	return Applied
}

func (w *World) revoke(i id.ID) {
	before, known := w.Access.Token(i)
	if !known || before.Revoked != 0 {
		return
	}
	t := *before
	t.Revoked = max(1, w.Time)
	w.Access.SetToken(&t)
}

// freezeToken lets a token be accepted no more: what can't be understood may be
// its revocation.
func (w *World) freezeToken(i id.ID) { w.revoke(i) }

func (w *World) namespaceChanged(r *eventstore.Record) Verdict {
	kind, name := event.ParseStream(string(r.Stream))
	if kind != event.KindNamespace || name == "" {
		return Impossible
	}
	m, err := message(r)
	if err != nil {
		return Undecodable
	}
	n, _ := w.Access.Namespace(name)
	n.Name = name
	switch e := m.(type) {
	case *eventv1.NamespaceCreated:
		n.Description, n.Created = e.GetDescription(), r.Time
	case *eventv1.NamespacePaused:
		n.Paused, n.Reason = true, e.GetReason()
		w.Queue.Pause(name)
	case *eventv1.NamespaceResumed:
		n.Paused, n.Reason = false, ""
		w.Queue.Resume(r.Position, name)
	}
	w.Access.SetNamespace(n)
	return Applied
}

func (w *World) settingsChanged(r *eventstore.Record) Verdict {
	if string(r.Stream) != event.SettingsStream() {
		return Impossible
	}
	m, err := message(r)
	if err != nil {
		return Undecodable
	}
	w.Settings = settings.Evolve(w.Settings, m)
	w.Workers.GoOnFor(int64(w.Settings.OrphanAfter))
	w.Jobs.Trim(int(w.Settings.KeptFinished))
	return Applied
}

func encodeSettings(w *canonical.Writer, s *settings.State) {
	w.Uint(s.Version)
	w.Uint(uint64(s.KeptFinished))
	w.Int(int64(s.AgingStep))
	w.Text(s.Policy)
	w.Int(int64(s.ReconnectTolerance))
	w.Int(int64(s.OrphanAfter))
	w.Int(int64(s.SecretRetention))
}

func decodeSettings(r *canonical.Reader, s *settings.State) {
	s.Version = r.Uint()
	s.KeptFinished = uint32(r.Uint())
	s.AgingStep = time.Duration(r.Int())
	s.Policy = r.Text()
	s.ReconnectTolerance = time.Duration(r.Int())
	s.OrphanAfter = time.Duration(r.Int())
	s.SecretRetention = time.Duration(r.Int())
}
