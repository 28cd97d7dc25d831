// Package access is the read model of who may do what: API tokens by the hash of
// their text, and namespaces.
//
// [Access] is part of a World: its World changes it, readers share it once that
// World is published. It has no lock; reading concurrently is safe, changing is
// the owner's alone.
package access

import (
	"iter"

	"github.com/tidwall/btree"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/token"
)

// Token is an API token. It is shared and must not be changed. Times are ns
// since 1970.
type Token struct {
	ID        id.ID
	Hash      [32]byte // SHA-256 of its text
	Hint      string   // last characters of its text
	Name      string
	Namespace string // "*" is all
	Role      token.Role
	Created   int64
	Lifetime  int64 // ns; 0 is without end
	Revoked   int64 // when; 0 is not
}

// Valid reports whether the token is accepted at a time.
func (t *Token) Valid(now int64) bool {
	return t.Revoked == 0 && (t.Lifetime <= 0 || now-t.Created < t.Lifetime)
}

// Namespace is where jobs are submitted to. Times are ns since 1970.
type Namespace struct {
	Name        string
	Description string
	Created     int64  // 0 if it was paused before anybody created it
	Paused      bool   // its waiting jobs are not placed
	Reason      string // why it is paused
}

// Access holds tokens and namespaces.
type Access struct {
	tokens     btree.Map[id.ID, *Token]
	byHash     btree.Map[string, id.ID]
	namespaces btree.Map[string, Namespace]
}

// New returns no tokens and no namespaces.
func New() *Access { return new(Access) }

// Fork returns one that shares everything with a until one of the two is
// changed. It takes constant time and writes a, so forks of the same must not be
// made at the same time.
func (a *Access) Fork() *Access {
	return &Access{*a.tokens.Copy(), *a.byHash.Copy(), *a.namespaces.Copy()}
}

// ByHash returns the token whose text has a SHA-256, valid or not.
func (a *Access) ByHash(hash [32]byte) (*Token, bool) {
	i, ok := a.byHash.Get(string(hash[:]))
	if !ok {
		return nil, false
	}
	return a.tokens.Get(i)
}

// Token returns the token with an id, valid or not.
func (a *Access) Token(i id.ID) (*Token, bool) { return a.tokens.Get(i) }

// Tokens returns all tokens by id, valid or not.
func (a *Access) Tokens() iter.Seq[*Token] {
	return func(yield func(*Token) bool) {
		a.tokens.Scan(func(_ id.ID, t *Token) bool { return yield(t) })
	}
}

// TokensAfter is Tokens from the one after an id on.
func (a *Access) TokensAfter(after id.ID) iter.Seq[*Token] {
	return func(yield func(*Token) bool) {
		a.tokens.Ascend(after, func(i id.ID, t *Token) bool { return i == after || yield(t) })
	}
}

// Namespace returns a namespace that was created or paused.
func (a *Access) Namespace(name string) (Namespace, bool) { return a.namespaces.Get(name) }

// Namespaces returns all that were created or paused, by name.
func (a *Access) Namespaces() iter.Seq[Namespace] {
	return func(yield func(Namespace) bool) {
		a.namespaces.Scan(func(_ string, n Namespace) bool { return yield(n) })
	}
}

// SetToken puts a token in, in place of the one with its id, and keeps t. Only
// the World calls it; no other token has the hash.
func (a *Access) SetToken(t *Token) {
	a.tokens.Set(t.ID, t)
	a.byHash.Set(string(t.Hash[:]), t.ID)
}

// SetNamespace puts a namespace in. Only the World calls it.
func (a *Access) SetNamespace(n Namespace) { a.namespaces.Set(n.Name, n) }
