package people

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/fault"
)

// liar is a provider that says what a test wants it to.
type liar struct {
	*httptest.Server
	key    *rsa.PrivateKey
	status int            // of the token's answer
	claims map[string]any // of the next token
	alg    string
	signer *rsa.PrivateKey
	info   map[string]any // what more it says
}

func newLiar(t *testing.T) *liar {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	l := &liar{key: key}
	mux := http.NewServeMux()
	say := func(path string, what func() any) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if path == "/token" {
				w.WriteHeader(l.status)
			}
			_ = json.NewEncoder(w).Encode(what())
		})
	}
	say("/.well-known/openid-configuration", func() any {
		return map[string]any{"issuer": l.URL, "authorization_endpoint": l.URL + "/auth", "token_endpoint": l.URL + "/token", "userinfo_endpoint": l.URL + "/info", "jwks_uri": l.URL + "/keys"}
	})
	say("/keys", func() any {
		return map[string]any{"keys": []any{map[string]any{"kty": "RSA", "kid": "1", "alg": "RS256", "use": "sig",
			"n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()), "e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes())}}}
	})
	say("/token", func() any {
		return map[string]any{"access_token": "x", "token_type": "Bearer", "id_token": l.token()}
	})
	say("/info", func() any { return l.info })
	l.Server = httptest.NewServer(mux)
	t.Cleanup(l.Close)
	return l
}

// token is the claims, signed as they are to be.
func (l *liar) token() string {
	part := func(v any) string {
		b, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(b)
	}
	text := part(map[string]any{"alg": l.alg, "kid": "1"}) + "." + part(l.claims)
	if l.alg == "none" {
		return text + "."
	}
	sum := sha256.Sum256([]byte(text))
	signature, _ := rsa.SignPKCS1v15(rand.Reader, l.signer, crypto.SHA256, sum[:])
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// What a provider says counts only if it is for this server and this sign-in, is
// signed by the provider, and is of now.
func TestWhatAProviderSaysIsChecked(t *testing.T) {
	l := newLiar(t)
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rules, _ := ParseRules("group:admins=admin; *=viewer")
	for _, row := range []struct {
		name   string
		change func()
		kind   fault.Kind // 0: signed in
		role   string
	}{
		{"as it should be", func() {}, 0, "viewer"},
		{"groups in the second answer", func() { l.info = map[string]any{"sub": "42", "groups": []string{"admins"}} }, 0, "admin"},
		{"groups of somebody else in the second answer", func() { l.info = map[string]any{"sub": "43", "groups": []string{"admins"}} }, 0, "viewer"},
		{"for another sign-in", func() { l.claims["nonce"] = "another" }, fault.Forbidden, ""},
		{"without a nonce", func() { delete(l.claims, "nonce") }, fault.Forbidden, ""},
		{"for another server", func() { l.claims["aud"] = "another" }, fault.Forbidden, ""},
		{"of another provider", func() { l.claims["iss"] = "https://another.example.com" }, fault.Forbidden, ""},
		{"of before", func() { l.claims["exp"] = time.Now().Add(-time.Minute).Unix() }, fault.Forbidden, ""},
		{"not signed", func() { l.alg = "none" }, fault.Forbidden, ""},
		{"signed by somebody else", func() { l.signer = stranger }, fault.Forbidden, ""},
		{"a code that it does not take", func() { l.status = http.StatusBadRequest }, fault.Forbidden, ""},
		{"a fault of its own", func() { l.status = http.StatusBadGateway }, fault.Unavailable, ""},
	} {
		p := New(Config{Issuer: l.URL, ClientID: "c", RedirectURL: "https://h/cb", Rules: rules, Key: []byte("k"), Clock: time.Now})
		page, cookie, err := p.Begin(t.Context(), "/on")
		if err != nil {
			t.Fatal(err)
		}
		u, _ := url.Parse(page)
		l.status, l.alg, l.signer, l.info = http.StatusOK, "RS256", l.key, map[string]any{"sub": "42"}
		l.claims = map[string]any{"iss": l.URL, "sub": "42", "aud": "c", "nonce": u.Query().Get("nonce"), "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix()}
		row.change()
		person, to, err := p.Finish(t.Context(), cookie, url.Values{"state": {u.Query().Get("state")}, "code": {"x"}})
		var f *fault.Error
		switch {
		case row.role == "" && (!errors.As(err, &f) || f.Kind != row.kind || person != nil):
			t.Errorf("%s: %+v, %v", row.name, person, err)
		case row.role != "" && (err != nil || person.Role.String() != row.role || to != "/on"):
			t.Errorf("%s: %+v, %q, %v", row.name, person, to, err)
		}
	}
}
