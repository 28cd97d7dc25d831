package api

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/commands"
	"github.com/hodei-jobs/hodei/projections/joblog"
)

// keptLogs is an archive in which each log that it has reads as an error.
type keptLogs struct {
	mu   sync.Mutex
	errs map[joblog.Key]error
}

func (l *keptLogs) Extent(k joblog.Key) (joblog.Extent, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.errs[k] == nil {
		return joblog.Extent{}, nil
	}
	return joblog.Extent{End: 5, Ended: true, Known: true}, nil
}

func (l *keptLogs) Unended() ([]joblog.Key, error) { return nil, nil }

func (l *keptLogs) Read(_ context.Context, k joblog.Key, _, _ uint64, _ int) ([]joblog.Piece, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return nil, l.errs[k]
}

func (l *keptLogs) fail(k joblog.Key, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.errs == nil {
		l.errs = map[joblog.Key]error{}
	}
	l.errs[k] = err
}

// A log that can't be read now, or never again, is said to be so instead of an
// answer that breaks off.
func TestALogThatIsAwayOrGone(t *testing.T) {
	s := newSite(t)
	plain := s.token("default", token.Viewer)
	for _, row := range []struct {
		err    error
		status int
		kind   string
		says   string
	}{
		{joblog.ErrGone, http.StatusGone, "gone", "is not kept any more"},
		{joblog.ErrAway, http.StatusServiceUnavailable, "unavailable", "is in a store that does not answer"},
	} {
		j := s.submit(s.admin(), `{"command":"x"}`)
		i := parseID(t, j.ID)
		if _, errs := s.commands.BindJobs(t.Context(), tester, []commands.Binding{{Job: i, Attempt: 1, Worker: s.id()}}); errs[0] != nil {
			t.Fatal(errs[0])
		}
		s.kept.fail(joblog.Key{Job: i, Attempt: 1}, row.err)
		for _, accept := range []string{"text/plain", "text/event-stream"} {
			status, kind, body := s.request(http.MethodGet, "/v1/jobs/"+j.ID+"/logs?attempt=1", plain, "", "Accept", accept)
			if status != row.status || kind != "application/problem+json" || !strings.Contains(string(body), row.says) || !strings.Contains(string(body), row.kind) {
				t.Errorf("as %s: %d, %s, %s", accept, status, kind, body)
			}
		}
	}
}
