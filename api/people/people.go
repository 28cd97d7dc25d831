// Package people lets people sign in by OpenID Connect, and says what each may do.
//
//	browser ── Begin ──▶ provider ──▶ Finish ──▶ Person ── rules ──▶ role, namespace
//	          cookie                  cookie
//
// The code flow with PKCE. State, nonce and verifier are in the browser's own
// cookie, signed, so that nothing is kept for those who never come back, and what a
// browser has not begun it can't finish.
package people

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/aggregates/token"
)

// Limits of signing in.
const (
	PendingLife  = 10 * time.Minute // from going to the provider to coming back
	askLimit     = 20 * time.Second // for the provider to answer
	maxPending   = 4096             // bytes of the cookie
	maxReturning = 1024             // bytes of where to go on
)

// Config is how to reach the provider and what its people may do.
type Config struct {
	Issuer       string // URL, as in its tokens
	ClientID     string
	ClientSecret string // empty for a public client
	RedirectURL  string // of Finish, as it is registered at the provider
	Rules        []Rule // the first that applies counts
	Key          []byte // 32 random bytes: signs cookies, and hides in the log who somebody is
	Clock        func() time.Time
	HTTP         *http.Client // nil is the default one
}

// Person is somebody who has signed in.
type Person struct {
	Key       string // stands for issuer and subject
	Name      string // address, or else the provider's id of it
	Role      token.Role
	Namespace string
}

// Pending is a sign-in that was begun.
type Pending struct {
	State    string `json:"s"`
	Nonce    string `json:"n"`
	Verifier string `json:"v"`
	Expires  int64  `json:"e"` // seconds since 1970
	To       string `json:"t"` // where to go on, of the caller
}

// Provider is an OpenID provider. All methods are safe for concurrent use.
type Provider struct {
	c Config

	mu    sync.Mutex
	found *oidc.Provider // guarded by mu; nil until it has answered
}

// New returns a provider. It is asked nothing yet: one that is away stops nobody
// from starting.
func New(c Config) *Provider {
	p := &Provider{c: c}
	if p.c.HTTP == nil {
		p.c.HTTP = &http.Client{Timeout: askLimit}
	}
	return p
}

// Secure says whether browsers come by TLS.
func (p *Provider) Secure() bool { return strings.HasPrefix(p.c.RedirectURL, "https://") }

// Path is the one of RedirectURL.
func (p *Provider) Path() string {
	u, err := url.Parse(p.c.RedirectURL)
	if err != nil {
		return ""
	}
	return u.Path
}

// discover asks the provider where it is asked what, once it answers.
func (p *Provider) discover(ctx context.Context) (*oidc.Provider, *oauth2.Config, error) {
	p.mu.Lock()
	found := p.found
	p.mu.Unlock()
	if found == nil {
		var err error
		// Its keys are asked for with this context, long after this request.
		if found, err = oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), p.c.HTTP), p.c.Issuer); err != nil {
			return nil, nil, unavailable(err)
		}
		p.mu.Lock()
		p.found = found
		p.mu.Unlock()
	}
	return found, &oauth2.Config{ClientID: p.c.ClientID, ClientSecret: p.c.ClientSecret, Endpoint: found.Endpoint(),
		RedirectURL: p.c.RedirectURL, Scopes: scopes(found)}, nil
}

// scopes are what is asked for; groups only of providers that know them.
func scopes(found *oidc.Provider) []string {
	var known struct {
		Scopes []string `json:"scopes_supported"`
	}
	out := []string{oidc.ScopeOpenID, "email", "profile"}
	if found.Claims(&known) == nil {
		for _, s := range known.Scopes {
			if s == "groups" {
				out = append(out, s)
			}
		}
	}
	return out
}

// Begin returns the provider's page for somebody to sign in, and a cookie's value
// that Finish must be given. to is where to go on then.
func (p *Provider) Begin(ctx context.Context, to string) (page, cookie string, err error) {
	if len(to) > maxReturning {
		return "", "", fault.Malformed("sign in", "", fault.Field{Location: "to", Message: fmt.Sprintf("it has %d bytes, at most %d may be", len(to), maxReturning)})
	}
	_, c, err := p.discover(ctx)
	if err != nil {
		return "", "", err
	}
	one := Pending{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Expires: p.c.Clock().Add(PendingLife).Unix(), To: to}
	if cookie, err = p.seal(&one); err != nil {
		return "", "", err
	}
	return c.AuthCodeURL(one.State, oidc.Nonce(one.Nonce), oauth2.S256ChallengeOption(one.Verifier)), cookie, nil
}

