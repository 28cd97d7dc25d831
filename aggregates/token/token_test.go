package token_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hodei-jobs/hodei/aggregates/aggregatetest"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/token"
)

var aggregate = aggregatetest.Aggregate[token.State, token.Command]{Evolve: token.Evolve, Decide: token.State.Decide}

type row aggregatetest.Row[token.Command]

// Short names, so that rows read as sentences.
var (
	given   = aggregatetest.Given
	then    = aggregatetest.Then
	nothing = aggregatetest.Nothing()
	refused = aggregatetest.Refused
	history = aggregatetest.Named[[]proto.Message]
	command = aggregatetest.Named[token.Command]

	hash    = bytes.Repeat([]byte{7}, token.HashBytes)
	created = &eventv1.TokenCreated{Hash: hash, Hint: "x4Q7", Name: "ci", Namespace: "web", Role: "submitter", LifetimeNs: int64(time.Hour)}
	create  = token.Create{Hash: hash, Hint: "x4Q7", Name: "ci", Namespace: "web", Role: token.Submitter, Lifetime: time.Hour}
	used    = &eventv1.WorkerTokenUsed{PublicKey: key(1), WorkerId: "w1"}
	revoked = &eventv1.TokenRevoked{Reason: "it leaked"}
)

func when(c token.Command) token.Command { return c }

func key(n byte) []byte { return bytes.Repeat([]byte{n}, token.KeyBytes) }

func use(n byte) token.Use { return token.Use{PublicKey: key(n), WorkerID: "w1"} }

func keyRefused(n byte) *eventv1.WorkerTokenRefused {
	return &eventv1.WorkerTokenRefused{PublicKey: key(n), Reason: "it was used with another key before"}
}

func TestAPITokens(t *testing.T) {
	with := func(change func(*token.Create)) token.Create {
		c := create
		change(&c)
		return c
	}
	aggregatetest.Run(t, aggregate, []row{
		{"a token", given(), when(create), then(created)},
		{"a token that is created twice", given(created), when(create), nothing},
		{"an id that another token has", given(created), when(with(func(c *token.Create) { c.Hash = key(9) })),
			refused("cannot create token: a token with this id exists")},
		{"a token for all namespaces, without end",
			given(), when(with(func(c *token.Create) { c.Namespace, c.Lifetime = token.AllNamespaces, 0 })),
			then(&eventv1.TokenCreated{Hash: hash, Hint: "x4Q7", Name: "ci", Namespace: "*", Role: "submitter"})},
		{"a token that is wrong in every way",
			given(), when(token.Create{Namespace: "No", Role: token.Nobody, Lifetime: -1}),
			refused("cannot create token: hash: it has 0 bytes, 32 are needed (and 4 more)")},
		{"a token that lives for too long", given(), when(with(func(c *token.Create) { c.Lifetime = 11 * 365 * 24 * time.Hour })),
			refused("cannot create token: lifetime: 4015d can't be: 0 to 3650d may be")},
		{"a role that does not exist", given(), when(with(func(c *token.Create) { c.Role = 99 })),
			refused("cannot create token: role: role_99 is not a role a token can have")},
		{"a token that has leaked", given(created), when(token.Revoke{Reason: "it leaked"}), then(revoked)},
		{"a token that is revoked twice", given(created, revoked), when(token.Revoke{}), nothing},
		{"a token that does not exist", given(), when(token.Revoke{}), refused("cannot revoke token: there is no such token")},
		{"an API token that is used as a worker token", given(created), when(use(1)), refused("cannot use token: it is active")},
	})
}

func TestWorkerTokens(t *testing.T) {
	full := given(used)
	for n := range byte(token.MaxRefusals) {
		full = append(full, keyRefused(n+2))
	}
	aggregatetest.Run(t, aggregate, []row{
		{"the first key that comes", given(), when(use(1)), then(used)},
		{"the same key again", given(used), when(use(1)), nothing},
		{"another key", given(used), when(use(2)), then(keyRefused(2))},
		{"that other key again", given(used, keyRefused(2)), when(use(2)),
			refused("cannot use token: it was used with another key before")},
		{"a third key", given(used, keyRefused(2)), when(use(3)), then(keyRefused(3))},
		{"the first key after others were refused", given(used, keyRefused(2)), when(use(1)), nothing},
		{"one key too many to record", full, when(use(99)), refused("cannot use token: it was used with another key before")},
		{"the same key for another worker", given(used), when(token.Use{PublicKey: key(1), WorkerID: "w2"}),
			refused("cannot use token: it was used for worker w1, not for w2")},
		{"a token that was revoked after its use", given(used, revoked), when(use(1)), refused("cannot use token: it is revoked")},
		{"half a key", given(), when(token.Use{PublicKey: key(1)[:5]}),
			refused("cannot use token: public_key: it has 5 bytes, 32 are needed")},
	})
}

func TestAdmits(t *testing.T) {
	for _, test := range []struct {
		name  string
		given []proto.Message
		use   token.Use
		want  string
	}{
		{"the key that used it", given(used), use(1), ""},
		{"another key", given(used, keyRefused(2)), use(2), "cannot use token: it was used with another key before"},
		{"another worker", given(used), token.Use{PublicKey: key(1), WorkerID: "w2"}, "cannot use token: it was used for worker w1, not for w2"},
		{"before it was used", given(), use(1), "cannot use token: it is none"},
		{"after it was revoked", given(used, revoked), use(1), "cannot use token: it is revoked"},
	} {
		err := aggregate.Fold(test.given...).Admits(test.use)
		if err == nil && test.want != "" || err != nil && err.Error() != test.want {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

// The matrix is the state diagram, written out.
func TestMatrix(t *testing.T) {
	aggregatetest.Golden(t, "matrix.golden.md", aggregate.Matrix(t, []aggregatetest.Case[[]proto.Message]{
		history("none", nil),
		history("active", given(created)),
		history("used", given(used)),
		history("used, another key refused", given(used, keyRefused(2))),
		history("revoked", given(created, revoked)),
		history("revoked, used", given(used, revoked)),
	}, []aggregatetest.Case[token.Command]{
		command("Create", create),
		command("Use", use(1)),
		command("Use with another key", use(2)),
		command("Revoke", token.Revoke{}),
	}))
}

func TestRoles(t *testing.T) {
	ladder := append([]token.Role{token.Nobody}, token.Roles...)
	for i, has := range ladder {
		for j, needed := range ladder {
			if got, want := has.Allows(needed), j > 0 && i >= j; got != want {
				t.Errorf("%s may do what needs %s: %t", has, needed, got)
			}
		}
	}
	if token.Role(99).Allows(token.Viewer) {
		t.Error("a role that does not exist may do something")
	}
	for _, r := range token.Roles {
		data, err := json.Marshal(r)
		var back token.Role
		if err != nil || json.Unmarshal(data, &back) != nil || back != r {
			t.Errorf("%s is written as %s and read as %s", r, data, back)
		}
	}
	var r token.Role
	for _, name := range []string{`"nobody"`, `"root"`, `""`} {
		if json.Unmarshal([]byte(name), &r) == nil {
			t.Errorf("%s is a role", name)
		}
	}
	unknown := aggregate.Fold(&eventv1.TokenCreated{Role: "emperor"})
	if unknown.Role != token.Nobody {
		t.Errorf("a role of a newer version is %s", unknown.Role)
	}
}
