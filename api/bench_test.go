package api

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/hodei-jobs/hodei/aggregates/token"
)

// BenchmarkSubmit is the handler alone, without a network, from 64 callers at once.
func BenchmarkSubmit(b *testing.B) {
	s := newSite(b)
	header := http.Header{"Authorization": {"Bearer " + s.token(token.AllNamespaces, token.Submitter)}, "Content-Type": {"application/json"}}
	body := []byte(`{"name":"bench","command":"true"}`)
	b.SetParallelism(32)
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			r := httptest.NewRequestWithContext(b.Context(), "POST", "/v1/jobs", bytes.NewReader(body))
			r.Header = header
			w := httptest.NewRecorder()
			s.handler.ServeHTTP(w, r)
			if w.Code != http.StatusCreated {
				b.Fatal(w.Body)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "submits/s")
}
