package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"

	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/eventstore"
)

// kinds maps an error's kind to its status and stable name. It is the only
// place that does.
var kinds = map[fault.Kind]struct {
	status int
	name   string
}{
	fault.Invalid:         {http.StatusUnprocessableEntity, "invalid"},
	fault.NotFound:        {http.StatusNotFound, "not_found"},
	fault.Refused:         {http.StatusConflict, "refused"},
	fault.Conflict:        {http.StatusConflict, "conflict"},
	fault.Unavailable:     {http.StatusServiceUnavailable, "unavailable"},
	fault.Forbidden:       {http.StatusForbidden, "forbidden"},
	fault.Unauthenticated: {http.StatusUnauthorized, "unauthenticated"},
	fault.TooLarge:        {http.StatusRequestEntityTooLarge, "too_large"},
	fault.Busy:            {http.StatusTooManyRequests, "busy"},
	fault.Internal:        {http.StatusInternalServerError, "internal"},
}

// problem turns an error into what its caller is told.
func problem(err error) *wire.Problem {
	var p *wire.Problem
	if errors.As(err, &p) {
		return p
	}
	var f *fault.Error
	if errors.As(err, &f) {
		k := kinds[f.Kind]
		if k.status == 0 {
			k = kinds[fault.Internal]
		}
		p = wire.NewProblem(k.status, k.name, f.Error())
		p.Help = f.Help
		for _, d := range f.Fields {
			p.Errors = append(p.Errors, wire.Detail{Location: d.Location, Message: d.Message, Value: shown(d.Value), Help: d.Help})
		}
		return p
	}
	var failed *eventstore.FailedError
	switch {
	case errors.As(err, &failed), errors.Is(err, eventstore.ErrClosed):
		return wire.NewProblem(http.StatusServiceUnavailable, "unavailable", "the event store has stopped; the server must be restarted")
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return wire.NewProblem(http.StatusServiceUnavailable, "unavailable", "the request was given up before it was answered")
	}
	return nil
}

// answer turns an error into the problem that is sent; what the caller can't do
// anything about is logged.
func (s *server) answer(err error) error {
	if err == nil {
		return nil
	}
	p := s.told(err)
	if p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable {
		return huma.ErrorWithHeaders(p, http.Header{"Retry-After": {strconv.Itoa(int(retryAfter / time.Second))}})
	}
	return p
}

// told is the problem for an error; what the caller can't do anything about is
// logged and not shown.
func (s *server) told(err error) *wire.Problem {
	p := problem(err)
	if p == nil || p.Status == http.StatusInternalServerError {
		s.Logger.Error("request failed", slog.Any("error", err), slog.Any("cause", errors.Unwrap(err)))
		p = wire.NewProblem(http.StatusInternalServerError, "internal", "internal error; the server's log says more")
	}
	return p
}

// retryAfter is what a caller is told to wait when the server is busy.
const retryAfter = time.Second

// shown leaves an empty value out.
func shown(value string) any {
	if value == "" {
		return nil
	}
	return value
}

func invalid(location, message string, value any) *wire.Problem {
	p := wire.NewProblem(http.StatusUnprocessableEntity, "invalid", location+": "+message)
	p.Errors = []wire.Detail{{Location: location, Message: message, Value: value}}
	return p
}

// newError makes huma's own errors (validation of parameters) problems like ours.
func newError(status int, message string, errs ...error) huma.StatusError {
	p := wire.NewProblem(status, "invalid", message)
	for _, err := range errs {
		var d huma.ErrorDetailer
		if errors.As(err, &d) {
			det := d.ErrorDetail()
			p.Errors = append(p.Errors, wire.Detail{Location: det.Location, Message: det.Message, Value: det.Value})
		} else if err != nil {
			p.Errors = append(p.Errors, wire.Detail{Message: err.Error()})
		}
	}
	if len(p.Errors) > 0 {
		p.Detail += ": " + p.Errors[0].Location + ": " + p.Errors[0].Message
	}
	if status >= 500 {
		p.Kind = "internal"
	}
	return p
}

func init() { huma.NewError = newError }

// routeError answers what no route answered: an unknown path, a wrong method.
func (s *server) routeError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	p := problem(err)
	var he *echo.HTTPError
	switch {
	case p != nil:
	case errors.As(err, &he) && he.Code == http.StatusNotFound:
		p = wire.NewProblem(he.Code, "not_found", "there is nothing at "+c.Request().URL.Path)
		p.Help = "all routes: /docs or /openapi.json"
	case errors.As(err, &he) && he.Code == http.StatusMethodNotAllowed:
		p = wire.NewProblem(he.Code, "invalid", c.Request().Method+" is not possible at "+c.Request().URL.Path)
	case errors.As(err, &he):
		p = wire.NewProblem(he.Code, "invalid", http.StatusText(he.Code))
	default:
		s.Logger.Error("request failed", slog.Any("error", err), slog.String("path", c.Path()))
		p = wire.NewProblem(http.StatusInternalServerError, "internal", "internal error; the server's log says more")
	}
	c.Response().Header().Set("Content-Type", "application/problem+json")
	if werr := c.JSON(p.Status, p); werr != nil {
		s.Logger.Debug("client left before its answer", slog.Any("error", werr))
	}
}

// recover turns a panic of a handler into a 500 and a stack in the log; the
// commands and the World have no state of a request that could be left half done.
func (s *server) recover(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			if r := recover(); r != nil && r != http.ErrAbortHandler {
				s.Logger.Error("panic in a handler", slog.Any("panic", r), slog.String("path", c.Path()), slog.String("stack", string(debug.Stack())))
				err = wire.NewProblem(http.StatusInternalServerError, "internal", "internal error; the server's log says more")
			}
		}()
		return next(c)
	}
}
