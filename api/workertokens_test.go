package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/wire"
)

// A worker token is made for as long as it is said, or for a day; not by the
// admin of one namespace.
func TestWorkerTokens(t *testing.T) {
	s := newSite(t)
	for _, row := range []struct {
		body  string
		token string
		lasts time.Duration
	}{{`{}`, "for ", 24 * time.Hour}, {`{"labels":{"disk":"ssd"},"hours":2}`, "for ssd", 2 * time.Hour}} {
		raw, err := s.admin().Post(t.Context(), "/v1/workers:token", []byte(row.body), "")
		var got wire.WorkerToken
		if err == nil {
			err = json.Unmarshal(raw, &got)
		}
		left := time.Until(got.Expires)
		if err != nil || got.Token != row.token || got.Server != "grpcs://here" || left > row.lasts || left < row.lasts-time.Hour {
			t.Errorf("%s gave %+v, %v", row.body, got, err)
		}
	}
	_, err := s.client(s.token("web", token.Admin)).Post(t.Context(), "/v1/workers:token", []byte(`{}`), "")
	var p *wire.Problem
	if !errors.As(err, &p) || p.Status != http.StatusForbidden {
		t.Errorf("the admin of one namespace: %v", err)
	}
}
