package access

import (
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/projections/canonical"
)

// Encode writes tokens and namespaces.
func (a *Access) Encode(w *canonical.Writer) {
	w.Uint(uint64(a.tokens.Len()))
	a.tokens.Scan(func(_ id.ID, t *Token) bool {
		t.encode(w)
		return true
	})
	w.Uint(uint64(a.namespaces.Len()))
	a.namespaces.Scan(func(_ string, n Namespace) bool {
		w.Text(n.Name)
		w.Text(n.Description)
		w.Int(n.Created)
		w.Bool(n.Paused)
		w.Text(n.Reason)
		return true
	})
}

func (t *Token) encode(w *canonical.Writer) {
	canonical.ID(w, t.ID)
	w.Text(string(t.Hash[:]))
	w.Text(t.Hint)
	w.Text(t.Name)
	w.Text(t.Namespace)
	w.Uint(uint64(t.Role))
	w.Int(t.Created)
	w.Int(t.Lifetime)
	w.Int(t.Revoked)
}

// Decode reads what [Access.Encode] wrote.
func Decode(r *canonical.Reader) *Access {
	a := New()
	for range r.Count() {
		a.SetToken(decodeToken(r))
	}
	for range r.Count() {
		a.SetNamespace(Namespace{Name: r.Text(), Description: r.Text(), Created: r.Int(), Paused: r.Bool(), Reason: r.Text()})
	}
	return a
}

func decodeToken(r *canonical.Reader) *Token {
	t := &Token{ID: canonical.ReadID(r)}
	copy(t.Hash[:], r.Text())
	t.Hint, t.Name, t.Namespace = r.Text(), r.Text(), r.Text()
	t.Role = token.Role(r.Uint())
	t.Created, t.Lifetime, t.Revoked = r.Int(), r.Int(), r.Int()
	return t
}