// Finish finds out who has come back from the provider with a query, and where to
// go on.
func (p *Provider) Finish(ctx context.Context, cookie string, query url.Values) (*Person, string, error) {
	one, ok := p.open(cookie)
	if !ok || subtle.ConstantTimeCompare([]byte(one.State), []byte(query.Get("state"))) != 1 {
		return nil, "", denied("this sign-in was not begun here, or took more than %s", PendingLife)
	}
	if reason := query.Get("error"); reason != "" {
		return nil, "", denied("the provider says %.200q", strings.TrimSpace(reason+" "+query.Get("error_description")))
	}
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, p.c.HTTP), askLimit)
	defer cancel()
	found, c, err := p.discover(ctx)
	if err != nil {
		return nil, "", err
	}
	said, err := p.ask(ctx, found, c, one, query.Get("code"))
	if err != nil {
		return nil, "", err
	}
	person, err := p.person(said)
	return person, one.To, err
}

// ask trades the code for what the provider says of somebody.
func (p *Provider) ask(ctx context.Context, found *oidc.Provider, c *oauth2.Config, one *Pending, code string) (*claims, error) {
	tokens, err := c.Exchange(ctx, code, oauth2.VerifierOption(one.Verifier))
	if err != nil {
		var refused *oauth2.RetrieveError
		if errors.As(err, &refused) && refused.Response != nil && refused.Response.StatusCode < 500 {
			return nil, denied("the provider does not take its code: %.200q", refused.ErrorCode)
		}
		return nil, unavailable(err)
	}
	raw, _ := tokens.Extra("id_token").(string)
	verified, err := found.Verifier(&oidc.Config{ClientID: p.c.ClientID, Now: p.c.Clock}).Verify(ctx, raw)
	if err != nil {
		return nil, denied("the provider's answer is not valid: %.200q", err.Error())
	}
	said := new(claims)
	if err := verified.Claims(said); err != nil {
		return nil, denied("the provider's answer can't be read")
	}
	if subtle.ConstantTimeCompare([]byte(verified.Nonce), []byte(one.Nonce)) != 1 {
		return nil, denied("the provider's answer is for another sign-in")
	}
	if (said.Email == "" || said.Groups == nil) && found.UserInfoEndpoint() != "" {
		p.askMore(ctx, found, tokens, said)
	}
	return said, nil
}

// askMore adds what only the provider's second answer says. That it can't be had
// is no fault: then it says nothing more.
func (p *Provider) askMore(ctx context.Context, found *oidc.Provider, tokens *oauth2.Token, said *claims) {
	info, err := found.UserInfo(ctx, oauth2.StaticTokenSource(tokens))
	if err != nil {
		return
	}
	more := new(claims)
	if info.Claims(more) != nil || more.Subject != said.Subject { // it must be of the same person
		return
	}
	if said.Email == "" {
		said.Email, said.Verified = more.Email, more.Verified
	}
	if said.Groups == nil {
		said.Groups = more.Groups
	}
}

// person is what the rules make of somebody.
func (p *Provider) person(said *claims) (*Person, error) {
	name := said.Email
	if name == "" || !bool(said.Verified) {
		name = said.Subject
	}
	for _, r := range p.c.Rules {
		if r.applies(said) {
			return &Person{Key: base64.RawURLEncoding.EncodeToString(p.sign("person", []byte(p.c.Issuer+"\x00"+said.Subject))), Name: name, Role: r.Role, Namespace: r.Namespace}, nil
		}
	}
	return nil, &fault.Error{Kind: fault.Forbidden, Op: "sign in", Subject: fmt.Sprintf("%.200q", name), Reason: "no rule of this server lets them in",
		Help: "an admin adds one: --oidc-roles"}
}

// seal writes a pending sign-in as a cookie's value, signed.
func (p *Provider) seal(one *Pending) (string, error) {
	b, err := json.Marshal(one)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(append(p.sign("pending", b), b...)), nil
}

// open reads what seal wrote, if it was this process and is not too old.
func (p *Provider) open(cookie string) (*Pending, bool) {
	b, err := base64.RawURLEncoding.DecodeString(cookie)
	if err != nil || len(cookie) > maxPending || len(b) < sha256.Size || !hmac.Equal(b[:sha256.Size], p.sign("pending", b[sha256.Size:])) {
		return nil, false
	}
	one := new(Pending)
	if json.Unmarshal(b[sha256.Size:], one) != nil || one.State == "" || p.c.Clock().Unix() >= one.Expires {
		return nil, false
	}
	return one, true
}

// sign signs bytes for one use, which no signature for another passes as.
func (p *Provider) sign(use string, b []byte) []byte {
	h := hmac.New(sha256.New, p.c.Key)
	h.Write([]byte(use + "\x00"))
	h.Write(b)
	return h.Sum(nil)
}

func denied(format string, args ...any) error {
	return &fault.Error{Kind: fault.Forbidden, Op: "sign in", Reason: fmt.Sprintf(format, args...), Help: "begin again: /login/oidc"}
}

func unavailable(err error) error {
	return &fault.Error{Kind: fault.Unavailable, Op: "sign in", Reason: fmt.Sprintf("the provider does not answer: %.200s", err)}
}
