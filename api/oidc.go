package api

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/people"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/commands"
)

// People sign in at a provider: a browser for itself, or for a command line on the
// same machine. That one listens on a loopback port, to which the browser brings a
// code; only who made the challenge that the browser began with can use it.

const (
	codeLife = time.Minute // of a code for a command line
	maxCodes = 1000        // open at once

	challengeLength = 43 // of a SHA-256 in base64
	pendingCookie   = "hodei_sign_in"
)

// codes are those that browsers have brought to command lines and that were not
// used yet.
type codes struct {
	mu   sync.Mutex
	open map[string]code // guarded by mu
}

type code struct {
	person    *people.Person
	challenge string
	expires   time.Time
}

// signInRoutes are those of the provider, if there is one.
func (s *server) signInRoutes(e *echo.Echo) {
	if s.People == nil {
		return
	}
	e.GET("/login/oidc", s.goToProvider)
	e.GET(s.People.Path(), s.comeBack)
	e.POST("/login/oidc/token", s.takeCode)
}

// goToProvider sends a browser to the provider. It says where to go on by to, or
// that a command line waits by port and challenge.
func (s *server) goToProvider(c echo.Context) error {
	c.Response().Header().Set("Cache-Control", "no-store")
	to := within(c.QueryParam("to"))
	if port := c.QueryParam("port"); port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return s.answer(invalid("query.port", "it is not a port", port))
		}
		challenge := c.QueryParam("challenge")
		if b, err := base64.RawURLEncoding.DecodeString(challenge); err != nil || len(b) != sha256.Size || len(challenge) != challengeLength {
			return s.answer(invalid("query.challenge", "it is not a SHA-256 in base64", challenge))
		}
		to = strconv.FormatUint(n, 10) + " " + challenge
	}
	page, cookie, err := s.People.Begin(c.Request().Context(), to)
	if err != nil {
		return s.answer(err)
	}
	c.SetCookie(s.pending(cookie, int(people.PendingLife/time.Second)))
	return c.Redirect(http.StatusSeeOther, page)
}

// pending is the cookie between going and coming back. The provider's page sends
// the browser back, so it is not of the strict kind.
func (s *server) pending(value string, age int) *http.Cookie {
	return &http.Cookie{Name: pendingCookie, Value: value, Path: "/login", MaxAge: age, Secure: s.People.Secure(), HttpOnly: true, SameSite: http.SameSiteLaxMode}
}

// comeBack signs in who comes back from the provider.
func (s *server) comeBack(c echo.Context) error {
	c.Response().Header().Set("Cache-Control", "no-store")
	begun, err := c.Cookie(pendingCookie)
	if err != nil {
		begun = new(http.Cookie)
	}
	c.SetCookie(s.pending("", -1)) // whatever comes of it: it is good for one return
	person, to, err := s.People.Finish(c.Request().Context(), begun.Value, c.QueryParams())
	if err != nil {
		return s.answer(err)
	}
	if port, challenge, ok := strings.Cut(to, " "); ok {
		made, err := s.codes.mint(s.Clock(), person, challenge)
		if err != nil {
			return s.answer(err)
		}
		return c.Redirect(http.StatusSeeOther, "http://127.0.0.1:"+port+"/?code="+url.QueryEscape(made))
	}
	plain, _, life, err := s.personal(c, person)
	if err != nil {
		return s.answer(err)
	}
	c.SetCookie(&http.Cookie{Name: cookieName(c.Request().Host), Value: plain, Path: "/", MaxAge: int(life / time.Second), Secure: s.People.Secure(), HttpOnly: true, SameSite: http.SameSiteStrictMode})
	return c.Redirect(http.StatusSeeOther, to)
}

// personal makes a session for a person who has signed in.
func (s *server) personal(c echo.Context, person *people.Person) (plain, made string, life time.Duration, err error) {
	r := c.Request()
	if person.Namespace != token.AllNamespaces {
		if _, ok := s.Runner.World().Access.Namespace(person.Namespace); !ok {
			return "", "", 0, forbidden("", "the rule that lets you in is for namespace "+person.Namespace+", which there is not")
		}
	}
	if s.Names.Set(person) && s.NamesChanged != nil {
		if err := s.NamesChanged(); err != nil {
			return "", "", 0, err
		}
	}
	p := &principal{}
	_, _ = rand.Read(p.request[:]) // never fails
	create := token.Create{Name: people.TokenName(person), Namespace: person.Namespace, Role: person.Role, Lifetime: SessionLife}
	plain, i, err := s.Commands.CreateToken(r.Context(), commands.Caller{Actor: "system", Source: "login", RequestID: p.request}, create)
	if err != nil {
		return "", "", 0, err
	}
	p.actor = i.String()
	s.tell(r.Context(), p, origin(r.RemoteAddr, r.Header.Get("X-Forwarded-For")), r.Method, r.URL.Path, http.StatusSeeOther)
	return plain, i.String(), SessionLife, nil
}

// mint makes a code for the command line that has made a challenge.
func (o *codes) mint(now time.Time, person *people.Person, challenge string) (string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for made, one := range o.open {
		if !one.expires.After(now) {
			delete(o.open, made)
		}
	}
	if len(o.open) >= maxCodes {
		return "", wire.NewProblem(http.StatusTooManyRequests, "busy", "too many people sign in at once; try again in a minute")
	}
	if o.open == nil {
		o.open = map[string]code{}
	}
	made := rand.Text()
	o.open[made] = code{person, challenge, now.Add(codeLife)}
	return made, nil
}

// take closes a code and returns whose it is, to who knows what its challenge was
// made from.
func (o *codes) take(now time.Time, made, verifier string) (*people.Person, bool) {
	o.mu.Lock()
	one, ok := o.open[made]
	delete(o.open, made)
	o.mu.Unlock()
	sum := sha256.Sum256([]byte(verifier))
	fits := subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(one.challenge)) == 1
	return one.person, ok && fits && one.expires.After(now)
}

// takeCode trades a code for a session.
func (s *server) takeCode(c echo.Context) error {
	c.Response().Header().Set("Cache-Control", "no-store")
	var form struct{ Code, Verifier string }
	if err := json.NewDecoder(c.Request().Body).Decode(&form); err != nil {
		return s.answer(invalid("body", "it is not a JSON object with code and verifier", nil))
	}
	person, ok := s.codes.take(s.Clock(), form.Code, form.Verifier)
	if !ok {
		return s.answer(unauthenticated("the code of this sign-in is not known, or was used, or is older than a minute"))
	}
	plain, made, life, err := s.personal(c, person)
	if err != nil {
		return s.answer(err)
	}
	return c.JSON(http.StatusCreated, &wire.PersonalSession{ID: made, Name: person.Name, Role: person.Role.String(), Namespace: person.Namespace,
		Expires: s.Clock().Add(life), Plain: plain})
}

// called is what a token is shown as: its name, of a person's session the person's.
func (s *server) called(tokenName string) string { return s.Names.Shown(tokenName) }
