package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/wire"
)

// tokenOf asks for a token as another one.
func (s *site) tokenOf(plain, body string) (int, *wire.MadeToken) {
	s.t.Helper()
	status, _, raw := s.request("POST", "/v1/tokens", plain, body)
	made := new(wire.MadeToken)
	if err := json.Unmarshal(raw, made); err != nil {
		s.t.Fatalf("%s: %v", raw, err)
	}
	return status, made
}

// A token is made, is good for what it says, is shown only then, and is refused
// once it is revoked.
func TestTheLifeOfAToken(t *testing.T) {
	s := newSite(t)
	admin := s.token(token.AllNamespaces, token.Admin)
	status, made := s.tokenOf(admin, `{"name":"ci","role":"submitter","namespace":"web","lifetime":"2h"}`)
	if status != http.StatusCreated || made.Name != "ci" || made.Role != "submitter" || made.Namespace != "web" || made.State != "active" ||
		made.Hint != made.Plain[len(made.Plain)-4:] || made.Used != nil || made.Expires == nil || made.Expires.Sub(made.Created) != 2*time.Hour {
		t.Fatalf("it is answered %d %+v", status, made)
	}
	j := s.submit(s.client(made.Plain), `{"command":"true"}`)
	_, _, events := s.request("GET", "/v1/jobs/"+j.ID+"/events", admin, "")
	if e := decode[wire.Events](t, events); j.Namespace != "web" || e.Items[0].Actor != made.ID {
		t.Errorf("its job is in %s, by %s", j.Namespace, events)
	}
	_, _, body := s.request("GET", "/v1/tokens?namespace=web", admin, "")
	page := decode[wire.Tokens](t, body)
	if len(page.Items) != 1 || page.Items[0].ID != made.ID || page.Items[0].Used == nil || strings.Contains(string(body), made.Plain) || strings.Contains(string(body), `"token"`) {
		t.Errorf("it is listed as %s", body)
	}
	for range 2 {
		if status, _, body := s.request("DELETE", "/v1/tokens/"+made.ID, admin, ""); status != http.StatusNoContent {
			t.Errorf("revoking it: %d %s", status, body)
		}
	}
	if status, _, _ := s.request("GET", "/v1/jobs", made.Plain, ""); status != http.StatusUnauthorized {
		t.Errorf("a revoked token is answered %d", status)
	}
	_, _, body = s.request("GET", "/v1/tokens?namespace=web", admin, "")
	if page := decode[wire.Tokens](t, body); len(page.Items) != 0 {
		t.Errorf("a revoked one is listed: %s", body)
	}
	_, _, body = s.request("GET", "/v1/tokens?namespace=web&all=true", admin, "")
	if page := decode[wire.Tokens](t, body); len(page.Items) != 1 || page.Items[0].State != "revoked" || page.Items[0].Revoked == nil {
		t.Errorf("with all it is listed as %s", body)
	}
}

// Nobody makes a token that may more than its own, and nobody sees or ends those
// of another namespace.
func TestAnAdminOfANamespaceKeepsToIt(t *testing.T) {
	s := newSite(t)
	of := s.token("web", token.Admin)
	if status, made := s.tokenOf(of, `{"name":"x","role":"admin"}`); status != http.StatusCreated || made.Namespace != "web" {
		t.Errorf("it makes %+v", made)
	}
	for _, namespace := range []string{"*", "default", "nowhere"} {
		status, _, body := s.request("POST", "/v1/tokens", of, `{"name":"x","role":"viewer","namespace":"`+namespace+`"}`)
		if p := decode[wire.Problem](t, body); status != http.StatusForbidden || p.Errors[0].Location != "body.namespace" {
			t.Errorf("for %s it is answered %d %s", namespace, status, body)
		}
		if status, _, body := s.request("GET", "/v1/tokens?namespace="+namespace, of, ""); status != http.StatusForbidden {
			t.Errorf("it is shown those of %s: %d %s", namespace, status, body)
		}
	}
	_, others := s.create(token.Create{Name: "other", Namespace: "default", Role: token.Viewer})
	_, all := s.create(token.Create{Name: "all", Namespace: token.AllNamespaces, Role: token.Viewer})
	for _, i := range []id.ID{others, all} {
		if status, _, _ := s.request("DELETE", "/v1/tokens/"+i.String(), of, ""); status != http.StatusNotFound {
			t.Errorf("it may end %s: %d", i, status)
		}
		if row, ok := s.runner.World().Access.Token(i); !ok || row.Revoked != 0 {
			t.Errorf("it ended %s", i)
		}
	}
	_, _, body := s.request("GET", "/v1/tokens?all=true", of, "")
	for _, row := range decode[wire.Tokens](t, body).Items {
		if row.Namespace != "web" {
			t.Errorf("it sees %+v", row)
		}
	}
}

func TestTokensHavePages(t *testing.T) {
	s := newSite(t)
	admin := s.token(token.AllNamespaces, token.Admin)
	want := map[string]bool{}
	for range 5 {
		_, i := s.create(token.Create{Name: "n", Namespace: "web", Role: token.Viewer})
		want[i.String()] = true
	}
	for cursor := ""; ; {
		_, _, body := s.request("GET", "/v1/tokens?namespace=web&limit=2&cursor="+cursor, admin, "")
		page := decode[wire.Tokens](t, body)
		for _, row := range page.Items {
			if !want[row.ID] {
				t.Errorf("%s is listed twice, or is another's", row.ID)
			}
			delete(want, row.ID)
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if len(want) > 0 {
		t.Errorf("not listed: %v", want)
	}
}

func TestHowLongATokenIsGoodFor(t *testing.T) {
	s := newSite(t)
	admin := s.token(token.AllNamespaces, token.Admin)
	for text, want := range map[string]time.Duration{`""`: TokenLife, `"never"`: 0, `"30d"`: 30 * 24 * time.Hour} {
		_, made := s.tokenOf(admin, `{"name":"x","role":"viewer","lifetime":`+text+`}`)
		if want == 0 && made.Expires != nil || want != 0 && made.Expires.Sub(made.Created) != want {
			t.Errorf("%s: until %v", text, made.Expires)
		}
	}
	for _, text := range []string{"0s", "-1h", "soon", "36500d"} {
		status, _, body := s.request("POST", "/v1/tokens", admin, `{"name":"x","role":"viewer","lifetime":"`+text+`"}`)
		if p := decode[wire.Problem](t, body); status != http.StatusUnprocessableEntity || p.Errors[0].Location != "body.lifetime" {
			t.Errorf("%s: %d %s", text, status, body)
		}
	}
}

func TestUsesAreKept(t *testing.T) {
	uses, again := NewUses(), NewUses()
	for i := range id.ID(4) {
		uses.note(i, int64(i)*1e9)
	}
	uses.note(3, 1)      // it was later already
	uses.note(1, 50*1e9) // this is within the same minute
	uses.note(3, 90*1e9)
	text := uses.Encode(func(i id.ID) bool { return i != 2 })
	again.Decode(append([]byte("nonsense\n!!!! never\n"), text...))
	if uses.At(2) != 0 || again.At(2) != 0 {
		t.Error("a token that nobody keeps is still there")
	}
	if again.At(1) != 1e9 || again.At(3) != 90e9 {
		t.Errorf("%s is read as %d, %d", text, again.At(1), again.At(3))
	}
}
