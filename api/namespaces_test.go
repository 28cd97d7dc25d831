package api

import (
	"net/http"
	"slices"
	"testing"

	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/wire"
)

// A namespace is made, paused with a reason that those see whose jobs wait, and
// resumed; each again is the same as once.
func TestTheLifeOfANamespace(t *testing.T) {
	s := newSite(t)
	admin := s.token(token.AllNamespaces, token.Admin)
	ask := func(method, path, body string, want int) wire.Namespace {
		t.Helper()
		status, _, raw := s.request(method, path, admin, body)
		if status != want {
			t.Fatalf("%s %s: %d %s", method, path, status, raw)
		}
		return decode[wire.Namespace](t, raw)
	}
	for range 2 {
		if n := ask("POST", "/v1/namespaces", `{"name":"ml","description":"training"}`, 201); n.Name != "ml" || n.Description != "training" || n.Paused || n.Created == nil {
			t.Errorf("made: %+v", n)
		}
	}
	ask("POST", "/v1/namespaces", `{"name":"ml"}`, 409)
	ask("POST", "/v1/namespaces", `{"name":"No"}`, 422)
	s.submit(s.client(admin), `{"command":"true","namespace":"ml"}`)
	for range 2 {
		if n := ask("POST", "/v1/namespaces/ml/pause", `{"reason":"the disk is changed"}`, 200); !n.Paused || n.Reason != "the disk is changed" || n.Waiting != 1 {
			t.Errorf("paused: %+v", n)
		}
	}
	_, _, body := s.request("GET", "/v1/queue?namespace=ml", admin, "")
	if q := decode[wire.Queue](t, body); len(q.Items) != 1 || q.Items[0].Reason != "paused" {
		t.Errorf("the queue: %s", body)
	}
	for range 2 {
		if n := ask("POST", "/v1/namespaces/ml/resume", `{}`, 200); n.Paused || n.Reason != "" {
			t.Errorf("resumed: %+v", n)
		}
	}
	if n := ask("GET", "/v1/namespaces/ml", "", 200); n.Waiting != 1 {
		t.Errorf("shown: %+v", n)
	}
	ask("POST", "/v1/namespaces/none/pause", `{}`, 404)
}

// A token sees its own namespace; only one for all makes others.
func TestNamespacesOfOthersAreNotSeen(t *testing.T) {
	s := newSite(t)
	of := s.token("web", token.Admin)
	_, _, body := s.request("GET", "/v1/namespaces", of, "")
	if page := decode[wire.Namespaces](t, body); len(page.Items) != 1 || page.Items[0].Name != "web" {
		t.Errorf("it sees %s", body)
	}
	for path, want := range map[string]int{"/v1/namespaces/default/pause": 404, "/v1/namespaces/default/resume": 404, "/v1/namespaces/web/pause": 200} {
		if status, _, body := s.request("POST", path, of, `{}`); status != want {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if n, _ := s.runner.World().Access.Namespace("default"); n.Paused {
		t.Error("it paused another's")
	}
}

func TestNamespacesHavePages(t *testing.T) {
	s := newSite(t)
	admin := s.token(token.AllNamespaces, token.Admin)
	for _, name := range []string{"0", "z"} {
		if _, err := s.commands.CreateNamespace(t.Context(), tester, name, ""); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	for cursor := "0"; cursor != "" && len(names) < 9; {
		_, _, body := s.request("GET", "/v1/namespaces?limit=1&cursor="+cursor, admin, "")
		page := decode[wire.Namespaces](t, body)
		names = append(names, page.Items[0].Name)
		cursor = page.Next
	}
	if want := []string{"0", "default", "web", "z"}; !slices.Equal(names, want) {
		t.Errorf("listed: %q, want %q", names, want)
	}
	if status, _, _ := s.request("GET", "/v1/namespaces?cursor=web", admin, ""); status != http.StatusUnprocessableEntity {
		t.Errorf("a cursor that no page ends with: %d", status)
	}
}
