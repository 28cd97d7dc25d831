package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/wire"
	rows "github.com/hodei-jobs/hodei/projections/access"
)

// TokenLife is how long a token is good for unless it is said.
const TokenLife = 90 * 24 * time.Hour

// never is the lifetime of a token without end.
const never = "never"

// An admin makes, sees and ends the tokens of its own namespace alone; an admin
// of all namespaces those of all.

type tokensInput struct {
	Namespace string `query:"namespace" maxLength:"63" doc:"Only tokens for this namespace"`
	All       bool   `query:"all" doc:"Expired and revoked ones too"`
	PageInput
}

type tokensOutput struct{ Body wire.Tokens }

type createTokenInput struct {
	Body struct {
		Name      string `json:"name" minLength:"1" maxLength:"128" doc:"What it is for, or who has it" example:"ci"`
		Role      string `json:"role" enum:"viewer,submitter,operator,admin" doc:"What it may do; each includes those before it"`
		Namespace string `json:"namespace,omitempty" maxLength:"63" doc:"The one it is for, * for all; that of the token that asks, if absent"`
		Lifetime  string `json:"lifetime,omitempty" maxLength:"64" doc:"How long it is good for, such as 12h or 30d, or never for one without end; 90d if absent" example:"30d"`
	}
}

type createTokenOutput struct{ Body *wire.MadeToken }

type tokenInput struct {
	ID string `path:"id" doc:"The token's id" example:"t2c8v0xk"`
}

func (s *server) tokens(api huma.API) {
	register(s, api, needs(token.Admin, huma.Operation{
		OperationID: "listTokens", Method: http.MethodGet, Path: "/v1/tokens", Tags: []string{"access"},
		Summary:     "List tokens, by id",
		Description: "What each may do, and its last characters; never a token itself. An admin of one namespace sees its tokens alone.",
		Errors:      []int{http.StatusNotFound, http.StatusUnprocessableEntity},
	}), s.listTokens)
	register(s, api, needs(token.Admin, huma.Operation{
		OperationID: "createToken", Method: http.MethodPost, Path: "/v1/tokens", Tags: []string{"access"}, DefaultStatus: http.StatusCreated,
		Summary:     "Make a token",
		Description: "The token is shown once and is kept nowhere. An admin of one namespace makes tokens for that one.",
		Errors:      append([]int{http.StatusNotFound}, bodyErrors...),
	}), s.createToken)
	register(s, api, needs(token.Admin, huma.Operation{
		OperationID: "revokeToken", Method: http.MethodDelete, Path: "/v1/tokens/{id}", Tags: []string{"access"}, DefaultStatus: http.StatusNoContent,
		Summary:     "Revoke a token",
		Description: "It is refused from then on, and streams that it has open end. Again is the same as once.",
		Errors:      []int{http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusServiceUnavailable},
	}), s.revokeToken)
}

func (s *server) listTokens(ctx context.Context, in *tokensInput) (*tokensOutput, error) {
	p, w := who(ctx), s.Runner.World()
	if in.Namespace != token.AllNamespaces || p.namespace != token.AllNamespaces {
		if err := p.in(w, in.Namespace); err != nil {
			return nil, err
		}
	}
	var after id.ID
	if in.Cursor != "" && in.Cursor != "0" {
		var err error
		if after, err = id.Parse(in.Cursor); err != nil {
			return nil, invalid("query.cursor", "it is not the next of a page", in.Cursor)
		}
	}
	now := s.Clock().UnixNano()
	out := &tokensOutput{Body: wire.Tokens{Items: []wire.Token{}}}
	for t := range w.Access.TokensAfter(after) {
		switch {
		case !p.sees(t.Namespace), in.Namespace != "" && t.Namespace != in.Namespace, !in.All && !t.Valid(now):
			continue
		}
		if len(out.Body.Items) == in.Limit {
			out.Body.Next = out.Body.Items[in.Limit-1].ID
			break
		}
		out.Body.Items = append(out.Body.Items, s.tokenView(t, now))
	}
	return out, nil
}

// tokenView is a token as it is at a time, in ns since 1970.
func (s *server) tokenView(t *rows.Token, now int64) wire.Token {
	v := wire.Token{
		ID: t.ID.String(), Name: s.called(t.Name), Hint: t.Hint, Role: t.Role.String(), Namespace: t.Namespace, State: "active",
		Created: instant(t.Created), Revoked: instantOrNone(t.Revoked), Used: instantOrNone(s.Uses.At(t.ID)),
	}
	if t.Lifetime > 0 {
		v.Expires = instantOrNone(t.Created + t.Lifetime)
	}
	switch {
	case t.Revoked != 0:
		v.State = "revoked"
	case !t.Valid(now):
		v.State = "expired"
	}
	return v
}

func (s *server) createToken(ctx context.Context, in *createTokenInput) (*createTokenOutput, error) {
	p := who(ctx)
	role, _ := token.ParseRole(in.Body.Role) // the schema has taken no other
	if !p.role.Allows(role) {
		return nil, forbidden("body.role", "a token gives no more than it may itself: its role is "+p.role.String())
	}
	namespace, err := s.namespaceOfToken(p, in.Body.Namespace)
	if err != nil {
		return nil, err
	}
	lifetime, err := lifetimeOf(in.Body.Lifetime)
	if err != nil {
		return nil, err
	}
	plain, i, err := s.Commands.CreateToken(ctx, p.caller(), token.Create{Name: in.Body.Name, Namespace: namespace, Role: role, Lifetime: lifetime})
	if err != nil {
		return nil, err
	}
	t, ok := s.Runner.World().Access.Token(i)
	if !ok {
		return nil, wire.NewProblem(http.StatusServiceUnavailable, "unavailable", "the token "+i.String()+" was made and can't be shown; revoke it and make another")
	}
	return &createTokenOutput{&wire.MadeToken{Token: s.tokenView(t, s.Clock().UnixNano()), Plain: plain}}, nil
}

// namespaceOfToken is the namespace of a token that is to be made.
func (s *server) namespaceOfToken(p *principal, named string) (string, error) {
	switch {
	case named == "", named == p.namespace:
		return p.namespace, nil
	case !p.sees(named):
		return "", forbidden("body.namespace", "the token is for namespace "+p.namespace+", not for "+cut(named))
	}
	if _, ok := s.Runner.World().Access.Namespace(named); !ok {
		return "", missing("body.namespace", "namespace", named, "make it first: hodei namespace create")
	}
	return named, nil
}

// lifetimeOf reads how long a token is to be good for; 0 is without end.
func lifetimeOf(text string) (time.Duration, error) {
	switch text {
	case "":
		return TokenLife, nil
	case never:
		return 0, nil
	}
	d, err := spec.ParseDuration(text)
	switch {
	case err != nil:
		return 0, invalid("body.lifetime", "it is neither a duration such as 12h or 30d nor "+never, text)
	case d == 0:
		return 0, invalid("body.lifetime", "a token that is good for no time is good for nothing; one without end is "+never, text)
	}
	return time.Duration(d), nil
}

func (s *server) revokeToken(ctx context.Context, in *tokenInput) (*struct{}, error) {
	p := who(ctx)
	i, err := id.Parse(in.ID)
	if err != nil {
		return nil, missing("path.id", "token", in.ID, "those there are: hodei token list")
	}
	t, ok := s.Runner.World().Access.Token(i)
	if !ok || !p.sees(t.Namespace) {
		return nil, missing("path.id", "token", in.ID, "those there are: hodei token list")
	}
	_, err = s.Commands.RevokeToken(ctx, p.caller(), i, "")
	return nil, err
}
