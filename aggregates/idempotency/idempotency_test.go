package idempotency_test

import (
	"bytes"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hodei-jobs/hodei/aggregates/aggregatetest"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/idempotency"
)

var aggregate = aggregatetest.Aggregate[idempotency.State, idempotency.Command]{Evolve: idempotency.Evolve, Decide: idempotency.State.Decide}

type row aggregatetest.Row[idempotency.Command]

// Short names, so that rows read as sentences.
var (
	given   = aggregatetest.Given
	then    = aggregatetest.Then
	nothing = aggregatetest.Nothing()
	refused = aggregatetest.Refused
)

func when(c idempotency.Command) idempotency.Command { return c }

func digest(n byte) []byte { return bytes.Repeat([]byte{n}, idempotency.DigestBytes) }

func used(job string, n byte) *eventv1.KeyUsed {
	return &eventv1.KeyUsed{JobIds: []string{job}, Digest: digest(n)}
}

func use(job string, n byte, age time.Duration) idempotency.Use {
	return idempotency.Use{JobIDs: []string{job}, Digest: digest(n), Age: age}
}

func TestMatrix(t *testing.T) {
	aggregatetest.Golden(t, "matrix.golden.md", aggregate.Matrix(t, []aggregatetest.Case[[]proto.Message]{
		aggregatetest.Named("never used", given()),
		aggregatetest.Named("used", given(used("j1", 1))),
	}, []aggregatetest.Case[idempotency.Command]{
		aggregatetest.Named[idempotency.Command]("Use", use("j1", 1, 0)),
		aggregatetest.Named[idempotency.Command]("Use for another submission", use("j2", 2, 0)),
	}))
}

func TestUse(t *testing.T) {
	aggregatetest.Run(t, aggregate, []row{
		{"a new key", given(), when(use("j1", 1, 0)), then(used("j1", 1))},
		{"the same submission again", given(used("j1", 1)), when(use("j2", 1, time.Hour)), nothing},
		{"the same submission on the key's last day", given(used("j1", 1)), when(use("j2", 1, idempotency.Kept)), nothing},
		{"another submission", given(used("j1", 1)), when(use("j2", 2, time.Hour)),
			refused("cannot use key: it was used for another submission before")},
		{"half a digest", given(), when(idempotency.Use{Digest: digest(1)[:5]}),
			refused("cannot use key: digest: it has 5 bytes, 32 are needed")},
	})
}

// A key that is too old is used anew, for the same submission too.
func TestAnOldKeyIsUsedAnew(t *testing.T) {
	for _, n := range []byte{1, 2} {
		state := aggregate.Fold(used("j1", 1))
		got, err := state.Decide(use("j2", n, idempotency.Kept+1))
		if err != nil || len(got) != 1 {
			t.Fatalf("%v, %v", got, err)
		}
		state = idempotency.Evolve(state, got[0])
		if state.JobIDs[0] != "j2" || !state.Used() {
			t.Errorf("it stands for %v", state.JobIDs)
		}
	}
}
