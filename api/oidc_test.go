package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/people"
	"github.com/hodei-jobs/hodei/api/people/peopletest"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/eventstore"
)

// entrance is the API with a real provider at which people sign in.
type entrance struct {
	*site
	url   string
	names *people.Names
	now   func() time.Time
}

func newEntrance(t *testing.T, rules string) *entrance {
	t.Helper()
	e := &entrance{site: newSite(t), names: people.NewNames()}
	var handler http.Handler
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(web.Close)
	e.url, e.now = web.URL, time.Now
	back := web.URL + "/login/oidc/callback"
	parsed, err := people.ParseRules(rules)
	if err != nil {
		t.Fatal(err)
	}
	parts := e.server.Config
	parts.Names = e.names
	parts.People = people.New(people.Config{Issuer: peopletest.Start(t, back), ClientID: peopletest.ClientID, ClientSecret: peopletest.ClientSecret,
		RedirectURL: back, Rules: parsed, Key: bytes.Repeat([]byte{7}, 32), Clock: func() time.Time { return e.now() }})
	handler, _ = New(parts, e.stop)
	return e
}

// whoami asks as a browser does.
func (e *entrance) whoami(browser *http.Client) (int, wire.Whoami) {
	e.t.Helper()
	r, err := http.NewRequestWithContext(e.t.Context(), http.MethodGet, e.url+"/v1/whoami", nil)
	if err != nil {
		e.t.Fatal(err)
	}
	resp, err := browser.Do(r)
	if err != nil {
		e.t.Fatal(err)
	}
	defer resp.Body.Close()
	var who wire.Whoami
	if err := json.NewDecoder(resp.Body).Decode(&who); err != nil {
		e.t.Fatal(err)
	}
	return resp.StatusCode, who
}

// Who signs in at the provider has a session in the browser with what the rules
// say, is shown by name, and the log has no name.
func TestAPersonSignsIn(t *testing.T) {
	e := newEntrance(t, "group:admins=admin; email:"+peopletest.Email+"=operator@web; *=viewer")
	before, _ := e.store.Wait()
	browser := peopletest.Browser(t, e.url+"/jobs/")
	end, body := peopletest.SignIn(t, browser, e.url+"/login/oidc?to=/jobs/7f3k9qd2")
	if end.StatusCode != http.StatusSeeOther || end.Header.Get("Location") != "/jobs/7f3k9qd2" {
		t.Fatalf("it ends at %d %q: %s", end.StatusCode, end.Header, body)
	}
	for _, c := range end.Cookies() {
		if strings.HasPrefix(c.Name, "hodei_session") && (!c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.MaxAge != int(SessionLife/time.Second)) {
			t.Errorf("the session's cookie is %v", c)
		}
	}
	status, who := e.whoami(browser)
	if status != 200 || who.Name != peopletest.Email || who.Role != "operator" || who.Namespace != "web" || who.Expires == nil {
		t.Errorf("they are %d %+v", status, who)
	}
	records, _, err := e.store.ReadAll(t.Context(), nil, before+1, 10, eventstore.Filter{})
	if err != nil || len(records) != 1 || records[0].Type != "TokenCreated" {
		t.Fatalf("it recorded %v, %v", records, err)
	}
	if r := records[0]; bytes.Contains(r.Data, []byte("zitadel")) || bytes.Contains(r.Metadata, []byte("zitadel")) {
		t.Errorf("the log has a name: %q %q", r.Data, r.Metadata)
	}
	again := people.NewNames()
	again.Decode(e.names.Encode())
	if row, _ := e.runner.World().Access.ByHash(sessionHash(t, e.site, browser, e.url)); again.Shown(row.Name) != peopletest.Email {
		t.Errorf("after a restart they are called %s", again.Shown(row.Name))
	}
}

// sessionHash is the hash of the token in a browser's session.
func sessionHash(t *testing.T, s *site, browser *http.Client, at string) [32]byte {
	t.Helper()
	u, _ := url.Parse(at)
	for _, c := range browser.Jar.Cookies(u) {
		if strings.HasPrefix(c.Name, "hodei_session") {
			return must(t, s, c.Value)
		}
	}
	t.Fatal("there is no session")
	return [32]byte{}
}

func TestWhoNoRuleLetsInIsRefused(t *testing.T) {
	for _, rules := range []string{"group:admins=admin", "email:other@zitadel.ch=admin", "domain:ch=admin; domain:xzitadel.ch=admin", "*=admin@nowhere"} {
		e := newEntrance(t, rules)
		before, _ := e.store.Wait()
		browser := peopletest.Browser(t, "")
		end, body := peopletest.SignIn(t, browser, e.url+"/login/oidc")
		after, _ := e.store.Wait()
		if status, _ := e.whoami(browser); end.StatusCode != http.StatusForbidden || status != http.StatusUnauthorized || after != before {
			t.Errorf("%s: %d, then %d, %d events: %s", rules, end.StatusCode, status, after-before, body)
		}
	}
}

