package api

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"

	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/wire"
)

// access is what a route asks of its caller.
type access struct {
	role token.Role // the least that may; none is open to all
	all  bool       // only for tokens of all namespaces
	one  bool       // about one job, which tokens of other namespaces don't see

	stream bool // its answer has no end
}

// listed are all routes. One that is not listed fails the test.
var listed = map[string]access{
	"GET /livez":  {},
	"GET /readyz": {},

	"GET /metrics":               {role: token.Viewer, all: true},
	"GET /debug/pprof/{profile}": {role: token.Admin, all: true},

	"POST /v1/jobs":                     {role: token.Submitter},
	"POST /v1/jobs:batch":               {role: token.Submitter},
	"GET /v1/jobs":                      {role: token.Viewer},
	"GET /v1/jobs/{id}":                 {role: token.Viewer, one: true},
	"POST /v1/jobs/{id}/cancel":         {role: token.Submitter, one: true},
	"GET /v1/jobs/{id}/events":          {role: token.Viewer, one: true},
	"GET /v1/jobs/{id}/logs":            {role: token.Viewer, one: true},
	"GET /v1/jobs/{id}/logs/steps":      {role: token.Viewer, one: true},
	"GET /v1/jobs/{id}/usage":           {role: token.Viewer, one: true},
	"GET /v1/queue":                     {role: token.Viewer},
	"GET /v1/workers":                   {role: token.Viewer},
	"GET /v1/workers/{id}":              {role: token.Viewer},
	"GET /v1/events":                    {role: token.Viewer, all: true},
	"GET /v1/changes":                   {role: token.Viewer, stream: true},
	"GET /v1/secrets":                   {role: token.Submitter},
	"PUT /v1/secrets/{name}":            {role: token.Operator},
	"DELETE /v1/secrets/{name}":         {role: token.Operator},
	"POST /v1/workers:token":            {role: token.Admin, all: true},
	"GET /v1/whoami":                    {role: token.Viewer},
	"POST /v1/session":                  {role: token.Viewer},
	"DELETE /v1/session":                {role: token.Viewer},
	"POST /v1/session/links":            {role: token.Viewer},
	"GET /v1/settings":                  {role: token.Viewer},
	"PATCH /v1/settings":                {role: token.Admin, all: true},
	"GET /v1/tokens":                    {role: token.Admin},
	"GET /v1/namespaces":                {role: token.Viewer},
	"POST /v1/namespaces":               {role: token.Admin, all: true},
	"GET /v1/namespaces/{name}":         {role: token.Viewer, one: true},
	"POST /v1/namespaces/{name}/pause":  {role: token.Operator, one: true},
	"POST /v1/namespaces/{name}/resume": {role: token.Operator, one: true},
	"POST /v1/tokens":                   {role: token.Admin},
	"DELETE /v1/tokens/{id}":            {role: token.Admin, one: true},
	"POST /v1/jobs/{id}/rerun":          {role: token.Submitter, one: true},
	"POST /v1/workers/{id}/cordon":      {role: token.Operator, all: true},
	"POST /v1/workers/{id}/uncordon":    {role: token.Operator, all: true},
	"POST /v1/workers/{id}/drain":       {role: token.Operator, all: true},
}

// bodies are what is sent to the routes that take one.
var bodies = map[string]string{
	"POST /v1/jobs": `{"command":"true"}`, "POST /v1/jobs:batch": `{"jobs":[{"command":"true"}]}`, "POST /v1/jobs/{id}/cancel": `{}`, "POST /v1/jobs/{id}/rerun": `{}`,
	"PUT /v1/secrets/{name}": `{"value":"x"}`,
	"POST /v1/workers:token": `{}`, "POST /v1/session": `{}`, "POST /v1/session/links": `{}`, "PATCH /v1/settings": `{"policy":"leastloaded"}`,
	"POST /v1/namespaces": `{"name":"ml"}`, "POST /v1/namespaces/{name}/pause": `{}`, "POST /v1/namespaces/{name}/resume": `{}`,
	"POST /v1/tokens":              `{"name":"ci","role":"viewer"}`,
	"POST /v1/workers/{id}/cordon": `{}`, "POST /v1/workers/{id}/uncordon": `{}`, "POST /v1/workers/{id}/drain": `{}`,
}

