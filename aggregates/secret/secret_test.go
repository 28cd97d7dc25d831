package secret_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/hodei-jobs/hodei/aggregates/aggregatetest"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/secret"
)

var aggregate = aggregatetest.Aggregate[secret.State, secret.Command]{Evolve: secret.Evolve, Decide: secret.State.Decide}

type row aggregatetest.Row[secret.Command]

// Short names, so that rows read as sentences.
var (
	given   = aggregatetest.Given
	then    = aggregatetest.Then
	nothing = aggregatetest.Nothing()
	refused = aggregatetest.Refused
	history = aggregatetest.Named[[]proto.Message]
	command = aggregatetest.Named[secret.Command]

	deleted = &eventv1.SecretDeleted{}
)

func when(c secret.Command) secret.Command { return c }

func keyOf(version uint32) string { return fmt.Sprintf("secret/web/db/%d", version) }

func set(version uint32) *eventv1.SecretSet {
	return &eventv1.SecretSet{Version: version, Sealed: []byte("sealed"), KeyId: keyOf(version)}
}

func put(version uint32) secret.Put {
	return secret.Put{Namespace: "web", Name: "db", Version: version, Sealed: []byte("sealed"), KeyID: keyOf(version)}
}

// versions is the history of a secret that was set so often.
func versions(n uint32) (all []proto.Message) {
	for v := range n {
		all = append(all, set(v+1))
	}
	return all
}

func TestSecret(t *testing.T) {
	other := put(1)
	other.KeyID = "another"
	bad := secret.Put{Namespace: "No", Name: "a b", Version: 1, Sealed: make([]byte, secret.MaxSealed+1)}
	name := put(1)
	name.Name = "no space"
	aggregatetest.Run(t, aggregate, []row{
		{"a new secret", given(), when(put(1)), then(set(1))},
		{"a second version", given(set(1)), when(put(2)), then(set(2))},
		{"the same twice", given(set(1)), when(put(1)), nothing},
		{"another one came first", given(set(1)), when(other),
			refused("cannot set secret: version 1 is not the next, that is 2")},
		{"one that leaves a gap", given(set(1)), when(put(3)), refused("cannot set secret: version 3 is not the next, that is 2")},
		{"versions go on after a deletion", given(set(1), deleted), when(put(2)), then(set(2))},
		{"what was deleted does not come back", given(set(1), deleted), when(put(1)),
			refused("cannot set secret: version 1 is not the next, that is 2")},
		{"one that is wrong in every way", given(), when(bad),
			refused(`cannot set secret: namespace: "No": a-z, 0-9 and - may be, a letter or digit first and last (and 3 more)`)},
		{"a name that can't be one", given(), when(name),
			refused("cannot set secret: name: the name of a stored secret has letters, digits, _, - and ., a letter, digit or _ first")},
		{"it is deleted", given(set(1), set(2)), when(secret.Delete{}), then(deleted)},
		{"it is deleted twice", given(set(1), deleted), when(secret.Delete{}), nothing},
		{"what does not exist is deleted", given(), when(secret.Delete{}), refused("cannot delete secret: there is no such secret")},
	})
}

// The matrix is the state diagram, written out.
func TestMatrix(t *testing.T) {
	aggregatetest.Golden(t, "matrix.golden.md", aggregate.Matrix(t, []aggregatetest.Case[[]proto.Message]{
		history("none", nil),
		history("set", given(set(1))),
		history("deleted", given(set(1), deleted)),
		history("set again", given(set(1), deleted, set(2))),
	}, []aggregatetest.Case[secret.Command]{
		command("Put version 1", put(1)),
		command("Put version 2", put(2)),
		command("Put version 3", put(3)),
		command("Delete", secret.Delete{}),
	}))
}

func TestWhichVersionsCanBeRead(t *testing.T) {
	many := versions(secret.MaxVersions + 2)
	for _, test := range []struct {
		name   string
		given  []proto.Message
		number uint32
		want   uint32
		err    string
	}{
		{"the newest", versions(3), 0, 3, ""},
		{"an older one", versions(3), 2, 2, ""},
		{"the oldest that is kept", many, 3, 3, ""},
		{"one that is not kept", many, 2, 0, "cannot read secret: version 2 can't be read any more, the oldest is 3"},
		{"one that does not exist yet", versions(3), 4, 0, "cannot read secret: it has no version 4, the newest is 3"},
		{"of what was deleted", given(set(1), deleted), 1, 0, "cannot read secret: it was deleted"},
		{"of what was set again", given(set(1), deleted, set(2)), 0, 2, ""},
		{"from before a deletion", given(set(1), deleted, set(2)), 1, 0, "cannot read secret: version 1 can't be read any more, the oldest is 2"},
		{"of what does not exist", nil, 0, 0, "cannot read secret: there is no such secret"},
	} {
		got, err := aggregate.Fold(test.given...).Find(test.number)
		if err != nil && err.Error() != test.err || err == nil && test.err != "" {
			t.Errorf("%s: %v, want %q", test.name, err, test.err)
		}
		if got.Number != test.want || err == nil && got.KeyID != keyOf(got.Number) {
			t.Errorf("%s: got %+v, want version %d", test.name, got, test.want)
		}
	}
	if n := len(aggregate.Fold(many...).Versions); n != secret.MaxVersions {
		t.Errorf("%d versions are kept", n)
	}
}

func TestStatusNames(t *testing.T) {
	var names []string
	for _, s := range secret.Statuses {
		names = append(names, s.String())
	}
	if got := strings.Join(append(names, secret.Status(9).String()), " "); got != "none set deleted status_9" {
		t.Error(got)
	}
}
