package api

import (
	"testing"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/wire"
)

// TestARequestsTraceIsTheJobs.
func TestARequestsTraceIsTheJobs(t *testing.T) {
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	s := newSite(t)
	plain := s.token(token.AllNamespaces, token.Submitter)
	for header, want := range map[string]string{trace: trace, "": "", "nonsense": "", trace + trace: ""} {
		status, _, body := s.request("POST", "/v1/jobs", plain, `{"command":"true"}`, "traceparent", header)
		if status != 201 {
			t.Fatalf("%d: %s", status, body)
		}
		i, err := id.Parse(decode[wire.Job](t, body).ID)
		if err != nil {
			t.Fatal(err)
		}
		if _, got, err := s.commands.Submitted(t.Context(), i); err != nil || got.Traceparent != want {
			t.Errorf("with %q it is of trace %q, %v", header, got, err)
		}
	}
}
