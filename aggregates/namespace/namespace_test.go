package namespace_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/hodei-jobs/hodei/aggregates/aggregatetest"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/namespace"
)

var aggregate = aggregatetest.Aggregate[namespace.State, namespace.Command]{Evolve: namespace.Evolve, Decide: namespace.State.Decide}

type row aggregatetest.Row[namespace.Command]

// Short names, so that rows read as sentences.
var (
	given   = aggregatetest.Given
	then    = aggregatetest.Then
	nothing = aggregatetest.Nothing()
	refused = aggregatetest.Refused
	history = aggregatetest.Named[[]proto.Message]
	command = aggregatetest.Named[namespace.Command]

	created = &eventv1.NamespaceCreated{Description: "the shop"}
	paused  = &eventv1.NamespacePaused{Reason: "audit"}
	resumed = &eventv1.NamespaceResumed{}
)

func when(c namespace.Command) namespace.Command { return c }

func TestNamespace(t *testing.T) {
	create := namespace.Create{Name: "web", Description: "the shop"}
	long := strings.Repeat("x", namespace.MaxReason+1)
	aggregatetest.Run(t, aggregate, []row{
		{"a new name", given(), when(create), then(created)},
		{"a name that is created twice", given(created), when(create), nothing},
		{"a name that is taken", given(created), when(namespace.Create{Name: "web"}),
			refused("cannot create namespace: it exists with another description")},
		{"a name that can't be one", given(), when(namespace.Create{Name: "*"}),
			refused(`cannot create namespace: name: "*": a-z, 0-9 and - may be, a letter or digit first and last`)},
		{"a description without end", given(), when(namespace.Create{Name: "web", Description: long}),
			refused("cannot create namespace: description: it has 1025 bytes, at most 1024 may be")},
		{"its jobs are to wait", given(created), when(namespace.Pause{Reason: "audit"}), then(paused)},
		{"its jobs are to wait, said twice", given(created, paused), when(namespace.Pause{Reason: "audit"}), nothing},
		{"a reason without end", given(created), when(namespace.Pause{Reason: long}),
			refused("cannot pause namespace: reason: it has 1025 bytes, at most 1024 may be")},
		{"its jobs are placed again", given(created, paused), when(namespace.Resume{}), then(resumed)},
		{"its jobs are placed again, said twice", given(created, paused, resumed), when(namespace.Resume{}), nothing},
		{"what does not exist", given(), when(namespace.Pause{}), refused("cannot pause namespace: there is no such namespace")},
	})
}

// The matrix is the state diagram, written out.
func TestMatrix(t *testing.T) {
	aggregatetest.Golden(t, "matrix.golden.md", aggregate.Matrix(t, []aggregatetest.Case[[]proto.Message]{
		history("none", nil),
		history("active", given(created)),
		history("paused", given(created, paused)),
		history("resumed", given(created, paused, resumed)),
	}, []aggregatetest.Case[namespace.Command]{
		command("Create", namespace.Create{Name: "web", Description: "the shop"}),
		command("Create otherwise", namespace.Create{Name: "web"}),
		command("Pause", namespace.Pause{}),
		command("Resume", namespace.Resume{}),
	}))
}

func TestStatusNames(t *testing.T) {
	var names []string
	for _, s := range namespace.Statuses {
		names = append(names, s.String())
	}
	if got := strings.Join(append(names, namespace.Status(9).String()), " "); got != "none active paused status_9" {
		t.Error(got)
	}
}
