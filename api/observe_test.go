package api

import (
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/token"
)

// scrape gives the lines of /metrics, once one of them is what it must contain.
func (s *site) scrape(plain, want string) []string {
	s.t.Helper()
	var lines []string
	for deadline := time.Now().Add(30 * time.Second); ; {
		status, _, body := s.request("GET", "/metrics", plain, "")
		if status != http.StatusOK {
			s.t.Fatalf("%d: %s", status, body)
		}
		lines = strings.Split(string(body), "\n")
		if slices.Contains(lines, want) {
			return lines
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("no line %s in\n%s", want, body)
		}
	}
}

func TestMetricsSayWhatHappened(t *testing.T) {
	s := newSite(t)
	plain := s.token(token.AllNamespaces, token.Viewer)
	worker := s.worker("atlas")
	one := s.submit(s.admin(), `{"command":"x"}`)
	s.run(one.ID, 1, "hello", succeeded())
	two := s.submit(s.admin(), `{"command":"x"}`)
	s.run(two.ID, 1, "hello", failed(3))
	waiting := s.submit(s.admin(), `{"command":"x"}`)
	s.request("GET", "/v1/jobs/"+waiting.ID, plain, "")
	s.request("GET", "/v1/jobs/nonsense", plain, "")
	s.request("BREW", "/tea/"+worker, plain, "")
	lines := s.scrape(plain, `hodei_events_total{type="JobFailed"} 1`)
	for _, want := range []string{
		`hodei_events_total{type="JobSubmitted"} 3`, `hodei_events_total{type="JobSucceeded"} 1`,
		`hodei_jobs{state="pending"} 1`, `hodei_jobs{state="running"} 0`, `hodei_jobs_ended_total{state="succeeded"} 1`, `hodei_jobs_ended_total{state="failed"} 1`,
		`hodei_queue_waiting_jobs 1`, `hodei_job_wait_seconds_count 2`,
		`hodei_attempt_seconds_count{outcome="succeeded"} 1`, `hodei_attempt_seconds_count{outcome="failed"} 1`,
		`hodei_http_request_seconds_count{method="POST",route="/v1/jobs",status="201"} 3`,
		`hodei_http_request_seconds_count{method="GET",route="/v1/jobs/{id}",status="200"} 1`,
		`hodei_http_request_seconds_count{method="other",route="none",status="404"} 1`,
		`hodei_build_info{commit="test",version="test"} 1`, `hodei_world_lag_events 0`, `hodei_frozen_streams 0`,
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("no line %s in\n%s", want, strings.Join(lines, "\n"))
		}
	}
	for _, l := range lines {
		if strings.Contains(l, one.ID) || strings.Contains(l, "atlas") {
			t.Errorf("a job or a worker is a label: %s", l)
		}
	}
}

// The page of metrics has those there are, and no others.
func TestThePageOfMetricsIsComplete(t *testing.T) {
	s := newSite(t)
	plain := s.token(token.AllNamespaces, token.Viewer)
	s.worker("atlas")
	one := s.submit(s.admin(), `{"command":"x"}`)
	s.run(one.ID, 1, "hello", succeeded())
	var have []string
	for _, l := range s.scrape(plain, `hodei_events_total{type="JobSucceeded"} 1`) {
		if name, ok := strings.CutPrefix(l, "# TYPE hodei_"); ok {
			name, kind, _ := strings.Cut(name, " ")
			have = append(have, "| `hodei_"+name+"` | "+kind+" |")
		}
	}
	page, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile("(?m)^\\| `hodei_[a-z_]+` \\| [a-z]+ \\|").FindAllString(string(page), -1)
	slices.Sort(have)
	slices.Sort(want)
	if !slices.Equal(have, want) {
		t.Errorf("metrics\n%s\nin docs/metrics.md\n%s", strings.Join(have, "\n"), strings.Join(want, "\n"))
	}
}

func TestProfiles(t *testing.T) {
	s := newSite(t)
	plain := s.token(token.AllNamespaces, token.Admin)
	for path, want := range map[string]int{
		"/debug/pprof/heap": http.StatusOK, "/debug/pprof/goroutine?debug=1": http.StatusOK, "/debug/pprof/profile?seconds=1": http.StatusOK,
		"/debug/pprof/profile?seconds=31": http.StatusUnprocessableEntity, "/debug/pprof/cmdline": http.StatusUnprocessableEntity,
	} {
		if status, _, body := s.request("GET", path, plain, ""); status != want {
			t.Errorf("%s: %d, want %d: %.200s", path, status, want, body)
		}
	}
}
