package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/projections"
	rows "github.com/hodei-jobs/hodei/projections/access"
)

type namespacesInput struct{ PageInput }

type namespacesOutput struct{ Body wire.Namespaces }

type namespaceInput struct {
	Name string `path:"name" maxLength:"63" doc:"The namespace" example:"web"`
}

type createNamespaceInput struct {
	Body struct {
		Name        string `json:"name" doc:"Lower-case letters, digits and -, a letter or digit at both ends; at most 63" example:"web"`
		Description string `json:"description,omitempty" maxLength:"1024" doc:"What it is for"`
	}
}

type pauseNamespaceInput struct {
	Name string `path:"name" maxLength:"63" doc:"The namespace" example:"web"`
	Body *struct {
		Reason string `json:"reason,omitempty" maxLength:"1024" doc:"Why, for those whose jobs wait"`
	}
}

type resumeNamespaceInput struct {
	Name string `path:"name" maxLength:"63" doc:"The namespace" example:"web"`
	Body *empty
}

type namespaceOutput struct{ Body *wire.Namespace }

func (s *server) namespaces(api huma.API) {
	changes := append([]int{http.StatusNotFound}, bodyErrors...)
	register(s, api, needs(token.Viewer, huma.Operation{
		OperationID: "listNamespaces", Method: http.MethodGet, Path: "/v1/namespaces", Tags: []string{"access"},
		Summary: "List namespaces, by name", Description: "Those that the token may see.",
		Errors: []int{http.StatusUnprocessableEntity},
	}), s.listNamespaces)
	register(s, api, needs(token.Viewer, huma.Operation{
		OperationID: "getNamespace", Method: http.MethodGet, Path: "/v1/namespaces/{name}", Tags: []string{"access"},
		Summary: "Show a namespace", Errors: []int{http.StatusNotFound, http.StatusUnprocessableEntity},
	}), s.getNamespace)
	register(s, api, needs(token.Admin, huma.Operation{
		OperationID: "createNamespace", Method: http.MethodPost, Path: "/v1/namespaces", Tags: []string{"access"}, DefaultStatus: http.StatusCreated,
		Summary:     "Make a namespace",
		Description: "Again with the same description is the same as once. It takes an admin of all namespaces.",
		Errors:      append([]int{http.StatusConflict}, bodyErrors...),
	}), s.createNamespace)
	register(s, api, needs(token.Operator, huma.Operation{
		OperationID: "pauseNamespace", Method: http.MethodPost, Path: "/v1/namespaces/{name}/pause", Tags: []string{"access"},
		Summary:     "Pause a namespace",
		Description: "Jobs can be submitted to it and wait; none is started. Those that run go on. Again is the same as once.",
		Errors:      changes,
	}), s.pauseNamespace)
	register(s, api, needs(token.Operator, huma.Operation{
		OperationID: "resumeNamespace", Method: http.MethodPost, Path: "/v1/namespaces/{name}/resume", Tags: []string{"access"},
		Summary:     "Resume a namespace",
		Description: "Its waiting jobs are started again, in their order. Again is the same as once.",
		Errors:      changes,
	}), s.resumeNamespace)
}

func (s *server) listNamespaces(ctx context.Context, in *namespacesInput) (*namespacesOutput, error) {
	p, w := who(ctx), s.Runner.World()
	after, ok := strings.CutSuffix(in.Cursor, "/") // a namespace may be called 0, which as a cursor is the first page
	if !ok && in.Cursor != "" && in.Cursor != "0" {
		return nil, invalid("query.cursor", "it is not the next of a page", in.Cursor)
	}
	if !ok {
		after = ""
	}
	out := &namespacesOutput{Body: wire.Namespaces{Items: []wire.Namespace{}}}
	for n := range w.Access.Namespaces() {
		if !p.sees(n.Name) || n.Name <= after {
			continue
		}
		if len(out.Body.Items) == in.Limit {
			out.Body.Next = out.Body.Items[in.Limit-1].Name + "/"
			break
		}
		out.Body.Items = append(out.Body.Items, namespaceView(w, &n))
	}
	return out, nil
}

func namespaceView(w *projections.World, n *rows.Namespace) wire.Namespace {
	c := counts(w, n.Name)
	return wire.Namespace{Name: n.Name, Description: n.Description, Created: instantOrNone(n.Created), Paused: n.Paused, Reason: n.Reason, Waiting: c.Waiting, Running: c.Running}
}

// namespace finds one that the caller may see.
func (s *server) namespace(p *principal, name string) (*namespaceOutput, error) {
	w := s.Runner.World()
	n, ok := w.Access.Namespace(name)
	if !ok || !p.sees(name) {
		return nil, missing("path.name", "namespace", name, "those there are: hodei namespace list")
	}
	v := namespaceView(w, &n)
	return &namespaceOutput{&v}, nil
}

func (s *server) getNamespace(ctx context.Context, in *namespaceInput) (*namespaceOutput, error) {
	return s.namespace(who(ctx), in.Name)
}

func (s *server) createNamespace(ctx context.Context, in *createNamespaceInput) (*namespaceOutput, error) {
	p := who(ctx)
	if p.namespace != token.AllNamespaces {
		return nil, forbidden("header.Authorization", "the token is for namespace "+p.namespace+", only one for all makes others")
	}
	if _, err := s.Commands.CreateNamespace(ctx, p.caller(), in.Body.Name, in.Body.Description); err != nil {
		return nil, err
	}
	return s.namespace(p, in.Body.Name)
}

func (s *server) pauseNamespace(ctx context.Context, in *pauseNamespaceInput) (*namespaceOutput, error) {
	p, reason := who(ctx), ""
	if _, err := s.namespace(p, in.Name); err != nil {
		return nil, err
	}
	if in.Body != nil {
		reason = in.Body.Reason
	}
	if _, err := s.Commands.PauseNamespace(ctx, p.caller(), in.Name, reason); err != nil {
		return nil, err
	}
	return s.namespace(p, in.Name)
}

func (s *server) resumeNamespace(ctx context.Context, in *resumeNamespaceInput) (*namespaceOutput, error) {
	p := who(ctx)
	if _, err := s.namespace(p, in.Name); err != nil {
		return nil, err
	}
	if _, err := s.Commands.ResumeNamespace(ctx, p.caller(), in.Name); err != nil {
		return nil, err
	}
	return s.namespace(p, in.Name)
}
