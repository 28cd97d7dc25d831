package commands

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/event"
	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/eventstore"
)

func TestKeyStandsForOneSubmission(t *testing.T) {
	other := spec.Spec{Argv: []string{"false"}}
	elsewhere := trivial
	elsewhere.Namespace = "web"
	const day = 24 * time.Hour
	for _, row := range []struct {
		name     string
		again    Submission
		after    time.Duration
		existing bool
		conflict bool
	}{
		{"the same submission again is that job", Submission{Spec: trivial, Key: "k"}, 0, true, false},
		{"what is filled in makes no difference", Submission{Spec: trivial.WithDefaults(), Key: "k"}, 0, true, false},
		{"another submission under the key is a conflict", Submission{Spec: other, Key: "k"}, 0, false, true},
		{"it is still one after 6 days", Submission{Spec: other, Key: "k"}, 6 * day, false, true},
		{"a key is used anew after 8 days", Submission{Spec: other, Key: "k"}, 8 * day, false, false},
		{"also for the same submission", Submission{Spec: trivial, Key: "k"}, 8 * day, false, false},
		{"another key is another job", Submission{Spec: trivial, Key: "l"}, 0, false, false},
		{"the key at a place of a batch is another job", Submission{Spec: trivial, Key: "k", Place: 1, Of: 1}, 0, false, false},
		{"no key is another job", Submission{Spec: trivial, Key: ""}, 0, false, false},
		{"the key of another namespace is another key", Submission{Spec: elsewhere, Key: "k"}, 0, false, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBench(t)
			s := b.server()
			b.ok(s.CreateNamespace(t.Context(), ana, "web", ""))
			first := s.SubmitJobs(t.Context(), ana, []Submission{{Spec: trivial, Key: "k"}})[0]
			if first.Err != nil {
				t.Fatal(first.Err)
			}
			later := b.serverOn(aged{b.store, row.after})
			second := later.SubmitJobs(t.Context(), ana, []Submission{row.again})[0]
			switch {
			case row.conflict:
				b.wantKind(fault.Conflict, second.Err)
			case second.Err != nil:
				t.Fatal(second.Err)
			case row.existing && (second.ID != first.ID || second.Position != first.Position || !second.Existing):
				t.Fatalf("got %+v, want the first, %+v", second, first)
			case !row.existing && (second.ID == first.ID || second.Existing):
				t.Fatalf("got the job of another submission: %+v", second)
			}
		})
	}
}

// aged is a store whose keys were used longer ago.
type aged struct {
	eventstore.Store
	by time.Duration
}

func (a aged) ReadStream(ctx context.Context, buf []*eventstore.Record, s eventstore.StreamID, from eventstore.Revision, limit int, d eventstore.Direction) ([]*eventstore.Record, error) {
	records, err := a.Store.ReadStream(ctx, buf, s, from, limit, d)
	if !strings.HasPrefix(string(s), "key-") {
		return records, err
	}
	for i, r := range records {
		old := *r
		old.Time -= int64(a.by)
		records[i] = &old
	}
	return records, err
}

// A key that occurs twice in one call stands for one job, as in two calls.
func TestKeyTwiceInOneCall(t *testing.T) {
	b := newBench(t)
	done := b.server().SubmitJobs(t.Context(), ana, []Submission{{Spec: trivial, Key: "k"}, {Spec: trivial, Key: "k"}, {Spec: trivial, Key: "l"}})
	for _, d := range done {
		if d.Err != nil {
			t.Fatal(d.Err)
		}
	}
	if done[0].ID != done[1].ID || done[0].Existing == done[1].Existing || done[2].ID == done[0].ID {
		t.Fatalf("got %+v", done)
	}
}

// One submission that can't be is no obstacle to the others.
func TestSubmissionsAreJudgedOneByOne(t *testing.T) {
	b := newBench(t)
	nowhere, wrong := trivial, trivial
	nowhere.Namespace = "nowhere"
	wrong.Priority = 1000
	done := b.server().SubmitJobs(t.Context(), ana, []Submission{{Spec: nowhere}, {Spec: wrong}, {Spec: trivial}})
	b.wantKind(fault.NotFound, done[0].Err)
	if !strings.Contains(done[0].Err.Error(), "nowhere") {
		t.Fatalf("it doesn't name the namespace: %v", done[0].Err)
	}
	b.wantKind(fault.Invalid, done[1].Err)
	if done[2].Err != nil {
		t.Fatal(done[2].Err)
	}
	if n := len(b.story(event.JobStream(done[2].ID))); n != 1 {
		t.Fatalf("it has %d events", n)
	}
}

// A namespace that another server has made since is found, though this one's
// cache knew of none.
func TestNamespaceMadeElsewhereIsFound(t *testing.T) {
	b := newBench(t)
	here, there := b.server(), b.server()
	web := trivial
	web.Namespace = "web"
	b.wantKind(fault.NotFound, here.SubmitJobs(t.Context(), ana, []Submission{{Spec: web}})[0].Err)
	b.ok(there.CreateNamespace(t.Context(), ana, "web", ""))
	if err := here.SubmitJobs(t.Context(), ana, []Submission{{Spec: web}})[0].Err; err != nil {
		t.Fatal(err)
	}
}

// An id that was given out before is not used: the job gets another.
func TestClashOfIDsIsRetried(t *testing.T) {
	b := newBench(t)
	s := b.server()
	same := bytes.Repeat([]byte{1, 2, 3, 4, 5}, 3)
	s.random = io.MultiReader(bytes.NewReader(same), rand.Reader)
	one := b.submit(s)
	two := b.submit(s)
	if one == two {
		t.Fatalf("jobs %s and %s", one, two)
	}
	if n := len(b.story(event.JobStream(one))); n != 1 {
		t.Fatalf("the first job has %d events", n)
	}
}
