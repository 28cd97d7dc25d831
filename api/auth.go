package api

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/commands"
	"github.com/hodei-jobs/hodei/projections"
)

// principal is who asks, and what it may see.
type principal struct {
	actor     string // id of its token
	namespace string // * is all
	role      token.Role
	request   [16]byte
	trace     []byte            // its traceparent, or none
	hash      [sha256.Size]byte // of its token

	host    string // that it asked, as a browser keeps cookies by it
	secure  bool   // over TLS
	session bool   // it has a cookie instead of a token
}

// sees says whether what belongs to the namespace may be shown.
func (p *principal) sees(namespace string) bool {
	return p.namespace == token.AllNamespaces || p.namespace == namespace
}

// in returns why the principal may not name a namespace in a query, or nil.
func (p *principal) in(w *projections.World, namespace string) error {
	if namespace == "" {
		return nil
	}
	if p.sees(namespace) {
		if _, ok := w.Access.Namespace(namespace); ok {
			return nil
		}
		return missing("query.namespace", "namespace", namespace, "the namespaces there are: "+strings.Join(p.namespaces(w), ", "))
	}
	return forbidden("query.namespace", "the token is for namespace "+p.namespace+", not for "+cut(namespace))
}

// namespaces are the names of those it sees, but not more than fit a line.
func (p *principal) namespaces(w *projections.World) (names []string) {
	const most = 8
	for n := range w.Access.Namespaces() {
		switch {
		case !p.sees(n.Name):
		case len(names) == most:
			return append(names, "…")
		default:
			names = append(names, n.Name)
		}
	}
	return names
}

// caller is the principal as commands know it.
func (p *principal) caller() commands.Caller {
	return commands.Caller{Actor: p.actor, Source: "api", RequestID: p.request, Traceparent: p.trace}
}

type principalKey struct{}

// who returns the principal of a request.
func who(ctx context.Context) *principal {
	if p, ok := ctx.Value(principalKey{}).(*principal); ok {
		return p
	}
	return &principal{} // it sees nothing
}

// roleKey is where an operation names the role it needs. An operation without it
// and without open is refused to everybody.
const (
	roleKey = "role"
	openKey = "open"
)

// needs marks an operation with the role it needs.
func needs(role token.Role, op huma.Operation) huma.Operation {
	op.Metadata = map[string]any{roleKey: role}
	op.Security = []map[string][]string{{"token": {}}}
	op.Errors = append(op.Errors, http.StatusUnauthorized, http.StatusForbidden)
	return op
}

// open marks an operation that needs no token.
func open(op huma.Operation) huma.Operation {
	op.Metadata = map[string]any{openKey: true}
	return op
}

// authenticate lets a request through whose token has the operation's role.
func (s *server) authenticate(ctx huma.Context, next func(huma.Context)) {
	p := &principal{host: ctx.Host(), secure: ctx.TLS() != nil}
	_, _ = rand.Read(p.request[:]) // never fails
	p.trace = commands.ParseTraceparent(ctx.Header("traceparent"))
	ctx.SetHeader("X-Request-Id", uuid.UUID(p.request).String())
	if bad := s.admit(ctx, p); bad != nil {
		switch bad.Status {
		case http.StatusUnauthorized:
			ctx.SetHeader("WWW-Authenticate", `Bearer realm="hodei"`)
		case http.StatusServiceUnavailable:
			ctx.SetHeader("Retry-After", retryAfterText)
		}
		s.refuse(ctx, bad)
		return
	}
	if bad := s.freshen(ctx); bad != nil {
		if bad.Status == http.StatusServiceUnavailable {
			ctx.SetHeader("Retry-After", retryAfterText)
		}
		s.refuse(ctx, bad)
		return
	}
	if bad := queryFault(ctx); bad != nil {
		s.refuse(ctx, bad)
		return
	}
	next(huma.WithValue(ctx, principalKey{}, p))
	s.tellOrigin(ctx, p)
}

// admit finds out who asks, and returns why it may not.
func (s *server) admit(ctx huma.Context, p *principal) *wire.Problem {
	op := ctx.Operation()
	if open, _ := op.Metadata[openKey].(bool); open {
		return nil
	}
	role, ok := op.Metadata[roleKey].(token.Role)
	if !ok {
		return forbidden("", "this route is open to nobody")
	}
	if why := s.rebuilding(); why != "" {
		return wire.NewProblem(http.StatusServiceUnavailable, "unavailable", why)
	}
	if bad := s.recognise(ctx, p); bad != nil {
		return bad
	}
	if !p.role.Allows(role) {
		bad := forbidden("header.Authorization", "the token's role is "+p.role.String()+", this needs "+role.String())
		bad.Help = "ask an admin for a token with that role"
		return bad
	}
	return nil
}