func operations(item *huma.PathItem) map[string]*huma.Operation {
	all := map[string]*huma.Operation{
		"GET": item.Get, "POST": item.Post, "PUT": item.Put, "DELETE": item.Delete, "PATCH": item.Patch, "HEAD": item.Head, "OPTIONS": item.Options, "TRACE": item.Trace,
	}
	for method, op := range all {
		if op == nil {
			delete(all, method)
		}
	}
	return all
}

func routes(o *huma.OpenAPI) (out []string) {
	for path, item := range o.Paths {
		for method := range operations(item) {
			out = append(out, method+" "+path)
		}
	}
	slices.Sort(out)
	return out
}

// caller is a token and what is expected of it.
type caller struct {
	name  string
	plain string
	role  token.Role // None: it is not accepted at all
	other bool       // it is of another namespace than the job
}

func (s *site) callers() []caller {
	s.t.Helper()
	revoked, i := s.create(token.Create{Name: "revoked", Namespace: token.AllNamespaces, Role: token.Admin})
	if _, err := s.commands.RevokeToken(s.t.Context(), tester, i, ""); err != nil {
		s.t.Fatal(err)
	}
	expired, _ := s.create(token.Create{Name: "expired", Namespace: token.AllNamespaces, Role: token.Admin, Lifetime: time.Nanosecond})
	admin := s.token(token.AllNamespaces, token.Admin)
	out := []caller{
		{name: "no token"}, {name: "no token at all", plain: "nonsense"}, {name: "a token that was cut", plain: admin[:len(admin)-1]},
		{name: "a token with a wrong checksum", plain: admin[:len(admin)-1] + string(admin[len(admin)-1]^1)},
		{name: "a worker's token", plain: "eyJhbGciOiJFZERTQSIsImtpZCI6IjEifQ.eyJpc3MiOiJob2RlaSIsImp0aSI6ImFiY2RlZmdoIn0." + strings.Repeat("A", 86)},
		{name: "an expired one", plain: expired}, {name: "a revoked one", plain: revoked},
	}
	for _, role := range []token.Role{token.Viewer, token.Submitter, token.Operator, token.Admin} {
		out = append(out,
			caller{name: "a " + role.String() + " of all namespaces", plain: s.token(token.AllNamespaces, role), role: role},
			caller{name: "a " + role.String() + " of another namespace", plain: s.token("web", role), role: role, other: true})
	}
	return out
}

// want is what the caller is answered with on a route; 0 is success.
func (c *caller) want(a access) int {
	switch {
	case a.role == token.Nobody:
		return 0
	case c.role == token.Nobody:
		return http.StatusUnauthorized
	case !c.role.Allows(a.role), c.other && a.all:
		return http.StatusForbidden
	case c.other && a.one:
		return http.StatusNotFound // that there is such a job is nobody's business
	}
	return 0
}

func TestEveryRouteAsksForItsRole(t *testing.T) {
	s := newSite(t)
	j := s.submit(s.client(s.token(token.AllNamespaces, token.Admin)), `{"command":"true"}`)
	w, other := s.worker("atlas"), s.worker("borea")
	s.secret("default", "db", "x")
	s.secret("web", "db", "x")
	callers := s.callers()
	_, spare := s.create(token.Create{Name: "spare", Namespace: "default", Role: token.Viewer})
	for _, route := range routes(s.document) {
		need, ok := listed[route]
		if !ok {
			t.Errorf("%s is not listed: say which role it needs", route)
			continue
		}
		method, path, _ := strings.Cut(route, " ")
		name := j.ID
		switch {
		case strings.Contains(path, "workers"):
			name = w
		case strings.Contains(path, "tokens"):
			name = spare.String()
		}
		named := "db"
		if strings.Contains(path, "namespaces") {
			named = "default"
		}
		if strings.HasSuffix(path, "/uncordon") { // one that drains can't be
			name = other
		}
		path = strings.NewReplacer("{id}", name, "{name}", named, "{profile}", "heap").Replace(path)
		for _, c := range callers {
			before, _ := s.store.Wait()
			want := c.want(need)
			asked := method
			if need.stream && want == 0 {
				asked = http.MethodHead
			}
			status, kind, body := s.request(asked, path, c.plain, bodies[route])
			if want == 0 && status >= 300 || want != 0 && (status != want || kind != problemType) {
				t.Errorf("%s with %s: %d %s, want %d: %s", route, c.name, status, kind, want, body)
			}
			if after, _ := s.store.Wait(); want != 0 && after != before {
				t.Errorf("%s with %s was refused and recorded %d events", route, c.name, after-before)
			}
		}
	}
	for route := range listed {
		if !slices.Contains(routes(s.document), route) {
			t.Errorf("%s is listed, and there is no such route", route)
		}
	}
}

