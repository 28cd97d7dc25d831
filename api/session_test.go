package api

import (
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/wire"
)

// browser keeps cookies and follows redirects.
type browser struct {
	*site
	http http.Client
}

func (s *site) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return &browser{s, http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

func (b *browser) do(method, path string, headers ...string) *http.Response {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, http.NoBody)
	if err != nil {
		b.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := b.http.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func (b *browser) wants(status int, method, path string, headers ...string) *http.Response {
	b.t.Helper()
	resp := b.do(method, path, headers...)
	if resp.StatusCode != status {
		b.t.Errorf("%s %s: %d, want %d", method, path, resp.StatusCode, status)
	}
	return resp
}

func TestALinkSignsOneBrowserInOnce(t *testing.T) {
	s := newSite(t)
	plain := s.token("default", token.Submitter)
	status, _, body := s.request("POST", "/v1/session/links", plain, "")
	if status != http.StatusCreated {
		t.Fatalf("%d: %s", status, body)
	}
	link := decode[wire.Link](t, body)
	b := s.browser()
	b.wants(http.StatusMethodNotAllowed, "HEAD", link.Path) // by what shows links beforehand
	resp := b.wants(http.StatusSeeOther, "GET", link.Path+"&to=/jobs")
	if to := resp.Header.Get("Location"); to != "/jobs" {
		t.Errorf("it leads to %s", to)
	}
	cookie := resp.Cookies()[0]
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.Path != "/" || cookie.MaxAge != int(SessionLife/time.Second) {
		t.Errorf("the cookie is %+v", cookie)
	}
	_, _, body = s.request("GET", "/v1/whoami", "", "", "Cookie", cookie.Name+"="+cookie.Value)
	if who := decode[wire.Whoami](t, body); who.Namespace != "default" || who.Role != "submitter" || who.Expires == nil {
		t.Errorf("the session is %+v", who)
	}
	second := s.browser()
	if resp := second.wants(http.StatusSeeOther, "GET", link.Path); len(resp.Cookies()) > 0 {
		t.Error("the link signed two in")
	}
	second.wants(http.StatusUnauthorized, "GET", "/v1/jobs")
}

func TestABrowsersSession(t *testing.T) {
	s := newSite(t)
	plain := s.token(token.AllNamespaces, token.Admin)
	b := s.browser()
	b.wants(http.StatusUnauthorized, "GET", "/v1/jobs")
	b.wants(http.StatusNoContent, "POST", "/v1/session", "Authorization", "Bearer "+plain)
	b.wants(http.StatusOK, "GET", "/v1/jobs")
	before, _ := s.store.Wait()
	b.wants(http.StatusForbidden, "DELETE", "/v1/session") // as a form of another site would
	b.wants(http.StatusForbidden, "POST", "/v1/session/links")
	if after, _ := s.store.Wait(); after != before {
		t.Error("a refusal was recorded")
	}
	b.wants(http.StatusNoContent, "DELETE", "/v1/session", sessionHeader, "1")
	b.wants(http.StatusUnauthorized, "GET", "/v1/jobs")
	if status, _, _ := s.request("GET", "/v1/jobs", plain, ""); status != http.StatusOK {
		t.Errorf("signing out ended the token it was for: %d", status)
	}
}

func TestWhatALinkAndASessionAreAskedFor(t *testing.T) {
	s := newSite(t)
	plain := s.token(token.AllNamespaces, token.Viewer)
	_, _, body := s.request("POST", "/v1/session/links", plain, `{"to":"/jobs?state=failed"}`)
	if to := s.browser().wants(http.StatusSeeOther, "GET", decode[wire.Link](t, body).Path).Header.Get("Location"); to != "/jobs?state=failed" {
		t.Errorf("it leads to %s", to)
	}
	for path, body := range map[string]string{"/v1/session/links": `{"to":"//evil.example"}`, "/v1/session": `{"hours":13}`} {
		if status, _, answer := s.request("POST", path, plain, body); status != http.StatusUnprocessableEntity {
			t.Errorf("%s with %s: %d %s", path, body, status, answer)
		}
	}
	r, _ := http.NewRequestWithContext(t.Context(), "POST", s.url+"/v1/session", strings.NewReader(`{"hours":1}`))
	r.Header.Set("Authorization", "Bearer "+plain)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if cookies := resp.Cookies(); len(cookies) != 1 || cookies[0].MaxAge != 3600 {
		t.Errorf("a session of an hour has %+v", cookies)
	}
}

// A session outlives neither its own token nor, for long, a link's.
func TestASessionOfATokenThatEnds(t *testing.T) {
	s := newSite(t)
	short, _ := s.create(token.Create{Name: "short", Namespace: token.AllNamespaces, Role: token.Viewer, Lifetime: time.Hour})
	b := s.browser()
	resp := b.wants(http.StatusNoContent, "POST", "/v1/session", "Authorization", "Bearer "+short)
	if age := resp.Cookies()[0].MaxAge; age > 3600 || age < 3500 {
		t.Errorf("the session of a token that ends in an hour lasts %d s", age)
	}
	plain, i := s.create(token.Create{Name: "revoked", Namespace: token.AllNamespaces, Role: token.Viewer})
	_, _, body := s.request("POST", "/v1/session/links", plain, "")
	link := decode[wire.Link](t, body)
	if _, err := s.commands.RevokeToken(t.Context(), tester, i, ""); err != nil {
		t.Fatal(err)
	}
	b = s.browser()
	b.wants(http.StatusUnauthorized, "GET", link.Path)
}

func TestLinksExpire(t *testing.T) {
	now := time.Now()
	links := NewLinks(func() time.Time { return now })
	for range maxLinks {
		if _, _, err := links.Mint([32]byte{1}); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := links.Mint([32]byte{1}); err == nil {
		t.Error("links are without bound")
	}
	now = now.Add(LinkLife)
	path, _, err := links.Mint([32]byte{2})
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(path, "=")
	if hash, ok := links.take(code); !ok || hash != [32]byte{2} {
		t.Errorf("took %x, %v", hash, ok)
	}
	path, _, _ = links.Mint([32]byte{3})
	_, code, _ = strings.Cut(path, "=")
	now = now.Add(LinkLife)
	if _, ok := links.take(code); ok {
		t.Error("an expired link signs in")
	}
}

func TestWithin(t *testing.T) {
	for path, want := range map[string]string{
		"/jobs?x=1#L1": "/jobs?x=1#L1", "": "/", "//evil.example": "/", "https://evil.example": "/", `/\evil.example`: "/", "/\t/evil.example": "/",
	} {
		if got := within(path); got != want {
			t.Errorf("%q leads to %q, want %q", path, got, want)
		}
	}
}
