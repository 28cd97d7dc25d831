package main

import (
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/hodei-jobs/hodei/api/wire"
)

// spans is a collector that keeps what it is told, by id.
type spans struct {
	mu   sync.Mutex
	byID map[string]*otlp.Span
}

func (s *spans) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		body, _ = gzip.NewReader(body)
	}
	b, _ := io.ReadAll(body)
	var told collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(b, &told); err != nil || r.URL.Path != "/v1/traces" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, resource := range told.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				s.byID[hex.EncodeToString(span.GetSpanId())] = span
			}
		}
	}
}

// tree draws the spans below one, by their begin.
func (s *spans) tree(trace, parent string, depth int) (out []string) {
	var below []*otlp.Span
	for _, span := range s.byID {
		if hex.EncodeToString(span.GetTraceId()) == trace && hex.EncodeToString(span.GetParentSpanId()) == parent {
			below = append(below, span)
		}
	}
	slices.SortFunc(below, func(a, b *otlp.Span) int { return int(a.GetStartTimeUnixNano()) - int(b.GetStartTimeUnixNano()) })
	for _, span := range below {
		line := strings.Repeat("  ", depth) + span.GetName()
		if span.GetStatus().GetCode() == otlp.Status_STATUS_CODE_ERROR {
			line += " ✗ " + span.GetStatus().GetMessage()
		}
		if span.GetEndTimeUnixNano() < span.GetStartTimeUnixNano() {
			line += " ends before it begins"
		}
		out = append(append(out, line), s.tree(trace, hex.EncodeToString(span.GetSpanId()), depth+1)...)
	}
	return out
}

// A job's trace goes from the request that submitted it to its end, and on in what
// it runs.
func TestTracesOfJobs(t *testing.T) {
	t.Parallel()
	told := &spans{byID: map[string]*otlp.Span{}}
	receiver := httptest.NewServer(told)
	t.Cleanup(receiver.Close)
	c := startCluster(t, "--otlp", receiver.URL)
	const trace, caller = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	body := `{"name":"build","steps":[{"name":"install","run":"echo $TRACEPARENT"},{"name":"test","run":"exit 3"}],"retries":{"max":1,"backoff":"1s"}}`
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+c.http+"/v1/jobs", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	token, err := os.ReadFile(c.dir + "/data.token")
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Traceparent": {"00-" + trace + "-" + caller + "-01"}, "Authorization": {"Bearer " + strings.TrimSpace(string(token))}, "Content-Type": {"application/json"}}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var submitted wire.Job
	if err := json.NewDecoder(resp.Body).Decode(&submitted); err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatal(resp.Status, err)
	}
	want := []string{
		"job build ✗ exit",
		"  waiting",
		"  attempt 1 ✗ exit", "    step 1: install", "    step 2: test ✗ failed",
		"  waiting",
		"  attempt 2 ✗ exit", "    step 1: install", "    step 2: test ✗ failed",
	}
	eventually(t, time.Minute, func() error {
		told.mu.Lock()
		defer told.mu.Unlock()
		if got := told.tree(trace, caller, 0); !slices.Equal(got, want) {
			return fmt.Errorf("the trace is\n%s", strings.Join(got, "\n"))
		}
		return nil
	})
	out, stderr, code := c.hodei("logs", submitted.ID, "--attempt", "2")
	if code != 0 {
		t.Fatal(stderr)
	}
	parent := strings.Split(strings.TrimSpace(out), "-")
	if len(parent) != 4 || parent[1] != trace || told.byID[parent[2]].GetName() != "attempt 2" {
		t.Errorf("the second attempt goes on from %q", out)
	}
	if out, stderr, code := c.hodei("run", "--", "sh", "-c", "echo $TRACEPARENT"); code != 0 || !strings.HasSuffix(strings.TrimSpace(out), "-01") {
		t.Errorf("a job without a request's trace has %q: %s", out, stderr)
	}
}