// A route that was given no role is open to nobody.
func TestARouteWithoutARoleIsOpenToNobody(t *testing.T) {
	s := newSite(t)
	e := echo.New()
	api := huma.NewAPI(config("test"), newAdapter(e))
	api.UseMiddleware(s.server.authenticate)
	huma.Register(api, huma.Operation{OperationID: "forgotten", Method: "GET", Path: "/v1/forgotten"}, func(context.Context, *struct{}) (*struct{}, error) {
		t.Error("it was let through")
		return nil, nil
	})
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/v1/forgotten", nil)
	r.Header.Set("Authorization", "Bearer "+s.token(token.AllNamespaces, token.Admin))
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	if w.Code != http.StatusForbidden {
		t.Errorf("it answers %d", w.Code)
	}
}

func TestATokenSeesItsNamespaceAlone(t *testing.T) {
	s := newSite(t)
	admin := s.client(s.token(token.AllNamespaces, token.Admin))
	mine, other := s.submit(admin, `{"command":"true","namespace":"web"}`), s.submit(admin, `{"command":"true"}`)
	plain := s.token("web", token.Submitter)
	for path, want := range map[string]int{
		"/v1/jobs/" + mine.ID: 200, "/v1/jobs/" + other.ID: 404, "/v1/jobs/" + other.ID + "/events": 404, "/v1/jobs/" + other.ID + "/logs": 404, "/v1/jobs/" + other.ID + "/logs/steps": 404,
		"/v1/jobs?namespace=web": 200, "/v1/jobs?namespace=default": 403, "/v1/jobs?namespace=nowhere": 403,
		"/v1/queue?namespace=web": 200, "/v1/queue?namespace=default": 403, "/v1/events": 403,
	} {
		if status, _, body := s.request("GET", path, plain, ""); status != want {
			t.Errorf("%s: %d, want %d: %s", path, status, want, body)
		}
	}
	if status, _, _ := s.request("POST", "/v1/jobs/"+other.ID+"/cancel", plain, `{}`); status != 404 {
		t.Errorf("cancelled another namespace's job: %d", status)
	}
	for _, namespace := range []string{"default", "nowhere"} {
		if status, _, _ := s.request("POST", "/v1/jobs", plain, `{"command":"true","namespace":"`+namespace+`"}`); status != 403 {
			t.Errorf("submitted to namespace %s: %d", namespace, status)
		}
	}
	if j := s.submit(s.client(plain), `{"command":"true"}`); j.Namespace != "web" {
		t.Errorf("a job without a namespace went to %s", j.Namespace)
	}
	_, _, body := s.request("GET", "/v1/jobs", plain, "")
	page := decode[wire.Jobs](t, body)
	for _, j := range page.Items {
		if j.Namespace != "web" {
			t.Errorf("job %s of namespace %s is listed", j.ID, j.Namespace)
		}
	}
	if len(page.Items) != 2 || page.Counts.Waiting != 2 {
		t.Errorf("%d jobs are listed, %d counted, want 2", len(page.Items), page.Counts.Waiting)
	}
	_, _, body = s.request("GET", "/v1/queue", plain, "")
	if q := decode[wire.Queue](t, body); len(q.Items) != 1 || q.Items[0].Namespace != "web" || q.Waiting != 2 {
		t.Errorf("the queue is shown as %s", body)
	}
}
