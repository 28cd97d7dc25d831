package people

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/fault"
)

// What rules make of what a provider says; the first that applies counts.
func TestRules(t *testing.T) {
	const rules = "group:cn=ops,dc=x=admin; email:Ana@Example.com=operator@web; domain:example.com=viewer"
	for said, want := range map[string]string{
		`{"sub":"1","groups":["dev","cn=ops,dc=x"]}`:                                             "admin *",
		`{"sub":"1","groups":"cn=ops,dc=x","email":"ana@example.com","email_verified":true}`:     "admin *",
		`{"sub":"1","email":"ana@EXAMPLE.com","email_verified":"true"}`:                          "operator web",
		`{"sub":"1","email":"bob@example.com","email_verified":true,"groups":null}`:              "viewer *",
		`{"sub":"1","email":"ana@example.com"}`:                                                  "", // not verified
		`{"sub":"1","email":"ana@example.com","email_verified":"false","groups":{"a":"admins"}}`: "",
		`{"sub":"1","email":"bob@sub.example.com","email_verified":true}`:                        "",
		`{"sub":"1","email":"bob@example.com@evil.org","email_verified":true}`:                   "",
		`{"sub":"1","email":"example.com","email_verified":true}`:                                "",
		`{"sub":"1","groups":["CN=ops,dc=x"," cn=ops,dc=x"]}`:                                    "",
	} {
		parsed, err := ParseRules(rules)
		if err != nil {
			t.Fatal(err)
		}
		c := new(claims)
		if err := json.Unmarshal([]byte(said), c); err != nil {
			t.Errorf("%s: %v", said, err)
			continue
		}
		got := ""
		if person, err := New(Config{Rules: parsed}).person(c); err == nil {
			got = person.Role.String() + " " + person.Namespace
		}
		if got != want {
			t.Errorf("%s is %q, want %q", said, got, want)
		}
	}
}

func TestWrongRules(t *testing.T) {
	for text, want := range map[string]string{
		"": "no rule", " ; ": "no rule", "admins": "no =ROLE", "group:a=root": "not a role", "group:=admin": "nobody", "admins=admin": "nobody",
		"user:a=admin": "nobody", "*=viewer@No": "may be", "*=viewer@": "may be", "group:a=viewer;*=": "not a role",
		strings.Repeat("*=viewer;", MaxRules+1): "more than",
	} {
		if _, err := ParseRules(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %s", text, err, want)
		}
	}
}

// A name without a verified address is not taken from what anybody could claim.
func TestANameIsVerified(t *testing.T) {
	rules, _ := ParseRules("*=viewer")
	p := New(Config{Rules: rules, Issuer: "https://a", Key: []byte("k")})
	one, _ := p.person(&claims{Subject: "42", Email: "boss@example.com"})
	two, _ := p.person(&claims{Subject: "42", Email: "ana@example.com", Verified: true})
	if one.Name != "42" || two.Name != "ana@example.com" || one.Key != two.Key {
		t.Errorf("they are %+v and %+v", one, two)
	}
	other, _ := New(Config{Rules: rules, Issuer: "https://a", Key: []byte("another")}).person(&claims{Subject: "42"})
	if other.Key == one.Key || strings.Contains(one.Key, "42") {
		t.Errorf("who it is can be guessed: %s", one.Key)
	}
}

// The cookie of a pending sign-in is good as it was made, and for its time.
func TestACookieThatWasChanged(t *testing.T) {
	now := time.Unix(1e9, 0)
	p := New(Config{Key: []byte("k"), Clock: func() time.Time { return now }})
	cookie, err := p.seal(&Pending{State: "s", Nonce: "n", Verifier: "v", To: "/", Expires: now.Add(time.Minute).Unix()})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := p.open(cookie); !ok {
		t.Error("it is not good as it was made")
	}
	if _, ok := New(Config{Key: []byte("x"), Clock: p.c.Clock}).open(cookie); ok {
		t.Error("another server's is taken")
	}
	for i := range len(cookie) - 1 { // the last character has bits that say nothing
		changed := []byte(cookie)
		changed[i] ^= 1
		if _, ok := p.open(string(changed)); ok {
			t.Errorf("it is good with another character %d", i)
		}
	}
	now = now.Add(time.Minute)
	if _, ok := p.open(cookie); ok {
		t.Error("it is good for ever")
	}
}

// A provider that is away stops nobody from starting, is told of, and is asked
// again.
func TestAProviderThatIsAway(t *testing.T) {
	here := false
	var web *httptest.Server
	web = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !here {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": web.URL, "authorization_endpoint": web.URL + "/auth", "token_endpoint": web.URL + "/token",
			"jwks_uri": web.URL + "/keys", "scopes_supported": []string{"openid", "groups"}, "id_token_signing_alg_values_supported": []string{"RS256"}})
	}))
	defer web.Close()
	p := New(Config{Issuer: web.URL, ClientID: "c", RedirectURL: "https://h/cb", Key: []byte("k"), Clock: time.Now})
	_, _, err := p.Begin(t.Context(), "/")
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.Unavailable {
		t.Errorf("away: %v", err)
	}
	here = true
	first, cancel := context.WithCancel(t.Context())
	page, _, err := p.Begin(first, "/")
	cancel()
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(page)
	if q := u.Query(); q.Get("code_challenge_method") != "S256" || q.Get("nonce") == "" || q.Get("state") == "" || q.Get("scope") != "openid email profile groups" || q.Get("redirect_uri") != "https://h/cb" {
		t.Errorf("it is asked %s", page)
	}
	if _, _, err := p.Begin(t.Context(), strings.Repeat("x", maxReturning+1)); !errors.As(err, &f) || f.Kind != fault.Invalid {
		t.Errorf("a place too long: %v", err)
	}
}

func TestNames(t *testing.T) {
	n, again := NewNames(), NewNames()
	p := &Person{Key: "abc", Name: "ana@example.com"}
	if !n.Set(p) || n.Set(p) {
		t.Error("what is new is told wrong")
	}
	again.Decode(append([]byte("\nnonsense\nx y\n"), n.Encode()...))
	for text, want := range map[string]string{TokenName(p): p.Name, "browser, for " + TokenName(p): "browser, for " + p.Name, "ci": "ci", "person other": "person other"} {
		if got := again.Shown(text); got != want {
			t.Errorf("%q is shown as %q", text, got)
		}
	}
}