// queryFault says what is wrong with a query as a whole: that it can't be read, that
// there is no such parameter, or that one is given more than once, of which only one
// would be read. What can't be read is left out by net/url without a word.
func queryFault(ctx huma.Context) *wire.Problem {
	u := ctx.URL()
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return invalid("query", "it can't be read: parameters are separated by &, and % begins two hexadecimal digits", cut(u.RawQuery))
	}
	var known []string
	for _, p := range ctx.Operation().Parameters {
		if p.In == "query" {
			known = append(known, p.Name)
		}
	}
	slices.Sort(known)
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if !slices.Contains(known, name) {
			message := "there is no such parameter here, there is none"
			if len(known) > 0 {
				message = "there is no such parameter here; there are " + strings.Join(known, ", ")
			}
			return invalid("query."+cut(name), message, nil)
		}
		if n := len(query[name]); n > 1 && !list(ctx.Operation(), name) {
			return invalid("query."+name, fmt.Sprintf("it is given %d times, once is enough", n), nil)
		}
	}
	return nil
}

// list says whether an operation takes a parameter more than once.
func list(op *huma.Operation, name string) bool {
	return slices.ContainsFunc(op.Parameters, func(p *huma.Param) bool {
		return p.Name == name && p.In == "query" && p.Explode != nil && *p.Explode
	})
}

// recognise finds out who asks by the token that was sent, or else by a browser's
// session. Other sites can make a browser send what its cookie goes with, but not
// a header of ours.
func (s *server) recognise(ctx huma.Context, p *principal) *wire.Problem {
	header := ctx.Header("Authorization")
	if header == "" {
		if cookie, err := huma.ReadCookie(ctx, cookieName(p.host)); err == nil {
			p.session = true
			if m := ctx.Method(); m != http.MethodGet && m != http.MethodHead && ctx.Header(sessionHeader) == "" {
				const where = "header." + sessionHeader
				bad := forbidden(where, "a browser's session changes nothing without this header")
				bad.Help = "send " + sessionHeader + ": 1, or a token: Authorization: Bearer hodei_…"
				return bad
			}
			header = "Bearer " + cookie.Value
		}
	}
	return s.identify(header, p)
}

// identify takes the token from its header and finds whose it is.
func (s *server) identify(header string, p *principal) *wire.Problem {
	scheme, plain, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") || plain == "" {
		return unauthenticated("a token is needed: Authorization: Bearer hodei_…")
	}
	if p.hash, ok = commands.TokenHash(plain); !ok {
		return unauthenticated("the server does not accept this token: it is not a token at all, or was cut")
	}
	if !s.known(p) {
		return unauthenticated("the server does not accept this token: unknown, expired or revoked")
	}
	return nil
}

// known looks the token up by its hash and says whether it is valid now. The look-up
// compares hashes, so that how long it takes tells nothing of a token.
func (s *server) known(p *principal) bool {
	t, ok := s.Runner.World().Access.ByHash(p.hash)
	now := s.Clock().UnixNano()
	if !ok || !t.Valid(now) {
		return false
	}
	p.actor, p.namespace, p.role = t.ID.String(), t.Namespace, t.Role
	s.Uses.note(t.ID, now)
	return true
}

func unauthenticated(detail string) *wire.Problem {
	p := wire.NewProblem(http.StatusUnauthorized, "unauthenticated", detail)
	p.Errors = []wire.Detail{{Location: "header.Authorization", Message: detail}}
	return p
}

// forbidden names what may not be asked for; location may be empty.
func forbidden(location, detail string) *wire.Problem {
	p := wire.NewProblem(http.StatusForbidden, "forbidden", detail)
	if location != "" {
		p.Errors = []wire.Detail{{Location: location, Message: detail}}
	}
	return p
}

func (s *server) refuse(ctx huma.Context, p *wire.Problem) {
	ctx.SetHeader("Content-Type", problemType)
	ctx.SetStatus(p.Status)
	if err := json.NewEncoder(ctx.BodyWriter()).Encode(p); err != nil {
		s.Logger.Debug("client left before its answer", slog.Any("error", err))
	}
}
