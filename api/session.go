package api

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/commands"
)

// Limits of signing in with a browser.
const (
	SessionLife = 12 * time.Hour   // of a browser's session; less if its token ends before
	LinkLife    = 10 * time.Minute // of a link that signs in
	maxLinks    = 1000             // open at once
)

// sessionHeader is what a browser sends with a request that changes something: no
// form and no link of another site can.
const sessionHeader = "X-Hodei-Request"

// Links are open one-time links, each of which signs one browser in. They are
// kept in memory: a restart closes them. All methods are safe for concurrent use.
type Links struct {
	clock func() time.Time

	mu   sync.Mutex
	open map[[sha256.Size]byte]link // by the hash of its code; guarded by mu
}

type link struct {
	token   [sha256.Size]byte // hash of the one that it stands for
	expires time.Time
}

// NewLinks returns no links.
func NewLinks(clock func() time.Time) *Links {
	return &Links{clock: clock, open: map[[sha256.Size]byte]link{}}
}

// Mint makes a link's path for the token with that hash: who opens it within
// LinkLife gets a session with that token's rights.
func (l *Links) Mint(token [sha256.Size]byte) (path string, expires time.Time, err error) {
	code := rand.Text()
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock()
	for hash, one := range l.open {
		if !one.expires.After(now) {
			delete(l.open, hash)
		}
	}
	if len(l.open) >= maxLinks {
		p := wire.NewProblem(http.StatusTooManyRequests, "busy", "too many links to sign in are open")
		p.Help = "try again when some have expired"
		return "", time.Time{}, p
	}
	expires = now.Add(LinkLife)
	l.open[sha256.Sum256([]byte(code))] = link{token, expires}
	return "/login?once=" + code, expires, nil
}

// take closes a link and returns the token it stands for.
func (l *Links) take(code string) (token [sha256.Size]byte, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	hash := sha256.Sum256([]byte(code))
	one, ok := l.open[hash]
	delete(l.open, hash)
	return one.token, ok && one.expires.After(l.clock())
}

type sessionInput struct {
	Body *struct {
		Hours int `json:"hours,omitempty" minimum:"1" maximum:"12" doc:"How long the session lasts at most; 12 if absent"`
	}
}

type linkInput struct {
	Body *struct {
		To string `json:"to,omitempty" maxLength:"1024" doc:"The page it leads to, a path of this server" example:"/jobs/7f3k9qd2"`
	}
}

// empty is a body in which nothing may be said.
type empty struct{}

type sessionOutput struct {
	SetCookie http.Cookie `header:"Set-Cookie"`
}

type linkOutput struct{ Body *wire.Link }

type whoamiOutput struct{ Body *wire.Whoami }

func (s *server) sessions(e *echo.Echo, api huma.API) {
	register(s, api, needs(token.Viewer, huma.Operation{
		OperationID: "getWhoami", Method: http.MethodGet, Path: "/v1/whoami", Tags: []string{"access"},
		Summary: "Say whose the token is, and what it may do",
	}), s.whoami)
	register(s, api, needs(token.Viewer, huma.Operation{
		OperationID: "createSession", Method: http.MethodPost, Path: "/v1/session", Tags: []string{"access"}, DefaultStatus: http.StatusNoContent,
		Summary:     "Sign a browser in",
		Description: "Sets a cookie that stands for a token of its own, with the rights of the one that is sent, for 12 hours. A browser sends the header " + sessionHeader + " with what changes something.",
		Errors:      bodyErrors, MaxBodyBytes: maxBody, BodyReadTimeout: bodyTimeout,
	}), s.createSession)
	register(s, api, needs(token.Viewer, huma.Operation{
		OperationID: "deleteSession", Method: http.MethodDelete, Path: "/v1/session", Tags: []string{"access"}, DefaultStatus: http.StatusNoContent,
		Summary:     "Sign out",
		Description: "Ends a browser's session. A token that is sent as such stays, unless revoke says otherwise.",
		Errors:      []int{http.StatusUnprocessableEntity, http.StatusServiceUnavailable},
	}), s.deleteSession)
	register(s, api, needs(token.Viewer, huma.Operation{
		OperationID: "createSessionLink", Method: http.MethodPost, Path: "/v1/session/links", Tags: []string{"access"}, DefaultStatus: http.StatusCreated,
		Summary:     "Make a link that signs one browser in, once",
		Description: "It is good for 10 minutes and gives the rights of the token that is sent.",
		Errors:      bodyErrors, MaxBodyBytes: maxBody, BodyReadTimeout: bodyTimeout,
	}), s.createLink)
	e.GET("/login", s.login)
}

func (s *server) whoami(ctx context.Context, _ *struct{}) (*whoamiOutput, error) {
	t, ok := s.Runner.World().Access.ByHash(who(ctx).hash)
	if !ok {
		return nil, unauthenticated("the token is gone")
	}
	out := &wire.Whoami{ID: t.ID.String(), Name: s.called(t.Name), Namespace: t.Namespace, Role: t.Role.String(), Version: s.Version}
	if t.Lifetime > 0 {
		out.Expires = instantOrNone(t.Created + t.Lifetime)
	}
	return &whoamiOutput{out}, nil
}

