package secrets_test

import (
	"slices"
	"testing"

	"github.com/hodei-jobs/hodei/projections/secrets"
)

func TestStoredSecretsAreListedByNamespace(t *testing.T) {
	s := secrets.New()
	for _, row := range []secrets.Secret{
		{Namespace: "web", Name: "b", Version: 1}, {Namespace: "web", Name: "a", Version: 1}, {Namespace: "web-2", Name: "c", Version: 1}, {Namespace: "data", Name: "d", Version: 1},
	} {
		s.Set(row)
	}
	fork := s.Fork()
	fork.Set(secrets.Secret{Namespace: "web", Name: "a", Version: 2})
	fork.Delete("web", "b")
	names := func(s *secrets.Secrets, namespace string) (out []string) {
		for row := range s.All(namespace) {
			out = append(out, row.Name)
		}
		return out
	}
	for _, row := range []struct {
		secrets   *secrets.Secrets
		namespace string
		want      []string
	}{
		{s, "web", []string{"a", "b"}}, {s, "web-2", []string{"c"}}, {s, "none", nil}, {s, "", []string{"d", "c", "a", "b"}},
		{fork, "web", []string{"a"}},
	} {
		if got := names(row.secrets, row.namespace); !slices.Equal(got, row.want) {
			t.Errorf("%q: %q, want %q", row.namespace, got, row.want)
		}
	}
	var rest []string
	for row := range s.After("", "web-2/c") {
		rest = append(rest, row.Name)
	}
	if !slices.Equal(rest, []string{"a", "b"}) {
		t.Errorf("after web-2/c there are %q", rest)
	}
	if got, ok := s.Get("web", "a"); !ok || got.Version != 1 {
		t.Errorf("the source of a fork shows %+v", got)
	}
}

func TestJobsAreShreddedInTheOrderOfTheirEnds(t *testing.T) {
	s := secrets.New()
	s.Seal(1)
	s.Seal(2)
	s.Seal(3)
	s.End(3, 10, 100)
	s.End(1, 20, 200)
	s.End(9, 30, 300) // has none
	var got []secrets.Ended
	for e := range s.Ended() {
		got = append(got, e)
	}
	if want := []secrets.Ended{{3, 100}, {1, 200}}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if s.Shred(2) || !s.Sealed(2) {
		t.Error("a job that may still run was shredded")
	}
	if !s.Shred(3) || s.Sealed(3) || !s.Shred(3) || !s.Shred(9) {
		t.Error("what has ended can't be shredded")
	}
	for e := range s.Ended() {
		if e.Job != 1 {
			t.Errorf("%v is left", e)
		}
	}
}
