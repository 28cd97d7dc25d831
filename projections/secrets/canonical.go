package secrets

import (
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections/canonical"
)

// Encode writes stored secrets, then jobs with secrets of their own.
func (s *Secrets) Encode(w *canonical.Writer) {
	w.Uint(uint64(s.stored.Len()))
	s.stored.Scan(func(_ string, secret Secret) bool {
		w.Text(secret.Namespace)
		w.Text(secret.Name)
		w.Uint(uint64(secret.Version))
		w.Int(secret.Set)
		w.Text(secret.By)
		return true
	})
	w.Uint(uint64(s.sealed.Len()))
	s.sealed.Scan(func(job id.ID, where eventstore.Position) bool {
		ended, _ := s.ended.Get(where)
		canonical.ID(w, job)
		w.Uint(uint64(where))
		w.Int(ended.At)
		return true
	})
}

// Decode reads what [Secrets.Encode] wrote.
func Decode(r *canonical.Reader) *Secrets {
	s := New()
	for range r.Count() {
		s.Set(Secret{Namespace: r.Text(), Name: r.Text(), Version: uint32(r.Uint()), Set: r.Int(), By: r.Text()})
	}
	for range r.Count() {
		job, where, when := canonical.ReadID(r), eventstore.Position(r.Uint()), r.Int()
		s.Seal(job)
		if where != 0 {
			s.End(job, where, when)
		}
	}
	return s
}