func (s *server) createSession(ctx context.Context, in *sessionInput) (*sessionOutput, error) {
	p, life := who(ctx), SessionLife
	if in.Body != nil && in.Body.Hours > 0 {
		life = time.Duration(in.Body.Hours) * time.Hour
	}
	cookie, err := s.session(ctx, p.caller(), grant{p.hash, life, p.host, p.secure})
	if err != nil {
		return nil, err
	}
	return &sessionOutput{*cookie}, nil
}

type deleteSessionInput struct {
	Revoke bool `query:"revoke" doc:"Revoke the token that is sent, as the session of a command line"`
}

func (s *server) deleteSession(ctx context.Context, in *deleteSessionInput) (*sessionOutput, error) {
	p := who(ctx)
	if p.session || in.Revoke { // a token that was sent as such stays, unless it is to go
		i, err := id.Parse(p.actor)
		if err != nil {
			return nil, err
		}
		if _, err := s.Commands.RevokeToken(ctx, p.caller(), i, "signed out"); err != nil {
			return nil, err
		}
	}
	return &sessionOutput{http.Cookie{Name: cookieName(p.host), Path: "/", MaxAge: -1, Secure: p.secure, HttpOnly: true, SameSite: http.SameSiteStrictMode}}, nil
}

func (s *server) createLink(ctx context.Context, in *linkInput) (*linkOutput, error) {
	to := ""
	if in.Body != nil && in.Body.To != "" {
		if to = in.Body.To; within(to) != to {
			return nil, invalid("body.to", "it is not a path of this server such as /jobs", to)
		}
		to = "&to=" + url.QueryEscape(to)
	}
	path, expires, err := s.Links.Mint(who(ctx).hash)
	if err != nil {
		return nil, err
	}
	path += to
	return &linkOutput{&wire.Link{Path: path, Expires: expires}}, nil
}

// login opens a link. Whatever comes of it, the browser goes on to the dashboard,
// which asks who has no session to sign in.
func (s *server) login(c echo.Context) error {
	c.Response().Header().Set("Cache-Control", "no-store")
	if hash, ok := s.Links.take(c.QueryParam("once")); ok {
		if err := s.signIn(c, hash); err != nil {
			return s.answer(err)
		}
	}
	return c.Redirect(http.StatusSeeOther, within(c.QueryParam("to")))
}

// signIn gives a browser a session with the rights of a token.
func (s *server) signIn(c echo.Context, hash [sha256.Size]byte) error {
	p := &principal{hash: hash, host: c.Request().Host, secure: c.IsTLS()}
	_, _ = rand.Read(p.request[:]) // never fails
	if !s.known(p) {
		return unauthenticated("the token that this session is for has ended")
	}
	cookie, err := s.session(c.Request().Context(), commands.Caller{Actor: p.actor, Source: "login", RequestID: p.request}, grant{hash, SessionLife, p.host, p.secure})
	if err != nil {
		return err
	}
	c.SetCookie(cookie)
	r := c.Request()
	s.tell(r.Context(), p, origin(r.RemoteAddr, r.Header.Get("X-Forwarded-For")), r.Method, r.URL.Path, http.StatusSeeOther)
	return nil
}

// within is a path of this site, the first page unless it is one.
func within(path string) string {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n\t") {
		return "/"
	}
	return path
}

// grant is a session to be: for the token with that hash, at most so long, in a
// browser that asked a host, maybe over TLS.
type grant struct {
	token  [sha256.Size]byte
	life   time.Duration
	host   string
	secure bool
}

// session makes a token for a browser, with the rights of another one.
func (s *server) session(ctx context.Context, c commands.Caller, g grant) (*http.Cookie, error) {
	t, ok := s.Runner.World().Access.ByHash(g.token)
	now := s.Clock()
	if !ok || !t.Valid(now.UnixNano()) {
		return nil, unauthenticated("the token that this session is for has ended")
	}
	g.secure = g.secure || s.People != nil && s.People.Secure() // the proxy in front has TLS
	life := g.life
	if t.Lifetime > 0 {
		life = min(life, time.Duration(t.Created+t.Lifetime-now.UnixNano()))
	}
	plain, _, err := s.Commands.CreateToken(ctx, c, token.Create{Name: "browser, for " + t.Name, Namespace: t.Namespace, Role: t.Role, Lifetime: life})
	if err != nil {
		return nil, err
	}
	return &http.Cookie{Name: cookieName(g.host), Value: plain, Path: "/", MaxAge: int(life / time.Second), Secure: g.secure, HttpOnly: true, SameSite: http.SameSiteStrictMode}, nil
}

// cookieName is that of a session's cookie. Cookies don't tell the ports of a host
// apart, so its name does: several servers on one machine don't sign each other's
// browsers out.
func cookieName(host string) string {
	if _, port, err := net.SplitHostPort(host); err == nil && port != "" {
		return "hodei_session_" + port
	}
	return "hodei_session"
}
