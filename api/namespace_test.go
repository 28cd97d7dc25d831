package api

import (
	"errors"
	"net/http"
	"net/url"
	"testing"

	"github.com/hodei-jobs/hodei/api/wire"
)

// A namespace that is mistyped is not one that is empty.
func TestAnUnknownNamespaceIsNotFound(t *testing.T) {
	s := newSite(t)
	for _, path := range []string{"/v1/jobs", "/v1/queue"} {
		if _, err := s.admin().Raw(t.Context(), path, url.Values{"namespace": {"web"}}); err != nil {
			t.Errorf("%s of a namespace that is there: %v", path, err)
		}
		_, err := s.admin().Raw(t.Context(), path, url.Values{"namespace": {"wbe"}})
		var p *wire.Problem
		if !errors.As(err, &p) || p.Status != http.StatusNotFound || p.Detail != "there is no namespace wbe" || p.Help != "the namespaces there are: default, web" {
			t.Errorf("%s of one that is not: %+v", path, err)
		}
	}
}
