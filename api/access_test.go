package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/wire"
)

// listed are all routes with the least role each needs; none is open to all. A
// route that is not listed fails the test.
var listed = map[string]string{
	"GET /livez": "none", "GET /readyz": "none",
	"POST /v1/jobs": "submitter", "POST /v1/jobs:batch": "submitter", "GET /v1/jobs": "viewer", "GET /v1/jobs/{id}": "viewer",
	"POST /v1/jobs/{id}/cancel": "submitter", "GET /v1/jobs/{id}/events": "viewer", "GET /v1/jobs/{id}/logs": "viewer",
	"GET /v1/queue": "viewer", "GET /v1/workers": "viewer", "GET /v1/workers/{id}": "viewer", "GET /v1/events": "viewer",
}

var rank = map[string]int{"none": 0, "viewer": 1, "submitter": 2, "operator": 3, "admin": 4}

func routes(o *huma.OpenAPI) (out []string) {
	for path, item := range o.Paths {
		for method, op := range map[string]*huma.Operation{"GET": item.Get, "POST": item.Post, "PUT": item.Put, "DELETE": item.Delete, "PATCH": item.Patch} {
			if op != nil {
				out = append(out, method+" "+path)
			}
		}
	}
	return out
}

func TestEveryRouteAsksForItsRole(t *testing.T) {
	s := newSite(t)
	j := s.submit(s.client(s.token(token.AllNamespaces, token.Admin)), `{"command":"true"}`)
	tokens := map[string]string{
		"viewer": s.token(token.AllNamespaces, token.Viewer), "submitter": s.token(token.AllNamespaces, token.Submitter),
		"operator": s.token(token.AllNamespaces, token.Operator), "admin": s.token(token.AllNamespaces, token.Admin),
	}
	revoked, i, err := s.commands.CreateToken(t.Context(), tester, token.Create{Name: "r", Namespace: token.AllNamespaces, Role: token.Admin})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.commands.RevokeToken(t.Context(), tester, i, ""); err != nil {
		t.Fatal(err)
	}
	expired, _, err := s.commands.CreateToken(t.Context(), tester, token.Create{Name: "e", Namespace: token.AllNamespaces, Role: token.Admin, Lifetime: time.Nanosecond})
	if err != nil {
		t.Fatal(err)
	}
	unknown := map[string]string{"no token": "", "no token at all": "nonsense", "one of nobody": tokens["admin"][:len(tokens["admin"])-1] + "0", "a revoked one": revoked, "an expired one": expired}
	for _, route := range routes(s.document) {
		need, ok := listed[route]
		if !ok {
			t.Errorf("%s is not listed: say which role it needs", route)
			continue
		}
		method, path, _ := strings.Cut(route, " ")
		path = strings.ReplaceAll(path, "{id}", j.ID)
		for name, plain := range unknown {
			status, kind, _ := s.request(method, path, plain, `{}`)
			if need == "none" {
				if status >= 400 {
					t.Errorf("%s with %s: %d", route, name, status)
				}
			} else if status != http.StatusUnauthorized || kind != "application/problem+json" {
				t.Errorf("%s with %s: %d %s, want 401", route, name, status, kind)
			}
		}
		for role, plain := range tokens {
			status, _, _ := s.request(method, path, plain, `{}`)
			if denied := status == http.StatusForbidden || status == http.StatusUnauthorized; denied != (rank[role] < rank[need]) {
				t.Errorf("%s as %s: %d, though it needs %s", route, role, status, need)
			}
		}
	}
}

func TestATokenSeesItsNamespaceAlone(t *testing.T) {
	s := newSite(t)
	admin := s.client(s.token(token.AllNamespaces, token.Admin))
	mine, other := s.submit(admin, `{"command":"true","namespace":"web"}`), s.submit(admin, `{"command":"true"}`)
	plain := s.token("web", token.Submitter)
	for path, want := range map[string]int{
		"/v1/jobs/" + mine.ID: 200, "/v1/jobs/" + other.ID: 404, "/v1/jobs/" + other.ID + "/events": 404, "/v1/jobs/" + other.ID + "/logs": 404,
		"/v1/jobs?namespace=web": 200, "/v1/jobs?namespace=default": 403, "/v1/events": 403,
	} {
		if status, _, body := s.request("GET", path, plain, ""); status != want {
			t.Errorf("%s: %d, want %d: %s", path, status, want, body)
		}
	}
	if status, _, _ := s.request("POST", "/v1/jobs/"+other.ID+"/cancel", plain, `{}`); status != 404 {
		t.Errorf("cancelled another namespace's job: %d", status)
	}
	if status, _, _ := s.request("POST", "/v1/jobs", plain, `{"command":"true","namespace":"default"}`); status != 403 {
		t.Errorf("submitted to another namespace: %d", status)
	}
	if j := s.submit(s.client(plain), `{"command":"true"}`); j.Namespace != "web" {
		t.Errorf("a job without a namespace went to %s", j.Namespace)
	}
	_, _, body := s.request("GET", "/v1/jobs", plain, "")
	for _, j := range decode[wire.Jobs](t, body).Items {
		if j.Namespace != "web" {
			t.Errorf("job %s of namespace %s is listed", j.ID, j.Namespace)
		}
	}
	_, _, body = s.request("GET", "/v1/queue", plain, "")
	for _, c := range decode[wire.Queue](t, body).Items {
		if c.Namespace != "web" {
			t.Errorf("a class of namespace %s is shown", c.Namespace)
		}
	}
}
