package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/wire"
)

// A job is run again as it was but for the changes, and both of them say so.
func TestAJobIsRunAgain(t *testing.T) {
	s := newSite(t)
	plain := s.token(token.AllNamespaces, token.Submitter)
	c := s.client(plain)
	first := s.submit(c, `{"name":"train","namespace":"web","command":"make","resources":{"cpu":"2","memory":"2Gi"},"secrets":{"TOKEN":"`+canary+`"}}`)
	status, _, body := s.request("POST", "/v1/jobs/"+first.ID+"/rerun", plain, `{"changes":{"resources":{"memory":"12Gi"},"priority":7},"replace":true}`)
	j := decode[wire.Job](t, body)
	if status != 201 || j.RerunOf != first.ID || j.ID == first.ID || j.Name != "train" || j.Namespace != "web" || j.Priority != 7 || strings.Contains(string(body), canary) {
		t.Fatalf("%d: %s", status, body)
	}
	story, err := c.Job(t.Context(), j.ID)
	if err != nil || story.RerunOf != first.ID || !strings.Contains(string(story.Spec), `"resources":{"cpu":"2","memory":"12Gi"}`) {
		t.Errorf("it is read as %+v, %v: %s", story, err, story.Spec)
	}
	if old, err := c.Job(t.Context(), first.ID); err != nil || old.State != "cancelled" || old.RerunOf != "" {
		t.Errorf("the one it replaces is %+v, %v", old, err)
	}
	again, err := c.RerunJob(t.Context(), j.ID, json.RawMessage(`{"priority":null}`), false, "")
	if err != nil || again.RerunOf != j.ID || again.Priority != 0 {
		t.Errorf("run again with the client: %+v, %v", again, err)
	}
}

func TestARerunMayComeAgain(t *testing.T) {
	s := newSite(t)
	plain := s.token("web", token.Submitter)
	first := s.submit(s.client(plain), `{"command":"make"}`)
	send := func(body string) (int, string) {
		status, _, answer := s.request("POST", "/v1/jobs/"+first.ID+"/rerun", plain, body, "Idempotency-Key", "k")
		return status, decode[wire.Job](t, answer).ID
	}
	status, one := send(`{"changes":{"priority":1}}`)
	again, two := send(`{"changes":{"priority":1},"replace":false}`)
	if other, _ := send(`{"changes":{"priority":2}}`); status != 201 || again != 201 || one != two || other != 409 {
		t.Errorf("%d %s, again %d %s, with other changes %d", status, one, again, two, other)
	}
	if n := s.runner.World().Jobs.Len(); n != 2 {
		t.Errorf("there are %d jobs", n)
	}
}

func TestARerunThatIsRefused(t *testing.T) {
	s := newSite(t)
	plain := s.token(token.AllNamespaces, token.Submitter)
	first := s.submit(s.client(plain), `{"command":"make","secrets":{"TOKEN":"`+canary+`"}}`)
	runs := s.submit(s.client(plain), `{"command":"make"}`)
	s.start(runs.ID, 1)
	before := s.runner.World().Jobs.Len()
	for _, row := range []struct {
		job, body string
		status    int
		where     string
	}{
		{first.ID, `{"changes":{"resources":{"memory":"2 gigs"}}}`, 422, "body.changes.resources.memory"},
		{first.ID, `{"changes":{"env":{"a b":"1\u0000"}},"x":1}`, 422, "body.x"},
		{first.ID, `{"changes":{"command":"env"}}`, 422, "body.changes.secrets.TOKEN"},
		{first.ID, `{"changes":{"secrets":{"TOKEN":{"from":"nothing"}}}}`, 404, "body.changes.secrets.TOKEN.from"},
		{first.ID, `{"changes":{"namespace":"web"}}`, 422, "body.changes.namespace"},
		{first.ID, `{"changes":[]}`, 422, "body.changes"},
		{first.ID, `{"changes":{},"changes":{}}`, 422, "body.changes"},
		{first.ID, `{"replace":"yes"}`, 422, "body.replace"},
		{first.ID, `[]`, 422, "body"},
		{first.ID, ``, 400, "body"},
		{runs.ID, `{"replace":true}`, 409, ""},
		{"zzzzzzzz", `{}`, 404, "path.id"},
		{"x", `{}`, 422, "path.id"},
	} {
		status, kind, body := s.request("POST", "/v1/jobs/"+row.job+"/rerun", plain, row.body)
		p := decode[wire.Problem](t, body)
		where := ""
		if len(p.Errors) > 0 {
			where = p.Errors[0].Location
		}
		if status != row.status || kind != problemType || where != row.where || strings.Contains(string(body), canary) {
			t.Errorf("%s: %d at %q, want %d at %q: %s", row.body, status, where, row.status, row.where, body)
		}
	}
	if n := s.runner.World().Jobs.Len(); n != before {
		t.Errorf("%d jobs were made", n-before)
	}
	if status, _, _ := s.request("POST", "/v1/jobs/"+first.ID+"/rerun", s.token("web", token.Submitter), `{}`); status != http.StatusNotFound {
		t.Errorf("who does not see it is answered %d", status)
	}
}
