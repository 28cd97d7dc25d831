package api

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/wire"
)

func TestAKeyGivesTheSameJobAgain(t *testing.T) {
	s := newSite(t)
	c := s.client(s.token(token.AllNamespaces, token.Submitter))
	one, err := c.Submit(t.Context(), []byte(`{"command":"true"}`), "k1")
	if err != nil {
		t.Fatal(err)
	}
	head, _ := s.store.Wait()
	for name, same := range map[string]string{"the same text": `{"command":"true"}`, "the same job said differently": `{ "namespace":"default", "command":"true" }`} {
		if two, err := c.Submit(t.Context(), []byte(same), "k1"); err != nil || two.ID != one.ID || two.Position != one.Position {
			t.Errorf("%s gave %+v, %v", name, two, err)
		}
	}
	var p *wire.Problem
	if _, err := c.Submit(t.Context(), []byte(`{"command":"false"}`), "k1"); !errors.As(err, &p) || p.Status != 409 || p.Kind != "conflict" {
		t.Errorf("another job under the same key: %v", err)
	}
	if after, _ := s.store.Wait(); after != head {
		t.Errorf("%d events were recorded", after-head)
	}
	if other, err := c.Submit(t.Context(), []byte(`{"command":"true","namespace":"web"}`), "k1"); err != nil || other.ID == one.ID {
		t.Errorf("the key in another namespace: %v, %v", other, err)
	}
}

// A key stands for one batch: what was accepted is not accepted twice, what was
// refused can be corrected. Another batch under it is refused as a whole.
func TestAKeyOfABatch(t *testing.T) {
	s := newSite(t)
	plain := s.token(token.AllNamespaces, token.Submitter)
	send := func(body string) (int, []byte) {
		t.Helper()
		status, _, answer := s.request("POST", "/v1/jobs:batch", plain, body, "Idempotency-Key", "batch-1")
		return status, answer
	}
	items := func(body string) []wire.BatchItem {
		t.Helper()
		status, answer := send(body)
		if status != 200 {
			t.Fatalf("%d: %s", status, answer)
		}
		return decode[wire.Batch](t, answer).Items
	}
	first := items(`{"jobs":[{"command":"a"},{"command":"b","priority":999},{"command":"c"}]}`)
	head, _ := s.store.Wait()
	again := items(`{"jobs":[{"command":"a"},{"command":"b","priority":999},{ "namespace":"default", "command":"c" }]}`)
	if again[0].Job == nil || again[0].Job.ID != first[0].Job.ID || again[1].Problem == nil || again[2].Job == nil || again[2].Job.ID != first[2].Job.ID {
		t.Errorf("the same batch again gave %s, first %s", mustJSON(t, again), mustJSON(t, first))
	}
	for name, other := range map[string]string{
		"another last job":  `{"jobs":[{"command":"a"},{"command":"b"},{"command":"other"}]}`,
		"another first job": `{"jobs":[{"command":"other"},{"command":"b"},{"command":"c"}]}`,
		"one job more":      `{"jobs":[{"command":"a"},{"command":"b"},{"command":"c"},{"command":"d"}]}`,
		"one job less":      `{"jobs":[{"command":"a"},{"command":"b"}]}`,
		"another order":     `{"jobs":[{"command":"c"},{"command":"b"},{"command":"a"}]}`,
	} {
		status, answer := send(other)
		p := decode[wire.Problem](t, answer)
		if status != 409 || p.Kind != "conflict" || len(p.Errors) != 1 || p.Errors[0].Location != "header.Idempotency-Key" || !strings.Contains(p.Detail, "batch-1") {
			t.Errorf("%s: %d %s", name, status, answer)
		}
	}
	if after, _ := s.store.Wait(); after != head {
		t.Errorf("%d events were recorded", after-head)
	}
	corrected := items(`{"jobs":[{"command":"a"},{"command":"b"},{"command":"c"}]}`)
	if corrected[1].Job == nil || corrected[0].Job.ID != first[0].Job.ID || corrected[2].Job.ID != first[2].Job.ID {
		t.Errorf("what was refused can't be corrected: %s", mustJSON(t, corrected))
	}
	if n := s.runner.World().Jobs.Len(); n != 3 {
		t.Errorf("there are %d jobs", n)
	}
}

// A key of a batch is none of a job by itself.
func TestKeysOfBatchesAreTheirOwn(t *testing.T) {
	s := newSite(t)
	plain := s.token(token.AllNamespaces, token.Submitter)
	for _, key := range []string{"b", "b[0]", "b1"} {
		if _, err := s.client(plain).Submit(t.Context(), []byte(`{"command":"one"}`), key); err != nil {
			t.Fatal(err)
		}
	}
	_, _, body := s.request("POST", "/v1/jobs:batch", plain, `{"jobs":[{"command":"two"}]}`, "Idempotency-Key", "b")
	if item := decode[wire.Batch](t, body).Items[0]; item.Job == nil {
		t.Errorf("refused: %s", body)
	}
}

// Of two batches that are sent under one key at the same instant one is accepted
// whole and the other is refused as a whole; the same batch sent twice gives the same
// jobs.
func TestBatchesUnderOneKeyAtOnce(t *testing.T) {
	const jobs, rounds = 20, 30
	s := newSite(t)
	plain := s.token(token.AllNamespaces, token.Submitter)
	batch := func(command string) string {
		specs := make([]string, jobs)
		for i := range specs {
			specs[i] = fmt.Sprintf(`{"command":%q,"namespace":%q}`, fmt.Sprint(command, i), []string{"default", "web"}[i%2])
		}
		return `{"jobs":[` + strings.Join(specs, ",") + `]}`
	}
	for round := range rounds {
		bodies := []string{batch("a"), batch("b"), batch("a")}
		statuses, answers := make([]int, len(bodies)), make([][]byte, len(bodies))
		var all sync.WaitGroup
		for i, body := range bodies {
			all.Go(func() {
				r := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/jobs:batch", strings.NewReader(body))
				r.Header.Set("Authorization", "Bearer "+plain)
				r.Header.Set("Idempotency-Key", fmt.Sprint("round-", round))
				w := httptest.NewRecorder()
				s.handler.ServeHTTP(w, r)
				statuses[i], answers[i] = w.Code, w.Body.Bytes()
			})
		}
		all.Wait()
		accepted := map[string]bool{}
		for i, status := range statuses {
			switch status {
			case http.StatusOK:
				accepted[bodies[i]] = true
				for _, item := range decode[wire.Batch](t, answers[i]).Items {
					if item.Job == nil {
						t.Fatalf("round %d: a batch is split: %s", round, answers[i])
					}
				}
			case http.StatusConflict:
			default:
				t.Fatalf("round %d: %d %s", round, status, answers[i])
			}
		}
		if len(accepted) != 1 || statuses[0] != statuses[2] {
			t.Fatalf("round %d: answered with %v", round, statuses)
		}
		if n := s.runner.World().Jobs.Len(); n != (round+1)*jobs {
			t.Fatalf("round %d: there are %d jobs, want %d", round, n, (round+1)*jobs)
		}
	}
}
