package api

import (
	"context"
	"net/http"
	"net/http/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"
	"github.com/labstack/echo/v4"

	"github.com/hodei-jobs/hodei/aggregates/token"
)

// observability adds what operators look at: metrics, and profiles of the process.
// Both tell of all namespaces, so a token for one of them doesn't do.
func (s *server) observability(api huma.API) {
	if s.Metrics != nil {
		register(s, api, needs(token.Viewer, huma.Operation{
			OperationID: "getMetrics", Method: http.MethodGet, Path: "/metrics", Tags: []string{"health"},
			Summary:     "Give the metrics of the server to Prometheus",
			Description: "In the text format of Prometheus. It needs a token for all namespaces, which a scrape configuration names as its bearer_token_file.",
		}), func(ctx context.Context, _ *struct{}) (*huma.StreamResponse, error) {
			return served(ctx, s.Metrics.ServeHTTP)
		})
	}
	register(s, api, needs(token.Admin, huma.Operation{
		OperationID: "getProfile", Method: http.MethodGet, Path: "/debug/pprof/{profile}", Tags: []string{"health"},
		Summary:     "Take a profile of the server's process",
		Description: "For go tool pprof. profile and trace take as long as seconds says, at most 30; the others are of this moment. It needs a token for all namespaces.",
		Errors:      []int{http.StatusNotFound, http.StatusUnprocessableEntity},
	}), takeProfile)
}

type profileInput struct {
	Profile string `path:"profile" enum:"allocs,block,goroutine,heap,mutex,profile,threadcreate,trace" doc:"Which"`
	Seconds int    `query:"seconds" minimum:"1" maximum:"30" default:"10" doc:"How long profile and trace take"`
	Debug   int    `query:"debug" minimum:"0" maximum:"2" default:"0" doc:"1 or 2: as text"`
}

func takeProfile(ctx context.Context, in *profileInput) (*huma.StreamResponse, error) {
	return served(ctx, func(w http.ResponseWriter, r *http.Request) {
		r = r.Clone(r.Context())
		query := r.URL.Query()
		switch in.Profile {
		case "profile", "trace":
			query.Set("seconds", strconv.Itoa(in.Seconds))
		default:
			query.Del("seconds")
		}
		r.URL.RawQuery = query.Encode()
		switch in.Profile {
		case "profile":
			pprof.Profile(w, r)
		case "trace":
			pprof.Trace(w, r)
		default:
			pprof.Handler(in.Profile).ServeHTTP(w, r)
		}
	})
}

// served answers with a handler of net/http, if the caller sees all namespaces.
func served(ctx context.Context, handler http.HandlerFunc) (*huma.StreamResponse, error) {
	if p := who(ctx); p.namespace != token.AllNamespaces {
		bad := forbidden("header.Authorization", "the token is for namespace "+p.namespace+", this tells of all")
		bad.Help = "ask an admin for a token for all namespaces"
		return nil, bad
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		c := humaecho.Unwrap(hc)
		handler(c.Response(), c.Request())
	}}, nil
}

// counted counts each answer under its route's pattern.
func (s *server) counted(next echo.HandlerFunc) echo.HandlerFunc {
	if s.Metrics == nil {
		return next
	}
	return func(c echo.Context) error {
		begun := time.Now()
		defer func() {
			s.Metrics.Answered(pattern(c.Path()), method(c.Request().Method), strconv.Itoa(c.Response().Status), time.Since(begun))
		}()
		if err := next(c); err != nil {
			c.Error(err) // writes the answer, whose status counts
		}
		return nil
	}
}

// pattern is a route of echo as the documentation writes it; none for what has no
// route, however many paths are tried.
func pattern(path string) string {
	if path == "" {
		return "none"
	}
	if !strings.ContainsAny(path, `:\`) {
		return path
	}
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if name, ok := strings.CutPrefix(part, ":"); ok {
			parts[i] = "{" + name + "}"
		} else {
			parts[i] = strings.ReplaceAll(part, `\`, "")
		}
	}
	return strings.Join(parts, "/")
}

// method bounds what a client may make up.
func method(name string) string {
	switch name {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return name
	}
	return "other"
}
