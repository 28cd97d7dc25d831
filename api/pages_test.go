package api

import (
	"bytes"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/wire"
)

// All lists are read in one way: limit and cursor, 100 items unless it is said, and
// a cursor of 0 is the first page.
func TestAllListsArePagedInOneWay(t *testing.T) {
	s := newSite(t)
	plain := s.token(token.AllNamespaces, token.Admin)
	c := s.client(plain)
	s.token("web", token.Viewer) // so that there are two
	for _, cpu := range []string{"1", "2"} {
		s.submit(c, `{"command":"x","resources":{"cpu":"`+cpu+`"}}`)
	}
	j := s.submit(c, `{"command":"x"}`)
	s.start(j.ID, 1)
	for _, name := range []string{"a", "b"} {
		s.worker(name)
		s.secret("default", name, "x")
	}
	lists := 0
	for path, item := range s.document.Paths {
		if item.Get == nil || parameter(item.Get, "cursor") == nil || strings.HasSuffix(path, "/logs") { // which has another limit
			continue
		}
		lists++
		limit := parameter(item.Get, "limit")
		if limit == nil || limit.Schema.Default != 100 || *limit.Schema.Maximum != 1000 {
			t.Errorf("%s has the limit %+v", path, limit)
		}
		path = strings.ReplaceAll(path, "{id}", j.ID)
		_, _, bare := s.request("GET", path+"?limit=1", plain, "")
		status, _, first := s.request("GET", path+"?limit=1&cursor=0", plain, "")
		page := decode[wire.Jobs](t, bare) // whatever it lists, it says what is next
		if status != 200 || !bytes.Equal(bare, first) || page.Next == "" {
			t.Errorf("%s from 0: %d %s\nfrom the beginning: %s", path, status, first, bare)
		}
	}
	if lists != 8 {
		t.Errorf("there are %d lists", lists)
	}
	if _, _, body := s.request("GET", "/v1/jobs/"+j.ID+"/logs?grep=x&cursor=0", plain, "", "Accept", jsonType); decode[wire.LogSearch](t, body).Attempt != 1 {
		t.Errorf("a search from 0: %s", body)
	}
}

func parameter(op *huma.Operation, name string) *huma.Param {
	for _, p := range op.Parameters {
		if p.Name == name {
			return p
		}
	}
	return nil
}
