package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/commands"
)

// principal is who asks, and what it may see.
type principal struct {
	actor     string // id of its token
	namespace string // * is all
	role      token.Role
	request   [16]byte
}

// sees says whether what belongs to the namespace may be shown.
func (p principal) sees(namespace string) bool {
	return p.namespace == token.AllNamespaces || p.namespace == namespace
}

// caller is the principal as commands know it.
func (p principal) caller() commands.Caller {
	return commands.Caller{Actor: p.actor, Source: "api", RequestID: p.request}
}

type principalKey struct{}

func who(ctx context.Context) principal {
	p, _ := ctx.Value(principalKey{}).(principal)
	return p
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
func (s *server) authenticate(huma.API) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		var p principal
		_, _ = rand.Read(p.request[:]) // never fails
		ctx.SetHeader("X-Request-Id", hex.EncodeToString(p.request[:]))
		op := ctx.Operation()
		if open, _ := op.Metadata[openKey].(bool); open {
			next(huma.WithValue(ctx, principalKey{}, p))
			return
		}
		role, ok := op.Metadata[roleKey].(token.Role)
		if !ok {
			s.refuse(ctx, wire.NewProblem(http.StatusForbidden, "forbidden", "this route is open to nobody"))
			return
		}
		if bad := s.identify(ctx.Header("Authorization"), &p); bad != nil {
			ctx.SetHeader("WWW-Authenticate", `Bearer realm="hodei"`)
			s.refuse(ctx, bad)
			return
		}
		if !p.role.Allows(role) {
			bad := wire.NewProblem(http.StatusForbidden, "forbidden", "the token's role is "+p.role.String()+", this needs "+role.String())
			bad.Help = "ask an admin for a token with that role"
			s.refuse(ctx, bad)
			return
		}
		next(huma.WithValue(ctx, principalKey{}, p))
	}
}

// identify finds the token in the World by its hash.
func (s *server) identify(header string, p *principal) *wire.Problem {
	plain, ok := strings.CutPrefix(header, "Bearer ")
	if !ok || plain == "" {
		bad := wire.NewProblem(http.StatusUnauthorized, "unauthenticated", "a token is needed: Authorization: Bearer hodei_…")
		return bad
	}
	hash, ok := commands.TokenHash(plain)
	if !ok {
		return wire.NewProblem(http.StatusUnauthorized, "unauthenticated", "the server does not accept this token: it is not a token at all, or was cut")
	}
	t, ok := s.Runner.World().Access.ByHash(hash)
	if !ok || !t.Valid(s.Clock().UnixNano()) {
		return wire.NewProblem(http.StatusUnauthorized, "unauthenticated", "the server does not accept this token: unknown, expired or revoked")
	}
	p.actor, p.namespace, p.role = t.ID.String(), t.Namespace, t.Role
	return nil
}

func (s *server) refuse(ctx huma.Context, p *wire.Problem) {
	ctx.SetHeader("Content-Type", "application/problem+json")
	ctx.SetStatus(p.Status)
	if err := json.NewEncoder(ctx.BodyWriter()).Encode(p); err != nil {
		s.Logger.Debug("client left before its answer", slog.Any("error", err))
	}
}
