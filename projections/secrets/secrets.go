// Package secrets is the read model of secrets: the stored ones by namespace and
// name, and the jobs with secrets of their own whose data key is still there. It
// has no value, not even a sealed one.
//
// [Secrets] is part of a World: its World changes it, readers share it once that
// World is published. It has no lock; reading concurrently is safe, changing is
// the owner's alone.
package secrets

import (
	"iter"
	"strings"

	"github.com/tidwall/btree"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/eventstore"
)

// Secret is a stored secret. Times are ns since 1970.
type Secret struct {
	Namespace string
	Name      string
	Version   uint32 // the newest
	Set       int64  // when the newest was set
	By        string // id of who set it
}

// Ended is a job with secrets of its own that has ended.
type Ended struct {
	Job id.ID
	At  int64 // ns since 1970
}

// Secrets holds what is known of secrets.
type Secrets struct {
	stored btree.Map[string, Secret]             // by namespace/name
	sealed btree.Map[id.ID, eventstore.Position] // jobs with secrets of their own; where they ended, 0 is not yet
	ended  btree.Map[eventstore.Position, Ended] // those of them that have, in the order of their ends
}

// New returns no secrets.
func New() *Secrets { return new(Secrets) }

// Fork returns one that shares everything with s until one of the two is
// changed. It takes constant time and writes s, so forks of the same must not be
// made at the same time.
func (s *Secrets) Fork() *Secrets {
	return &Secrets{*s.stored.Copy(), *s.sealed.Copy(), *s.ended.Copy()}
}

func key(namespace, name string) string { return namespace + "/" + name }

// Get returns a stored secret.
func (s *Secrets) Get(namespace, name string) (Secret, bool) {
	return s.stored.Get(key(namespace, name))
}

// All returns the stored secrets of a namespace by name, or those of all
// namespaces, by namespace and name.
func (s *Secrets) All(namespace string) iter.Seq[Secret] { return s.After(namespace, "") }

// After is All from the one after namespace/name on.
func (s *Secrets) After(namespace, after string) iter.Seq[Secret] {
	prefix := ""
	if namespace != "" {
		prefix = key(namespace, "")
	}
	return func(yield func(Secret) bool) {
		s.stored.Ascend(max(prefix, after), func(k string, secret Secret) bool {
			return k == after || strings.HasPrefix(k, prefix) && yield(secret)
		})
	}
}

// Sealed reports whether a job has secrets of its own whose data key is needed.
func (s *Secrets) Sealed(job id.ID) bool {
	_, ok := s.sealed.Get(job)
	return ok
}

// Ended returns the jobs with secrets of their own that have ended, the earliest
// end first.
func (s *Secrets) Ended() iter.Seq[Ended] {
	return func(yield func(Ended) bool) {
		s.ended.Scan(func(_ eventstore.Position, e Ended) bool { return yield(e) })
	}
}

// Set puts a stored secret in. Only the World calls it.
func (s *Secrets) Set(secret Secret) { s.stored.Set(key(secret.Namespace, secret.Name), secret) }

// Delete takes a stored secret out. Only the World calls it.
func (s *Secrets) Delete(namespace, name string) { s.stored.Delete(key(namespace, name)) }

// Seal notes that a job that has not ended has secrets of its own. Only the World
// calls it.
func (s *Secrets) Seal(job id.ID) { s.sealed.Set(job, 0) }

// End notes that a job has ended, if it has secrets of its own. Only the World
// calls it.
func (s *Secrets) End(job id.ID, where eventstore.Position, when int64) {
	if _, ok := s.sealed.Get(job); ok {
		s.sealed.Set(job, where)
		s.ended.Set(where, Ended{job, when})
	}
}

// Shred forgets a job's own secrets, and reports whether that can be: they are
// not needed any more. Only the World calls it.
func (s *Secrets) Shred(job id.ID) bool {
	where, ok := s.sealed.Get(job)
	if ok && where == 0 {
		return false
	}
	s.Forget(job)
	return true
}

// Forget lets a job's own secrets stay for ever: its stream says no more. Only the
// World calls it.
func (s *Secrets) Forget(job id.ID) {
	where, _ := s.sealed.Get(job)
	s.sealed.Delete(job)
	s.ended.Delete(where)
}
