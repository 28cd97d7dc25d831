package jobs

import (
	"bytes"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections/canonical"
)

func TestARowIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(row{}); size > 64 {
		t.Errorf("a row has %d bytes, at most 64 may be", size)
	}
}

// anyJob draws a job with whatever a row can hold, at a position.
func anyJob(at eventstore.Position) *rapid.Generator[Job] {
	return rapid.Custom(func(t *rapid.T) Job {
		j := Job{
			ID: id.ID(rapid.Uint64Range(1, 1<<40-1).Draw(t, "id")), Position: at,
			Status:          job.Status(rapid.IntRange(int(job.Pending), int(job.Lost)).Draw(t, "status")),
			CancelRequested: rapid.Bool().Draw(t, "cancel"), Exclusive: rapid.Bool().Draw(t, "exclusive"), Frozen: rapid.Bool().Draw(t, "frozen"),
			Attempt:   rapid.Uint32Range(0, MaxAttempt).Draw(t, "attempt"),
			Worker:    id.ID(rapid.Uint64Range(0, 1<<40-1).Draw(t, "worker")),
			Submitted: rapid.Int64().Draw(t, "submitted"), Started: rapid.Int64Range(0, 1<<62).Draw(t, "started"),
			Key:   rapid.Int64().Draw(t, "key"),
			Class: eventstore.Position(rapid.Uint64Range(1, uint64(at)).Draw(t, "class")),
			Last:  at + eventstore.Position(rapid.Uint32().Draw(t, "last")),
		}
		later := rapid.Int64Range(0, 1<<62).Draw(t, "finished or due")
		if j.Backoff = rapid.Bool().Draw(t, "backoff"); j.Backoff {
			j.Due = later
		} else {
			j.Finished = later
		}
		return j
	})
}

var whole = cmp.AllowUnexported(Job{})

func TestARowHoldsAJob(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := anyJob(7_000_000).Draw(t, "job")
		want.namespace = rapid.Uint32Range(0, MaxNamespaces-1).Draw(t, "namespace")
		r := pack(&want)
		if diff := cmp.Diff(want, r.unpack(want.Position), whole); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestJobsComeBackFromTheirForm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		js := New()
		var at eventstore.Position
		for range rapid.IntRange(0, 20).Draw(t, "jobs") {
			at += eventstore.Position(rapid.IntRange(1, 1000).Draw(t, "gap"))
			j := anyJob(at).Draw(t, "job")
			if _, known := js.ByID(j.ID); known {
				continue
			}
			status := j.Status
			j.Status = job.Pending
			limit := Limit{Time: rapid.Int64Range(0, 3).Draw(t, "limit"), Grace: 1}
			js.Add(j, rapid.SampledFrom([]string{"web", "data", "ci"}).Draw(t, "namespace"), limit)
			j, _ = js.ByID(j.ID)
			j.Status, j.Last = status, at // no two jobs end with one event
			js.Set(&j, job.Pending)
		}
		var form bytes.Buffer
		w := canonical.NewWriter(&form, "j")
		js.Encode(w)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		r, err := canonical.NewReader(form.Bytes(), "j")
		if err != nil {
			t.Fatal(err)
		}
		back := Decode(r)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(shown(js), shown(back), whole); diff != "" {
			t.Fatal(diff)
		}
	})
}

type view struct {
	All, Ended []Job
	Limits     []Limit
	Namespaces map[string]Counts
	Sum        Counts
}

func shown(js *Jobs) view {
	v := view{Namespaces: make(map[string]Counts), Sum: js.Counts()}
	for j := range js.Ascend(0) {
		v.All = append(v.All, j)
		v.Limits = append(v.Limits, js.Limit(j))
	}
	for j := range js.Ended(1 << 62) {
		v.Ended = append(v.Ended, j)
	}
	for name, c := range js.Namespaces() {
		v.Namespaces[name] = c
	}
	return v
}

func TestListsBeginAtTheirCursor(t *testing.T) {
	js := New()
	for i := range eventstore.Position(5) {
		js.Add(Job{ID: id.ID(i + 1), Position: 10 * (i + 1), Status: job.Pending}, "web", Limit{})
	}
	var up, down []eventstore.Position
	for j := range js.Ascend(25) {
		up = append(up, j.Position)
	}
	for j := range js.Descend(25) {
		down = append(down, j.Position)
	}
	if diff := cmp.Diff([]eventstore.Position{30, 40, 50}, up); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]eventstore.Position{20, 10}, down); diff != "" {
		t.Error(diff)
	}
}

func FuzzDecode(f *testing.F) {
	js := New()
	js.Add(Job{ID: 1, Position: 3, Status: job.Pending, Class: 3}, "web", Limit{Time: 5})
	var form bytes.Buffer
	w := canonical.NewWriter(&form, "")
	js.Encode(w)
	if err := w.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(form.Bytes()[:form.Len()-4])
	f.Fuzz(func(t *testing.T, body []byte) {
		var form bytes.Buffer
		w := canonical.NewWriter(&form, string(body))
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		r, err := canonical.NewReader(form.Bytes(), "")
		if err != nil {
			t.Fatal(err)
		}
		Decode(r) // it must only return, and say by r whether it was sound
	})
}
