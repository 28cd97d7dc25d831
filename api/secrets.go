package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/projections/secrets"
)

// Values go in and never out. Who may submit jobs to a namespace may use its
// secrets, so it may know their names; setting and deleting them, which changes
// what the jobs of others get, is an operator's.

type secretsInput struct {
	Namespace string `query:"namespace" maxLength:"63" doc:"Only secrets of this namespace"`
	PageInput
}

type secretsOutput struct{ Body wire.Secrets }

type secretInput struct {
	Name      string `path:"name" doc:"The secret's name: letters, digits, _, - and ." example:"db-password"`
	Namespace string `query:"namespace" maxLength:"63" doc:"Its namespace; the token's, or default"`
}

type setSecretInput struct {
	Name      string `path:"name" doc:"The secret's name: letters, digits, _, - and ." example:"db-password"`
	Namespace string `query:"namespace" maxLength:"63" doc:"Its namespace; the token's, or default"`
	RawBody   []byte
}

type secretOutput struct{ Body *wire.Secret }

// SecretValue is a secret's value, in one of two forms.
type SecretValue struct {
	Value  string `json:"value,omitempty" doc:"The value, if it is text"`
	Base64 string `json:"base64,omitempty" doc:"The value in base64, for any bytes but NUL"`
}

var secretExample = map[string]any{"value": "correct horse battery staple"}

func (s *server) secrets(api huma.API) {
	register(s, api, needs(token.Submitter, huma.Operation{
		OperationID: "listSecrets", Method: http.MethodGet, Path: "/v1/secrets", Tags: []string{"secrets"},
		Summary:     "List stored secrets, by namespace and name",
		Description: "Names and versions; a value is never shown.",
		Errors:      []int{http.StatusUnprocessableEntity},
	}), s.listSecrets)
	registerRaw(s, api, needs(token.Operator, huma.Operation{
		OperationID: "setSecret", Method: http.MethodPut, Path: "/v1/secrets/{name}", Tags: []string{"secrets"},
		Summary:     "Set a stored secret",
		Description: "Each call makes a version. Jobs that name none get the newest there is when they are given to a worker.",
		Errors:      append([]int{http.StatusNotFound}, bodyErrors...),
	}), typeOf[SecretValue](), secretExample, s.setSecret)
	register(s, api, needs(token.Operator, huma.Operation{
		OperationID: "deleteSecret", Method: http.MethodDelete, Path: "/v1/secrets/{name}", Tags: []string{"secrets"}, DefaultStatus: http.StatusNoContent,
		Summary:     "Delete a stored secret",
		Description: "No version of it can be read any more, by nobody. A job that asks for it from then on fails as secret_unavailable. Again is the same as once.",
		Errors:      []int{http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusServiceUnavailable},
	}), s.deleteSecret)
}

func (s *server) listSecrets(ctx context.Context, in *secretsInput) (*secretsOutput, error) {
	p, w := who(ctx), s.Runner.World()
	if err := p.in(w, in.Namespace); err != nil {
		return nil, err
	}
	if in.Namespace == "" && p.namespace != token.AllNamespaces {
		in.Namespace = p.namespace
	}
	switch {
	case in.Cursor == "0":
		in.Cursor = ""
	case in.Cursor != "" && !strings.Contains(in.Cursor, "/"):
		return nil, invalid("query.cursor", "it is not the next of a page", in.Cursor)
	}
	out := &secretsOutput{Body: wire.Secrets{Items: []wire.Secret{}}}
	for row := range w.Secrets.After(in.Namespace, in.Cursor) {
		if len(out.Body.Items) == in.Limit {
			last := out.Body.Items[in.Limit-1]
			out.Body.Next = last.Namespace + "/" + last.Name
			break
		}
		out.Body.Items = append(out.Body.Items, secretView(row))
	}
	return out, nil
}

func secretView(row secrets.Secret) wire.Secret {
	return wire.Secret{Name: row.Name, Namespace: row.Namespace, Version: row.Version, SetAt: instant(row.Set), SetBy: row.By}
}

// secretsOf returns the namespace that a request about one secret is about, if the
// caller may name it.
func (s *server) secretsOf(p *principal, named string) (string, error) {
	switch {
	case named != "":
		return named, p.in(s.Runner.World(), named)
	case p.namespace != token.AllNamespaces:
		return p.namespace, nil
	}
	return spec.DefaultNamespace, nil
}

func (s *server) setSecret(ctx context.Context, in *setSecretInput) (*secretOutput, error) {
	p := who(ctx)
	namespace, err := s.secretsOf(p, in.Namespace)
	if err != nil {
		return nil, err
	}
	value, form, err := parseSecret(in.RawBody)
	if err != nil {
		return nil, err
	}
	version, _, err := s.Commands.SetSecret(ctx, p.caller(), namespace, in.Name, value)
	if err != nil {
		return nil, ofSecret(err, form)
	}
	row, ok := s.Runner.World().Secrets.Get(namespace, in.Name)
	if !ok { // it was deleted meanwhile
		row = secrets.Secret{Namespace: namespace, Name: in.Name, Version: version, Set: s.Clock().UnixNano(), By: p.actor}
	}
	v := secretView(row)
	return &secretOutput{&v}, nil
}

// ofSecret says of a fault with a secret where in the request it stands; form is
// the field that had the value.
func ofSecret(err error, form string) error {
	p := problem(err)
	if p == nil || p.Status == http.StatusInternalServerError {
		return err // it is logged
	}
	for i := range p.Errors {
		switch e := &p.Errors[i]; e.Location {
		case "body.name":
			e.Location = "path.name"
		case "body.value":
			e.Location = form
		}
	}
	if p.Status == http.StatusNotFound && p.Errors == nil {
		p.Errors = []wire.Detail{detail("path.name", p.Detail, nil, "")}
	}
	return p
}

// parseSecret reads a value, and says which field has it. What is wrong is told
// without showing anything of the body.
func parseSecret(body []byte) (value []byte, form string, err error) {
	var raw json.RawMessage
	err = eachField(body, func(name string, field json.RawMessage) error {
		at := "body." + name
		switch {
		case name != "value" && name != "base64" || raw != nil && form != at:
			return invalid("body", "it has exactly one of value and base64", nil)
		case raw != nil:
			return invalid(at, "it is given twice", nil)
		}
		raw, form = field, at
		return nil
	})
	switch {
	case errors.Is(err, errNoObject):
		return nil, "", invalid("body", `it is not a JSON object with the value: {"value": "…"} or {"base64": "…"}`, nil)
	case err != nil:
		return nil, "", err
	case raw == nil:
		return nil, "", invalid("body", "it has exactly one of value and base64", nil)
	}
	var text string
	if json.Unmarshal(raw, &text) != nil || string(raw) == "null" {
		return nil, "", invalid(form, "it is not a string", nil)
	}
	if form == "body.value" {
		return []byte(text), form, nil
	}
	decoded, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, "", invalid(form, "it is not base64", nil)
	}
	return decoded, form, nil
}

func (s *server) deleteSecret(ctx context.Context, in *secretInput) (*struct{}, error) {
	p := who(ctx)
	namespace, err := s.secretsOf(p, in.Namespace)
	if err != nil {
		return nil, err
	}
	if _, err = s.Commands.DeleteSecret(ctx, p.caller(), namespace, in.Name); err != nil {
		return nil, ofSecret(err, "")
	}
	return nil, nil
}
