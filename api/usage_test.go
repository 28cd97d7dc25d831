package api

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/series"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/projections/joblog"
)

// usageStart is when the series of these tests begins, ms since 1970.
const usageStart = 1_790_000_000_000

// use tells of so many seconds of one CPU, 64 MiB, and of no network.
func (a *attempt) use(seconds int) {
	a.t.Helper()
	key := a.key.Series()
	if _, err := a.logs.Take(a.t.Context(), key, 1, nil); err != nil {
		a.t.Fatal(err)
	}
	var e series.Encoder
	var data []byte
	for i := range seconds {
		data = e.Append(data, series.Sample{
			Time: usageStart + int64(i+1)*1000, Over: time.Second, Known: series.Memory | series.Disk,
			CPU: time.Second, Memory: 64 << 20, Processes: 2, Written: 512,
		})
	}
	if err := a.logs.Append(key, 1, joblog.Piece{Tag: 3, Data: data}); err != nil {
		a.t.Fatal(err)
	}
	if err := a.logs.WaitDurable(a.t.Context(), key, uint64(len(data))); err != nil {
		a.t.Fatal(err)
	}
}

func TestUsageOverTime(t *testing.T) {
	s := newSite(t)
	plain := s.token("default", token.Viewer)
	j := s.submit(s.admin(), `{"command":"x","resources":{"cpu":"500m","memory":"512Mi"}}`)
	path := "/v1/jobs/" + j.ID + "/usage"
	get := func(query string) wire.UsageSeries {
		t.Helper()
		status, _, body := s.request(http.MethodGet, path+query, plain, "")
		if status != http.StatusOK {
			t.Fatalf("%s: %d %s", query, status, body)
		}
		return decode[wire.UsageSeries](t, body)
	}
	if got := get(""); got.Attempt != 0 || got.Whole || got.Items == nil || len(got.Items) > 0 {
		t.Errorf("before it runs: %+v", got)
	}
	a := s.start(j.ID, 1)
	a.use(1000)
	got := get("")
	if len(got.Items) != 500 || got.Step != 2 || got.Whole || got.Attempt != 1 || got.Requests != (wire.Requests{CPU: 0.5, Memory: 512 << 20}) {
		t.Errorf("%d points of %v s, whole %t, requests %+v", len(got.Items), got.Step, got.Whole, got.Requests)
	}
	p := got.Items[0]
	if p.At.UnixMilli() != usageStart || p.Seconds != 2 || p.CPU.Max != 1 || p.Memory.Mean != 64<<20 || p.Processes != 2 || *p.DiskWrite != 1024 || *p.DiskRead != 0 || p.NetRx != nil {
		t.Errorf("the first point is %+v", p)
	}
	at := func(second int) string {
		return url.QueryEscape(time.UnixMilli(usageStart + int64(second)*1000).UTC().Format(time.RFC3339Nano))
	}
	for query, want := range map[string]int{
		"?step=1s": 1000, "?step=10m": 2, "?points=1": 1, "?points=100": 100,
		"?step=1s&since=" + at(990): 10, "?step=1s&since=" + at(10) + "&until=" + at(15): 5, "?until=" + at(-5): 0,
	} {
		if got := get(query); len(got.Items) < want-want/2 || len(got.Items) > want+1 || got.Step == 1 && len(got.Items) != want {
			t.Errorf("%s: %d points of %v s, want %d", query, len(got.Items), got.Step, want)
		}
	}
	a.finish(succeeded())
	if get("").Whole {
		t.Error("its series is not over, and said to be")
	}
	a.logs.Finish(a.key.Series(), a.logs.Head(a.key.Series()))
	if !get("?attempt=1").Whole {
		t.Error("no more comes, and it is said to")
	}
}

func TestAnAttemptThatWasShortHasNoPoints(t *testing.T) {
	s := newSite(t)
	j := s.submit(s.admin(), `{"command":"x"}`)
	s.run(j.ID, 1, "out", succeeded())
	_, _, body := s.request(http.MethodGet, "/v1/jobs/"+j.ID+"/usage", s.token("default", token.Viewer), "")
	if got := decode[wire.UsageSeries](t, body); !got.Whole || len(got.Items) > 0 || !strings.Contains(string(body), `"items":[]`) {
		t.Errorf("got %s", body)
	}
}

func TestUsageThatCannotBeRead(t *testing.T) {
	s := newSite(t)
	plain := s.token("default", token.Viewer)
	j := s.submit(s.admin(), `{"command":"x"}`)
	a := s.start(j.ID, 1)
	path := "/v1/jobs/" + j.ID + "/usage"
	check := func(path, auth string, status int, says string) {
		t.Helper()
		if got, _, body := s.request(http.MethodGet, path, auth, ""); got != status || !strings.Contains(string(body), says) {
			t.Errorf("%s: %d %s; want %d and %q", path, got, body, status, says)
		}
	}
	check(path+"?step=0", plain, http.StatusUnprocessableEntity, "query.step")
	check(path+"?step=1500ms", plain, http.StatusUnprocessableEntity, "whole seconds")
	check(path+"?since=yesterday", plain, http.StatusUnprocessableEntity, "query.since")
	check(path+"?points=10001", plain, http.StatusUnprocessableEntity, "query.points")
	check(path+"?attempt=2", plain, http.StatusNotFound, "no attempt 2")
	check("/v1/jobs/zzzzzzzz/usage", plain, http.StatusNotFound, "job")
	check(path, s.token("other", token.Viewer), http.StatusNotFound, "")
	a.use(12_000)
	check(path+"?step=1s", plain, http.StatusUnprocessableEntity, "more than 10000 points")

	old := s.submit(s.admin(), `{"command":"x"}`)
	key := s.start(old.ID, 1).key.Series()
	for err, want := range map[error]int{joblog.ErrGone: http.StatusGone, joblog.ErrAway: http.StatusServiceUnavailable} {
		s.kept.fail(key, err)
		check("/v1/jobs/"+old.ID+"/usage", plain, want, "the use of job "+old.ID)
	}
}
