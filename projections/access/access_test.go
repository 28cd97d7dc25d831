package access_test

import (
	"testing"

	"github.com/hodei-jobs/hodei/projections/access"
)

func TestValid(t *testing.T) {
	for _, row := range []struct {
		name  string
		token access.Token
		now   int64
		want  bool
	}{
		{"one without end is valid for ever", access.Token{Created: 5}, 1 << 60, true},
		{"one with a lifetime is valid within it", access.Token{Created: 5, Lifetime: 10}, 14, true},
		{"and not after", access.Token{Created: 5, Lifetime: 10}, 15, false},
		{"a revoked one is not valid", access.Token{Created: 5, Revoked: 7}, 8, false},
	} {
		if got := row.token.Valid(row.now); got != row.want {
			t.Errorf("%s: got %v", row.name, got)
		}
	}
}

func TestATokenIsFoundByItsHash(t *testing.T) {
	a := access.New()
	a.SetToken(&access.Token{ID: 1, Hash: [32]byte{1}, Name: "ci"})
	fork := a.Fork()
	fork.SetToken(&access.Token{ID: 1, Hash: [32]byte{1}, Name: "ci", Revoked: 3})
	if tok, ok := a.ByHash([32]byte{1}); !ok || tok.Revoked != 0 {
		t.Errorf("the source of a fork shows %+v, %v", tok, ok)
	}
	if tok, ok := fork.ByHash([32]byte{1}); !ok || tok.Revoked != 3 {
		t.Errorf("the fork shows %+v, %v", tok, ok)
	}
	if _, ok := a.ByHash([32]byte{2}); ok {
		t.Error("a hash nobody has was found")
	}
}