// What a browser has not begun it can't finish: not without its cookie, not with
// another's, not a second time, and not too late.
func TestASignInIsOfTheBrowserThatBeganIt(t *testing.T) {
	e := newEntrance(t, "*=viewer")
	callback := e.url + "/login/oidc/callback"
	come := func(browser *http.Client, page string) int {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, page, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := browser.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	for name, change := range map[string]func(victim, attacker *http.Client, page string) (*http.Client, string){
		"without a cookie": func(_, _ *http.Client, page string) (*http.Client, string) { return peopletest.Browser(t, ""), page },
		"with the cookie of another sign-in": func(_, attacker *http.Client, page string) (*http.Client, string) {
			return attacker, page
		},
		"with another state": func(victim, _ *http.Client, page string) (*http.Client, string) {
			return victim, strings.Replace(page, "state=", "state=X", 1)
		},
		"with another code": func(victim, _ *http.Client, page string) (*http.Client, string) {
			return victim, strings.Replace(page, "code=", "code=X", 1)
		},
	} {
		victim, page := begun(t, e, callback)
		attacker, _ := begun(t, e, callback)
		browser, page := change(victim, attacker, page)
		browser.CheckRedirect = nil
		if status := come(browser, page); status != http.StatusForbidden {
			t.Errorf("%s: %d", name, status)
		}
	}
	browser, page := begun(t, e, callback)
	browser.CheckRedirect = nil
	if status := come(browser, page); status != http.StatusNoContent {
		t.Errorf("as it was begun: %d", status)
	}
	if status := come(browser, page); status != http.StatusForbidden {
		t.Errorf("a second time: %d", status)
	}
	browser, page = begun(t, e, callback)
	browser.CheckRedirect = nil
	e.now = func() time.Time { return time.Now().Add(people.PendingLife) }
	if status := come(browser, page); status != http.StatusForbidden {
		t.Errorf("too late: %d", status)
	}
}

// begun is a browser that has signed in at the provider and is about to come back.
func begun(t *testing.T, e *entrance, callback string) (*http.Client, string) {
	t.Helper()
	browser := peopletest.Browser(t, callback)
	end, body := peopletest.SignIn(t, browser, e.url+"/login/oidc?to=/livez")
	if page := end.Header.Get("Location"); strings.HasPrefix(page, callback) {
		return browser, page
	}
	t.Fatalf("it ends at %d: %s", end.StatusCode, body)
	return nil, ""
}

// A command line gets its session by a code that the browser brings, once, and
// only with what it made its challenge from.
func TestASessionForACommandLine(t *testing.T) {
	e := newEntrance(t, "domain:zitadel.ch=submitter@web")
	const verifier = "a verifier that nobody guesses"
	sum := sha256.Sum256([]byte(verifier))
	page := e.url + "/login/oidc?port=7&challenge=" + base64.RawURLEncoding.EncodeToString(sum[:])
	code := func() string {
		t.Helper()
		end, body := peopletest.SignIn(t, peopletest.Browser(t, "http://127.0.0.1:7/"), page)
		u, err := url.Parse(end.Header.Get("Location"))
		if err != nil || u.Host != "127.0.0.1:7" || u.Query().Get("code") == "" {
			t.Fatalf("it ends at %d %s: %s", end.StatusCode, u, body)
		}
		for _, c := range end.Cookies() {
			if strings.HasPrefix(c.Name, "hodei_session") {
				t.Error("the browser has a session too")
			}
		}
		return u.Query().Get("code")
	}
	trade := func(code, verifier string) (status int, session wire.PersonalSession) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.url+"/login/oidc/token", strings.NewReader(`{"code":"`+code+`","verifier":"`+verifier+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if err := json.NewDecoder(resp.Body).Decode(&session); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, session
	}
	one := code()
	status, session := trade(one, verifier)
	if status != http.StatusCreated || session.Name != peopletest.Email || session.Role != "submitter" || session.Namespace != "web" {
		t.Errorf("it is answered %d %+v", status, session)
	}
	if j := e.submit(e.client(session.Plain), `{"command":"true"}`); j.Namespace != "web" {
		t.Errorf("its job is in %s", j.Namespace)
	}
	if status, _ := trade(one, verifier); status != http.StatusUnauthorized {
		t.Errorf("the same code again: %d", status)
	}
	two := code()
	if status, _ := trade(two, "another"); status != http.StatusUnauthorized {
		t.Errorf("with another verifier: %d", status)
	}
	if status, _ := trade(two, verifier); status != http.StatusUnauthorized {
		t.Errorf("and then with its own: %d", status)
	}
	for _, wrong := range []string{"port=0&challenge=x", "port=70000", "port=7&challenge=short", "port=evil.example"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, e.url+"/login/oidc?"+wrong, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d", wrong, resp.StatusCode)
		}
	}
}

// Behind a proxy with TLS no session's cookie goes out in the clear.
func TestCookiesBehindTLS(t *testing.T) {
	s := newSite(t)
	for public, want := range map[string]bool{"https://h": true, "http://127.0.0.1:8080": false} {
		parts := s.server.Config
		parts.People = people.New(people.Config{RedirectURL: public + "/login/oidc/callback"})
		handler, _ := New(parts, s.stop)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/session", strings.NewReader("{}"))
		r.Header.Set("Authorization", "Bearer "+s.token("*", token.Viewer))
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if cookies := w.Result().Cookies(); len(cookies) != 1 || cookies[0].Secure != want {
			t.Errorf("at %s: %d, %v", public, w.Code, cookies)
		}
	}
}
